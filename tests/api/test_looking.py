"""What is looked at where something is wrong: timelines, trials, how carriers stand, and what fits nothing."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from sqlalchemy import insert

from longcode.domain.clock import mint_id, utc_now
from longcode.store import schema
from longcode.store.receipts import ReceiptStore
from tests.api.described import HELLO, Client, client
from tests.api.test_resources import number_of, operator_for
from tests.app import Api
from tests.store.test_timeline import receipt
from tests.webhooks.endpoint import answer, listening


@pytest.fixture
async def mine(api: Api) -> Client:
    return await client(api)


@pytest.fixture
async def operator(mine: Client) -> Client:
    return await operator_for(mine)


async def everything(caller: Client, path: str) -> list[Any]:
    """All items of a list, page by page of two."""
    found, cursor = [], ""
    while True:
        page = (await caller.get(f"{path}{'&' if '?' in path else '?'}limit=2{cursor}")).json
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


async def test_a_message_tells_what_happened_to_it(mine: Client, operator: Client) -> None:
    name = f"smsc-{secrets.token_hex(4)}"
    await operator.post("/carriers", {"name": name, "driver": "simulator"})
    await operator.post("/routes", {"carrier": name, "account": mine.caller.name})
    sent = await mine.send(reference="order-17")
    path = f"/messages/{sent['id']}/timeline"
    told = (await mine.get(path)).json
    assert told["message"] == sent
    assert (told["attempts"], told["carrier"]) == (0, None)
    assert [event["event"] for event in told["timeline"]] == ["accepted", "queued", "state"]
    assert "order-17" in told["timeline"][0]["detail"]
    # With whom the operator works is told to the operator alone.
    assert name not in str(told)
    seen = (await operator.get(path)).json
    assert (seen["carrier"], name in seen["timeline"][1]["detail"]) == (name, True)
    other = await client(mine.api)
    assert (await other.get(path)).json["code"] == "not_found"
    assert (await (await operator_for(other)).get(path)).json["code"] == "not_found"


async def test_a_webhook_can_be_tried(mine: Client, operator: Client) -> None:
    async with listening() as endpoint:
        made = (await operator.post("/webhooks", {"url": endpoint.url, "allow_private": True})).json
        path = f"/webhooks/{made['id']}/test"
        tried = (await mine.post(path)).json
        assert (tried["taken"], tried["status"], tried["error"]) == (True, 200, None)
        assert endpoint.requests[0].verified(made["secret"])["type"] == "webhook.test"
        endpoint.script = lambda _: answer(500)
        refused = (await mine.post(path)).json
        assert (refused["taken"], refused["status"], refused["error"]) == (False, 500, "it answered 500")
        assert (await mine.get(f"/webhooks/{made['id']}/deliveries")).json["items"] == []
    assert (await (await client(mine.api)).post(path)).status == 404


async def test_a_carrier_can_be_tried_and_tells_how_it_stands(operator: Client) -> None:
    name = f"smsc-{secrets.token_hex(4)}"
    await operator.post("/carriers", {"name": name, "driver": "simulator"})
    assert (await operator.post(f"/carriers/{name}/test")).json == {
        "works": True,
        "steps": ["the simulator needs no connection"],
        "error": None,
    }
    state = (await operator.get(f"/carriers/{name}/status")).json
    assert (state["waiting"], state["oldest_due_at"], state["circuit"], state["links"]) == (0, None, None, [])
    settings = {"host": "127.0.0.1", "port": "1", "system_id": "us", "password": "secret"}
    await operator.post("/carriers", {"name": f"{name}b", "driver": "smpp", "settings": settings})
    tried = (await operator.post(f"/carriers/{name}b/test")).json
    assert (tried["works"], tried["steps"]) == (False, [])
    assert "127.0.0.1:1" in tried["error"]
    for path in (f"/carriers/{name}c/test", f"/carriers/{name}c/status"):
        assert (await operator.call("POST" if path.endswith("test") else "GET", path)).status == 404
    assert (await operator.call("DELETE", f"/carriers/{name}b")).status == 204


async def test_it_is_told_where_a_message_would_go(mine: Client, operator: Client) -> None:
    name = f"smsc-{secrets.token_hex(4)}"
    await operator.post("/carriers", {"name": name, "driver": "simulator"})
    draft = {"carrier": name, "account": mine.caller.name, "prefix": "1202"}
    route = (await operator.post("/routes", draft)).json
    asked = {"recipient": "+1 202 555 0190", "account": mine.caller.name}
    [way, *_] = (await operator.post("/routes/test", asked)).json["items"]
    assert way == {
        "place": 1,
        "carrier": name,
        "route_id": route["id"],
        "why": "prefix 1202, priority 0",
        "now": "open",
    }
    await operator.post(f"/carriers/{name}/pause")
    assert (await operator.post("/routes/test", asked)).json["items"][0]["now"] == "passed over: paused"
    assert (await operator.post("/routes/test", {"recipient": "x"})).json["errors"][0]["pointer"] == "/recipient"
    assert (await operator.post("/routes/test", {**asked, "account": "nobody at all"})).status == 404


async def test_an_account_with_a_long_name_can_have_routes(operator: Client) -> None:
    name = f"smsc-{secrets.token_hex(4)}"
    account = {"account": (name * 255)[:255]}
    assert (await operator.post("/accounts", {"name": account["account"]})).status == 201
    assert (await operator.post("/carriers", {"name": name, "driver": "simulator"})).status == 201
    route = (await operator.post("/routes", {"carrier": name, **account})).json
    [way, *_] = (await operator.post("/routes/test", {"recipient": "12025550190", **account})).json["items"]
    assert (route["account"], way["route_id"]) == (account["account"], route["id"])
    await operator.call("DELETE", f"/routes/{route['id']}")
    await operator.call("DELETE", f"/carriers/{name}")


async def test_receipts_and_messages_that_fit_nothing_are_listed(operator: Client) -> None:
    database, marks = operator.api.database, [secrets.token_hex(8) for _ in range(5)]
    for mark in marks:
        await ReceiptStore(database, utc_now, mint_id).append([receipt(mark, carrier_id=None)])
    for path in ("/receipts?unmatched=true", "/receipts"):
        found = [one["provider_reference"] for one in await everything(operator, path)]
        assert len(found) == len(set(found))
        assert [one for one in found if one in marks] == marks[::-1]
    rows = [
        {
            "id": mint_id(),
            "carrier_id": 9999,
            "sender": "+12025550190",
            "recipient": "+12025550111",
            "text": mark,
            "partial": False,
            "received_at": utc_now(),
        }
        for mark in marks
    ]
    async with database.write() as connection:
        await connection.execute(insert(schema.inbound_unowned), rows)
    unowned = await everything(operator, "/inbound/unowned")
    assert [one["text"] for one in unowned if one["text"] in marks] == marks[::-1]
    assert (unowned[0]["carrier"], unowned[0]["complete"]) == ("9999", True)
    for path in ("/receipts", "/inbound/unowned"):
        assert (await operator.get(f"{path}?cursor=x")).json["errors"][0]["field"] == "cursor"


async def test_what_may_be_meant_as_an_opt_out_is_listed(mine: Client, operator: Client) -> None:
    value = number_of(mine)
    await operator.post("/numbers/assign", {"value": value})
    other = await client(mine.api)
    theirs = number_of(other)
    await (await operator_for(other)).post("/numbers/assign", {"value": theirs})
    texts = ["please stop", "hello", "stop it now"]
    for text in texts:
        await other.send(sender=theirs, recipient=value, text=text)
    found = await everything(mine, "/optouts/doubtful")
    assert [(one["sender"], one["text"]) for one in found] == [(theirs, texts[0]), (theirs, texts[2])]
    assert await everything(other, "/optouts/doubtful") == []
    assert (await mine.get("/optouts/doubtful?cursor=x")).status == 422


async def test_paces_live(mine: Client, operator: Client) -> None:
    path = f"/accounts/{mine.caller.name}/pace"
    whole = await operator.call("PUT", path, {"segments_per_second": 30})
    assert whole.json == {"account": mine.caller.name, "sender": None, "segments_per_second": 30.0}
    of_a_stranger = await operator.call("PUT", path, {"segments_per_second": 0.5, "sender": "+1 202 555-0101"})
    assert [fault["pointer"] for fault in of_a_stranger.json["errors"]] == ["/sender"]
    assert (await operator.call("PUT", path, {"segments_per_second": 0.5, "sender": "Nobody"})).status == 422
    await mine.api.whitelist(mine.caller, "12025550101")
    one = await operator.call("PUT", path, {"segments_per_second": 0.5, "sender": "12025550101"})
    listed = (await operator.get("/paces")).json["items"]
    assert [pace for pace in listed if pace["account"] == mine.caller.name] == [whole.json, one.json]
    assert (await operator.call("DELETE", f"{path}?sender=12025550101")).status == 204
    assert (await operator.call("DELETE", path)).status == 204
    assert (await operator.call("DELETE", path)).status == 404
    too_slow = await operator.call("PUT", path, {"segments_per_second": 0})
    assert too_slow.json["errors"][0]["pointer"] == "/segments_per_second"
    assert (await operator.call("PUT", "/accounts/nobody at all/pace".replace(" ", "%20"), whole.json)).status == 422


async def test_an_operator_makes_and_revokes_keys(operator: Client) -> None:
    made = (await operator.post("/operator-keys")).json
    another = Client(operator.api, operator.caller, {"Authorization": f"Bearer {made['key']}"})
    listed = await everything(another, "/operator-keys")
    assert [one["revoked_at"] for one in listed if one["id"] == made["id"]] == [None]
    path = f"/operator-keys/{made['id']}"
    assert (await another.call("DELETE", path)).json["code"] == "refused"
    assert (await operator.call("DELETE", path)).status == 204
    assert (await operator.call("DELETE", path)).status == 404


async def test_a_dump_is_brought_in_and_again(operator: Client) -> None:
    name = f"of-{secrets.token_hex(4)}"
    dump = (
        "COPY account (id, auth_id, username) FROM stdin;\n"
        f"1\tsecret-of-one\t{name}\n\\.\n"
        "COPY phone_number (id, number, account_id) FROM stdin;\n"
        f"1\t{number_of(operator, 7).removeprefix('+')}\t1\n\\.\n"
    ).encode()
    first = await operator.call("POST", "/import/accounts", body=dump)
    assert (first.status, first.json["accounts_added"], first.json["numbers_added"]) == (200, 1, 1)
    again = (await operator.call("POST", "/import/accounts", body=dump)).json
    assert (again["accounts_unchanged"], again["numbers_unchanged"], again["conflicts"]) == (1, 1, [])
    assert (await operator.get(f"/accounts/{name}")).status == 200
    broken = await operator.call("POST", "/import/accounts", body=b"COPY account (id) FROM stdin;\n1\n")
    assert (broken.status, broken.json["code"]) == (422, "invalid_request")
    assert (await operator.call("POST", "/import/accounts", body=b"")).status == 422


async def test_what_is_wrong_is_told(operator: Client) -> None:
    name = f"smsc-{secrets.token_hex(4)}"
    await operator.post("/carriers", {"name": name, "driver": "simulator"})
    route = (await operator.post("/routes", {"carrier": name, "account": operator.caller.name})).json
    await operator.post(f"/carriers/{name}/pause")
    await operator.post("/messages", HELLO)
    faults = (await operator.get("/diagnosis")).json["faults"]
    assert [fault for fault in faults if name in fault] == [
        f"carrier {name}: is paused while 1 wait for it; `longcode carrier resume`"
    ]
    await operator.call("DELETE", f"/routes/{route['id']}")


async def test_these_are_the_operators(mine: Client) -> None:
    for path in ("/receipts", "/inbound/unowned", "/diagnosis", "/paces", "/operator-keys"):
        assert (await mine.get(path)).json["code"] == "operator_only"
