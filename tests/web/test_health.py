"""`/healthz`, `/readyz` and `/metrics`, and what stands at no path."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from longcode.carriers.smpp_link import LinkState
from longcode.domain.clock import utc_now
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.circuits import CircuitStore
from longcode.store.intake import IntakeStore
from tests.app import Api, open_api
from tests.calls import Reply
from tests.processes import wait_until_async
from tests.services.postgresql import PostgresServer
from tests.services.valkey import ValkeyServer
from tests.store.test_timeline import new
from tests.web.described import check_described


async def ask(api: Api, path: str, method: str = "GET") -> Reply:
    reply = await api.anonymous.call(method, path)
    check_described(method, path, reply)
    return reply


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_process_that_has_all_it_needs_is_live_and_ready(api: Api, path: str) -> None:
    reply = await ask(api, path)
    assert (reply.status, reply.json) == (200, {"status": "ok"})
    assert (await api.anonymous.call("HEAD", path)).status == 200


async def test_a_killed_database_makes_it_unready_and_not_dead(
    postgres_server: PostgresServer, postgres_url: str, valkey_url: str
) -> None:
    async with open_api(postgres_url, valkey_url) as api:
        assert (await ask(api, "/readyz")).status == 200
        postgres_server.kill()
        reply = await ask(api, "/readyz")
        assert (reply.status, reply.json) == (503, {"status": "unavailable", "faults": ["database"]})
        assert (await ask(api, "/healthz")).status == 200
        await asyncio.to_thread(postgres_server.start)
        await wait_until_async(lambda: is_ready(api), what="readiness")


async def test_a_killed_valkey_makes_it_unready_and_not_dead(
    valkey_server: ValkeyServer, sqlite_url: str, valkey_url: str
) -> None:
    async with open_api(sqlite_url, valkey_url) as api:
        assert (await ask(api, "/readyz")).status == 200
        valkey_server.kill()
        reply = await ask(api, "/readyz")
        assert (reply.status, reply.json) == (503, {"status": "unavailable", "faults": ["expiring state"]})
        assert (await ask(api, "/healthz")).status == 200
        await asyncio.to_thread(valkey_server.start)
        await wait_until_async(lambda: is_ready(api), what="readiness")


async def test_everything_that_is_down_is_named_and_no_server_is(
    postgres_server: PostgresServer, postgres_url: str, valkey_server: ValkeyServer, valkey_url: str
) -> None:
    async with open_api(postgres_url, valkey_url) as api:
        postgres_server.kill()
        valkey_server.kill()
        reply = await ask(api, "/readyz")
        assert (reply.status, reply.json["faults"]) == (503, ["database", "expiring state"])
        assert b"127.0.0.1" not in reply.body


async def is_ready(api: Api) -> bool:
    return (await ask(api, "/readyz")).status == 200


async def test_metrics_count_what_the_intake_did(sqlite_url: str) -> None:
    async with open_api(sqlite_url) as api:
        caller = await api.account()
        told = {
            "senderPhone": "+12025550101",
            "receiverPhone": "+12025550102",
            "messageText": "Hello",
            "timestamp": 1,
            "uuid": "one",
        }
        for changes in ({}, {}, {"messageText": "Good bye"}):
            await caller.call("POST", "/api/send-sms", json={**told, **changes})
        values = await metrics(api)
        assert values["longcode_intake_waiting"] == 0
        assert values["longcode_intake_batches_total"] == 3
        calls = {end: values[f"longcode_intake_calls_total {end}"] for end in ("stored", "replayed", "refused")}
        assert calls == {"stored": 1, "replayed": 1, "refused": 1}
        assert values["process_resident_memory_bytes"] > 0


async def test_metrics_tell_how_carriers_and_their_queues_are_doing(sqlite_url: str) -> None:
    async with open_api(sqlite_url) as api:
        catalog, now = api.product.catalog_store, utc_now()
        north = await catalog.add_carrier("north", "smpp", {})
        await catalog.add_carrier("idle", "smpp", {})
        await catalog.add_carrier("simulator", "simulator", {})
        ago = now - timedelta(seconds=30)
        to_north = [replace(new(number), carrier_id=north, due_at=ago) for number in (1, 2)]
        await IntakeStore(api.database).insert([*to_north, replace(new(3), carrier_id=None, due_at=ago)], [])
        circuits, pause = CircuitStore(api.database), timedelta(seconds=5)
        for after in range(2):
            assert await circuits.open(north, "system_error", now=now, pause=pause, after=after)
        status = CarrierStatusStore(api.database)
        binds = [{"name": f"transceiver {number}", "state": LinkState.BOUND} for number in (1, 2)]
        await status.report(north, "a", {"binds": [*binds, {"state": LinkState.WAITING}]}, now)
        await status.report(north, "silent", {"binds": binds}, now - timedelta(minutes=1))

        values = await metrics(api)
        waiting = {name: values[f"longcode_outbox_messages {name}"] for name in ("", "north", "idle", "simulator")}
        assert waiting == {"": 1, "north": 2, "idle": 0, "simulator": 0}
        assert 30 <= values["longcode_outbox_oldest_seconds north"] < 60
        assert values["longcode_outbox_oldest_seconds idle"] == 0
        openings = {
            name: values[f"longcode_carrier_circuit_openings {name}"] for name in ("north", "idle", "simulator")
        }
        assert openings == {"north": 2, "idle": 0, "simulator": 0}
        told = {name: value for name, value in values.items() if name.startswith("longcode_carrier_binds ")}
        assert told == {
            "longcode_carrier_binds north bound": 2,
            "longcode_carrier_binds north waiting": 1,
            "longcode_carrier_binds idle bound": 0,
        }
        # Scraped again at once, the database is not asked again.
        await catalog.add_carrier("new", "simulator", {})
        assert "longcode_outbox_messages new" not in await metrics(api)


async def test_metrics_of_a_process_whose_database_is_down_leave_the_carriers_out(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with open_api(postgres_url) as api:
        postgres_server.kill()
        values = await metrics(api)
        assert "longcode_intake_waiting" in values
        assert "longcode_outbox_messages " not in values
        await asyncio.to_thread(postgres_server.start)


async def metrics(api: Api) -> dict[str, float]:
    """Every sample by its name and the values of its labels."""
    reply = await ask(api, "/metrics")
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/", ["error"]),
        ("/nothing/here", ["error"]),
        ("/inbound/sms/x", ["message", "error"]),
        ("/api/get-conversation", ["message"]),
        ("/numbers/1/2", ["message"]),
        ("/api/messages/x/y", ["detail"]),
        ("/%00", ["error"]),
        ("/%ff", ["error"]),
        ("//", ["error"]),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_what_stands_nowhere_is_404_in_the_nearest_envelope(
    api: Api, method: str, path: str, keys: list[str]
) -> None:
    reply = await api.anonymous.call(method, path)
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/json"
    assert list(reply.json)[: len(keys)] == keys
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/openapi.yaml", "/swagger.yaml"])
async def test_what_is_only_read_has_no_other_method(api: Api, path: str) -> None:
    reply = await api.anonymous.call("POST", path)
    assert reply.status == 405
    assert {method.strip() for method in reply.headers["allow"].split(",")} == {"GET", "HEAD"}
    assert list(reply.json) == ["error"]
