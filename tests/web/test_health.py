"""`/healthz`, `/readyz` and `/metrics`, and what stands at no path."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.app import Api, Reply, open_api
from tests.processes import wait_until_async
from tests.services.postgresql import PostgresServer
from tests.services.valkey import ValkeyServer
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


async def metrics(api: Api) -> dict[str, float]:
    """Every sample by its name and the values of its labels."""
    reply = await ask(api, "/metrics")
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    "path", ["/", "/api", "/nothing/here", "/inbound/sms/x", "/api/messages/x/y", "/%00", "/%ff", "//"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_what_stands_nowhere_is_404_in_json(api: Api, method: str, path: str) -> None:
    reply = await api.anonymous.call(method, path)
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/json"
    assert list(reply.json) == ["error"]
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/swagger.yaml"])
async def test_what_is_only_read_has_no_other_method(api: Api, path: str) -> None:
    reply = await api.anonymous.call("POST", path)
    assert reply.status == 405
    assert {method.strip() for method in reply.headers["allow"].split(",")} == {"GET", "HEAD"}
    assert list(reply.json) == ["error"]
