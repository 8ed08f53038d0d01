"""The smaller resources of the native API, each through its life."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from longcode.api.cursors import MOST
from longcode.domain.clock import utc_now
from longcode.flow.identity import OPERATOR_PREFIX, hash_key, new_key
from longcode.store.event_stream import EventStream
from longcode.store.opt_outs import OptOut
from tests.api.described import HELLO, Client, client
from tests.app import Api


@pytest.fixture
async def mine(api: Api) -> Client:
    return await client(api)


@pytest.fixture
async def operator(mine: Client) -> Client:
    """An operator who acts for the same account."""
    return await operator_for(mine)


async def operator_for(mine: Client) -> Client:
    key = new_key(OPERATOR_PREFIX)
    await mine.api.product.accounts.add_operator_key(hash_key(key), key[:8])
    return Client(mine.api, mine.caller, {"Authorization": f"Bearer {key}", "Longcode-Account": mine.caller.name})


def number_of(mine: Client, tail: int = 0) -> str:
    """A number that no other test has."""
    return f"+1202{mine.account_id % 1000:03}{mine.account_id // 1000 * 1000 + tail:06}"


async def test_numbers_are_kept_searched_changed_and_deleted(mine: Client) -> None:
    made = await mine.post("/numbers", {"value": "+1 202 555-0111", "monthly_price": "0.5"})
    assert (made.status, made.json["monthly_price"], made.json["assigned"]) == (201, "0.50", False)
    again = await mine.post("/numbers", {"value": "12025550111"})
    assert (again.status, again.json["code"]) == (409, "duplicate")
    other = (await mine.post("/numbers", {"value": "12025550112", "currency": "€"})).json
    path = f"/numbers/{made.json['id']}"
    assert (await mine.get(path)).json == made.json
    changed = await mine.call("PATCH", path, {"setup_price": "3.40"})
    assert (changed.json["setup_price"], changed.json["monthly_price"]) == ("3.40", "0.50")
    assert (await mine.call("PATCH", path, {"value": "12025550112"})).json["code"] == "duplicate"
    assert [one["id"] for one in (await mine.get("/numbers?search=550111")).json["items"]] == [made.json["id"]]
    assert (await mine.get("/numbers?assigned=true")).json["items"] == []
    first = await mine.get("/numbers?limit=1")
    second = await mine.get(f"/numbers?limit=1&cursor={first.json['next']}")
    assert [one["id"] for one in second.json["items"]] == [other["id"]]
    assert (await mine.call("DELETE", path)).status == 204
    assert (await mine.get(path)).status == (await mine.call("DELETE", path)).status == 404


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/value"}),
        (
            {"value": "12ab", "monthly_price": 1, "setup_price": "1,5", "currency": ""},
            {
                "/value",
                "/monthly_price",
                "/setup_price",
                "/currency",
            },
        ),
        ({"value": "12025550111", "id": 7}, {"/id"}),
        ({"value": "12025550111", "currency": "U$\n"}, {"/currency"}),
        ({"value": "12025550111", "currency": "  "}, {"/currency"}),
    ],
)
async def test_a_number_that_cannot_be_is_refused(mine: Client, body: dict[str, object], pointers: set[str]) -> None:
    reply = await mine.post("/numbers", body)
    assert (reply.status, {fault["pointer"] for fault in reply.json["errors"]}) == (422, pointers)


async def test_only_an_operator_assigns_and_releases_numbers(mine: Client, operator: Client) -> None:
    value = number_of(mine)
    assert (await mine.post("/numbers/assign", {"value": value})).json["code"] == "operator_only"
    assert (await operator.post("/numbers/assign", {"value": value})).status == 200
    assert [one["value"] for one in (await mine.get("/numbers?assigned=true")).json["items"]] == [value]
    other = await operator_for(await client(mine.api))
    assert (await other.post("/numbers/assign", {"value": value})).json["code"] == "duplicate"
    assert (await operator.post("/numbers/release", {"value": value})).status == 200
    assert (await operator.post("/numbers/release", {"value": value})).status == 404


async def test_numbers_come_and_go_as_csv(mine: Client, operator: Client) -> None:
    first, second = number_of(mine, 1), number_of(mine, 2)
    file = f"value,monthly_price\n{first},0.25\n{second},\n".encode()
    brought = await mine.call("POST", "/numbers/import", body=file)
    assert (brought.status, brought.json) == (200, {"added": 2, "unchanged": 0, "conflicts": []})
    assert (await mine.call("POST", "/numbers/import", body=file)).json["unchanged"] == 2
    assert (await operator.call("POST", "/numbers/import", body=file)).json["added"] == 2
    written = await mine.get("/numbers.csv")
    assert written.body.decode().splitlines() == [
        "value,monthly_price,setup_price,currency,assigned",
        f"{first},0.25,0.00,U$,1",
        f"{second},0.00,0.00,U$,1",
    ]
    assert (await mine.call("POST", "/numbers/import", body=written.body)).json["added"] == 0


async def test_numbers_of_another_account_are_told_and_the_rest_is_assigned(mine: Client, operator: Client) -> None:
    taken, free = number_of(mine, 1), number_of(mine, 2)
    await operator.post("/numbers/assign", {"value": taken})
    other = await client(mine.api)
    file = f"value,monthly_price\n{taken},1.00\n{free},0.25\n".encode()
    brought = await (await operator_for(other)).call("POST", "/numbers/import", body=file)
    conflict = f"{taken}: the number is assigned to another account"
    assert (brought.status, brought.json) == (200, {"added": 1, "unchanged": 0, "conflicts": [conflict]})
    [number] = (await other.get("/numbers")).json["items"]
    assert (number["value"], number["monthly_price"], number["assigned"]) == (free, "0.25", True)


@pytest.mark.parametrize(
    ("file", "details"),
    [
        (b"number\n1\n", ["the file has no column `value`", "the file has an unknown column 'number'"]),
        (b"value,currency\nx,\n12025550111,123456789\n", ["line 2: value is invalid", "line 3: currency is invalid"]),
        (b'value,currency\n12025550111,"a\nb"\n', ["line 3: currency is invalid"]),
        (b"value\n1,2\n", ["line 2: more fields than columns"]),
        (b"value,currency,value\n12025550111,U$,12025550112\n", ["the file has the column 'value' twice"]),
        (b"\xff", None),
    ],
)
async def test_a_faulty_file_changes_nothing(mine: Client, file: bytes, details: list[str] | None) -> None:
    reply = await mine.call("POST", "/numbers/import", body=file)
    assert reply.status == 422
    if details is not None:
        assert [fault["detail"] for fault in reply.json["errors"]] == details
        assert reply.json["detail"] == "; ".join(details)
    assert (await mine.get("/numbers")).json["items"] == []


async def test_messages_to_a_number_go_where_its_account_says(mine: Client, operator: Client) -> None:
    value = number_of(mine)
    await operator.post("/numbers/assign", {"value": value})
    [number] = (await mine.get("/numbers")).json["items"]
    path = f"/numbers/{number['id']}/inbound"
    assert (await mine.get(path)).json == {"mailbox": None, "reply": None, "webhook_id": None}
    wrong = await mine.call("PUT", path, {"mailbox": "nobody", "webhook_id": 9})
    assert [fault["detail"] for fault in wrong.json["errors"]] == [
        "the account has no login nobody",
        "the account has no webhook endpoint 9",
    ]
    await mine.post("/mailboxes", {"login": "anna"})
    body = {"mailbox": "anna", "reply": "Hi", "webhook_id": None}
    assert (await mine.call("PUT", path, body)).json == body
    assert (await mine.get(path)).json == body
    await mine.call("PUT", path, {})
    assert (await mine.get(path)).json["mailbox"] is None


async def test_sender_ids_are_the_operators_to_give(mine: Client, operator: Client) -> None:
    assert (await mine.post("/senders", {"sender": "Shop"})).status == 403
    assert (await operator.post("/senders", {"sender": "Shop"})).status == 201
    assert [one["sender"] for one in (await mine.get("/senders")).json["items"]] == ["MyCorp", "Shop"]
    first = await mine.get("/senders?limit=1")
    assert (await mine.get(f"/senders?cursor={first.json['next']}")).json["items"] == [{"sender": "Shop"}]
    assert (await operator.call("DELETE", "/senders/Shop")).status == 204
    assert (await operator.call("DELETE", "/senders/Shop")).status == 404


async def test_a_pool_picks_the_sender(mine: Client, operator: Client) -> None:
    await operator.post("/senders", {"sender": "Shop"})
    refused = await mine.post("/pools", {"name": "all", "senders": ["MyCorp", "Nobody"]})
    assert (refused.status, refused.json["code"]) == (403, "refused")
    assert (await mine.get("/pools")).json["items"] == []
    made = await mine.post("/pools", {"name": "all", "senders": ["MyCorp"]})
    assert (made.status, [one["sender"] for one in made.json["senders"]]) == (201, ["MyCorp"])
    assert (await mine.post("/pools", {"name": "all"})).json["code"] == "duplicate"
    assert len((await mine.post("/pools/all/senders", {"senders": ["Shop"]})).json["senders"]) == 2
    body = {"pool": "all", "recipient": "+12025550190", "text": "Hello"}
    senders = {(await mine.post("/messages", body)).json["sender"] for _ in range(3)}
    assert len(senders) == 1
    assert (await mine.get("/pools")).json["items"] == [{"name": "all", "senders": 2, "recipients": 1}]
    assert (await mine.call("DELETE", "/pools/all/senders/Shop")).status == 204
    assert (await mine.call("DELETE", "/pools/all/senders/Shop")).status == 404
    await mine.call("DELETE", "/pools/all/senders/MyCorp")
    assert (await mine.post("/messages", body)).json["code"] == "pool_empty"
    assert (await mine.call("DELETE", "/pools/all")).status == 204
    for path in ("/pools/all",):
        assert (await mine.get(path)).json["code"] == "not_found"
    assert (await mine.post("/messages", body)).json["code"] == "not_found"
    both = await mine.post("/messages", {**HELLO, "pool": "all"})
    assert (both.status, both.json["errors"][0]["pointer"]) == (422, "/sender")


async def test_names_in_paths_are_decoded_whatever_they_hold(mine: Client, operator: Client) -> None:
    await operator.post("/senders", {"sender": "Shop"})
    name, path = "a/b 100%2F", "/pools/a%2Fb%20100%252F"
    await mine.post("/pools", {"name": name, "senders": ["MyCorp"]})
    added = await mine.post(f"{path}/senders", {"senders": ["Shop"]})
    assert (added.status, added.json["name"], len(added.json["senders"])) == (200, name, 2)
    assert (await mine.get(path)).json == added.json
    word = await mine.call("PUT", "/keywords/on%2Foff%25", {"meaning": "answer", "reply": "On."})
    assert word.json["word"] == "onoff"
    assert (await mine.call("DELETE", "/keywords/on%2Foff%25")).status == 204


async def test_opt_outs_are_kept_and_lifted(mine: Client) -> None:
    made = await mine.post("/optouts", {"recipient": "+1 202 555 0190"})
    assert (made.status, made.json["recipient"], made.json["scope"]) == (201, "12025550190", "account")
    assert (await mine.post("/optouts", {"recipient": "12025550190"})).json == made.json
    single = await mine.post("/optouts", {"recipient": "12025550191", "sender": "MyCorp"})
    assert (single.json["scope"], single.json["sender"]) == ("number", "MyCorp")
    assert (await mine.post("/optouts", {"recipient": "1", "sender": "Nobody"})).json["errors"][0][
        "pointer"
    ] == "/sender"
    assert (await mine.post("/messages", HELLO)).json["code"] == "opted_out"
    first = await mine.get("/optouts?limit=1")
    second = await mine.get(f"/optouts?limit=1&cursor={first.json['next']}")
    assert [first.json["items"][0]["recipient"], second.json["items"][0]["recipient"]] == ["12025550190", "12025550191"]
    assert (await mine.call("DELETE", "/optouts/%2B12025550190")).status == 204
    assert (await mine.call("DELETE", "/optouts/12025550190")).status == 404
    assert (await mine.call("DELETE", "/optouts/12025550191?sender=MyCorp")).status == 204
    history = (await mine.get("/optouts/12025550190/history")).json["items"]
    assert [one["change"] for one in history] == ["created", "removed"]
    assert (await mine.post("/messages", HELLO)).status == 201


async def test_an_opt_out_is_shown_however_many_stand_before_it(mine: Client) -> None:
    at = mine.api.product.clock()
    others = [
        OptOut(account_id=mine.account_id, sender=f"A{number}", recipient="120255501910", source="api", created_at=at)
        for number in range(MOST + 1)
    ]
    await mine.api.product.opt_outs.add_many(others)
    made = await mine.post("/optouts", {"recipient": "12025550192"})
    assert (made.status, made.json["recipient"], made.json["scope"]) == (201, "12025550192", "account")


async def test_opt_outs_that_come_and_go_at_once_are_answered(mine: Client) -> None:
    calls = [("POST", "/optouts", {"recipient": "12025550190"}), ("DELETE", "/optouts/12025550190", None)] * 10
    replies = await asyncio.gather(*(mine.call(*call) for call in calls))
    assert {reply.status for reply in replies} <= {201, 204, 404}


async def test_carriers_of_one_name_at_once_are_one(operator: Client) -> None:
    name = f"of {operator.caller.name}"
    replies = await asyncio.gather(
        *(operator.post("/carriers", {"name": name, "driver": "simulator"}) for _ in range(8))
    )
    assert sorted(reply.status for reply in replies) == [201] + [409] * 7


async def test_an_account_may_begin_to_listen_in_many_places_at_once(mine: Client) -> None:
    events = EventStream(mine.api.database)
    await asyncio.gather(*(events.begin(mine.account_id) for _ in range(8)))


async def test_opt_outs_come_and_go_as_csv(mine: Client) -> None:
    file = b"recipient,scope,sender\n+1 202 555 0190,account,\n12025550191,number,MyCorp\n"
    assert (await mine.call("POST", "/optouts/import", body=file)).json == {"added": 2, "unchanged": 0}
    assert (await mine.post("/optouts", {"recipient": "=1+1"})).status == 201
    written = (await mine.get("/optouts.csv")).body
    assert len(written.splitlines()) == 4
    assert b"account,,'=1+1,api," in written
    assert (await mine.call("POST", "/optouts/import", body=written)).json == {"added": 0, "unchanged": 3}
    faulty = await mine.call("POST", "/optouts/import", body=b"recipient,scope\n,\n1,number\n")
    assert (faulty.status, len(faulty.json["errors"])) == (422, 2)
    # An end of a line to Unicode, and none to CSV.
    odd = await mine.call("POST", "/optouts/import", body=b"recipient\n12025550192\x1c5550193\n")
    assert (odd.status, len((await mine.get("/optouts")).json["items"])) == (422, 3)


async def test_keywords_mean_what_the_account_says(mine: Client) -> None:
    standard = (await mine.get("/keywords")).json["items"]
    assert {"word": "stop", "meaning": "stop"}.items() <= standard[0].items()
    made = await mine.call("PUT", "/keywords/Hours!", {"meaning": "answer", "reply": "9 to 5"})
    assert (made.status, made.json["word"], made.json["own"]) == (200, "hours", True)
    assert (await mine.get("/keywords")).json["items"][0] == made.json
    wrong = await mine.call("PUT", "/keywords/stop", {"meaning": "answer", "language": "fr"})
    assert len(wrong.json["errors"]) == 2
    unknown = await mine.call("PUT", "/keywords/x", {"meaning": "doubtful", "number": "12025550190"})
    assert [fault["pointer"] for fault in unknown.json["errors"]] == ["/meaning"]
    stranger = await mine.call("PUT", "/keywords/x", {"meaning": "help", "number": "12025550190"})
    assert [fault["pointer"] for fault in stranger.json["errors"]] == ["/number"]
    assert (await mine.call("DELETE", "/keywords/hours")).status == 204
    assert (await mine.call("DELETE", "/keywords/hours")).status == 404


async def test_answers_are_said_turned_off_and_taken_back(mine: Client) -> None:
    before = (await mine.get("/keyword-replies")).json["items"]
    said = await mine.call("PUT", "/keyword-replies/help", {"text": "Call {account}"})
    assert (said.status, said.json["text"]) == (200, "Call {account}")
    off = await mine.call("PUT", "/keyword-replies/help", {"text": ""})
    assert off.json["text"] is None
    assert (await mine.call("PUT", "/keyword-replies/help", {"text": " "})).status == 422
    wrong = await mine.call("PUT", "/keyword-replies/help", {"text": " ", "language": "f\nr"})
    assert [fault["pointer"] for fault in wrong.json["errors"]] == ["/text", "/language"]
    assert (await mine.call("PUT", "/keyword-replies/answer", {"text": "x"})).status == 404
    assert (await mine.call("DELETE", "/keyword-replies/help")).status == 204
    assert (await mine.get("/keyword-replies")).json["items"] == before


async def test_a_webhook_lives(mine: Client) -> None:
    made = await mine.post("/webhooks", {"url": "https://example.com/", "types": ["message.sent", "message.sent"]})
    assert (made.status, made.json["secret"][:6], made.json["types"]) == (201, "whsec_", ["message.sent"])
    path = f"/webhooks/{made.json['id']}"
    shown = (await mine.get(path)).json
    assert "secret" not in shown
    assert (await mine.get("/webhooks")).json["items"] == [shown]
    assert (await mine.post(f"{path}/disable")).json["disabled_reason"] == "by the account"
    since = (utc_now() - timedelta(hours=1)).isoformat()
    assert (await mine.post(f"{path}/replay", {"since": since})).json["errors"][0]["detail"].startswith("the endpoint")
    assert (await mine.post(f"{path}/enable")).json["enabled"] is True
    rotated = await mine.post(f"{path}/rotate", {})
    assert rotated.json["secret"] != made.json["secret"]
    assert (await mine.get(f"{path}/deliveries")).json["items"] == []
    await mine.send()
    assert (await mine.post(f"{path}/replay", {"since": since})).json == {"events": 0}
    for body in ({}, {"since": since, "event_id": "evt_01936f2c-6a54-7d5b-9c52-3c1f0d6b7a10"}, {"until": since}):
        assert (await mine.post(f"{path}/replay", body)).status == 422
    unknown = {"event_id": "evt_01936f2c-6a54-7d5b-9c52-3c1f0d6b7a10"}
    assert (await mine.post(f"{path}/replay", unknown)).status == 404
    assert (await mine.call("DELETE", path)).status == 204
    assert (await mine.get(path)).status == 404


async def test_an_endpoint_that_could_never_work_is_refused(mine: Client, operator: Client) -> None:
    for url in ("ftp://example.com", "http://127.0.0.1/", "x"):
        assert (await mine.post("/webhooks", {"url": url})).json["errors"][0]["pointer"] == "/url"
    private = {"url": "http://127.0.0.1:9/", "allow_private": True}
    assert (await mine.post("/webhooks", private)).json["errors"][0]["pointer"] == "/allow_private"
    assert (await operator.post("/webhooks", private)).status == 201
    unknown = await mine.post("/webhooks", {"url": "https://example.com/", "types": ["message.lost"]})
    assert [fault["pointer"] for fault in unknown.json["errors"]] == ["/types/0"]


async def test_a_key_makes_no_more_than_it_may(mine: Client) -> None:
    made = await mine.post("/keys", {"scopes": ["messages:read", "keys:write", "keys:read"]})
    limited = Client(mine.api, mine.caller, {"Authorization": f"Bearer {made.json['key']}"})
    assert (await limited.get("/messages")).status == 200
    assert (await limited.post("/messages", HELLO)).status == 403
    for scopes in (None, ["messages:write"]):
        assert (await limited.post("/keys", {"scopes": scopes})).json["code"] == "scope_missing"
    narrower = await limited.post("/keys", {"scopes": ["messages:read"]})
    assert (narrower.status, narrower.json["scopes"]) == (201, ["messages:read"])
    assert (await mine.post("/keys", {"scopes": ["operator"]})).json["errors"][0]["pointer"] == "/scopes/0"
    path = f"/keys/{narrower.json['id']}"
    assert (await mine.call("DELETE", path)).status == 204
    assert (await mine.get(path)).json["revoked_at"] is not None
    assert (await mine.call("DELETE", path)).status == 404
    assert len((await mine.get("/keys")).json["items"]) == 2
    assert "key" not in (await mine.get(path)).json


async def test_usage_is_told_day_by_day(mine: Client, operator: Client) -> None:
    carrier = f"sim-{mine.account_id}"
    await operator.post("/carriers", {"name": carrier, "driver": "simulator"})
    route = {"carrier": carrier, "account": mine.caller.name, "cost": "0.0075"}
    assert (await operator.post("/routes", route)).status == 201
    await mine.send(text="x" * 200)
    days = (await mine.get("/usage")).json["items"]
    assert len(days) == 7
    today = days[-1]
    assert (today["sent_messages"], today["sent_segments"], today["cost"]) == (1, 2, "0.015")
    assert days[0]["sent_messages"] == 0
    looked = await mine.post("/messages/preview", {"text": "x" * 200, "recipient": "+12025550190"})
    assert (looked.json["cost"], looked.json["currency"]) == ("0.0150", today["currency"])
    for query in ("since=2026-01-01&until=2026-03-01", "since=2026-01-02&until=2026-01-01", "since=today"):
        assert (await mine.get(f"/usage?{query}")).json["errors"][0]["field"] == "since"
    await operator.call("DELETE", "/routes/" + str((await operator.get("/routes")).json["items"][0]["id"]))


async def test_carriers_and_routes_are_the_operators(mine: Client, operator: Client) -> None:
    for path in ("/carriers", "/routes", "/accounts"):
        assert (await mine.get(path)).json["code"] == "operator_only"
    name = f"smsc-{mine.account_id}"
    settings = {"host": "localhost", "port": "2775", "system_id": "x", "password": "secret"}
    wrong = await operator.post("/carriers", {"name": name, "driver": "smpp", "settings": {"port": "x", "color": "1"}})
    assert {fault["pointer"]: fault["code"] for fault in wrong.json["errors"]} == {
        "/settings/host": "missing",
        "/settings/system_id": "missing",
        "/settings/password": "missing",
        "/settings/port": "invalid",
        "/settings/color": "invalid",
    }
    made = await operator.post("/carriers", {"name": name, "driver": "smpp", "settings": settings})
    assert (made.status, made.json["settings"]["password"]) == (201, "•••")
    assert (await operator.post("/carriers", {"name": name, "driver": "simulator"})).json["code"] == "duplicate"
    path = f"/carriers/{name}"
    changed = await operator.call("PATCH", path, {"settings": {"port": "2776", "tls": "1"}})
    assert (changed.json["settings"]["port"], changed.json["settings"]["tls"]) == ("2776", "1")
    for _ in range(2):
        without = await operator.call("PATCH", path, {"settings": {"tls": None}})
        assert (without.status, "tls" in without.json["settings"]) == (200, False)
    assert (await operator.post(f"{path}/pause")).json["paused"] is True
    assert (await operator.post(f"{path}/resume")).json["paused"] is False
    faulty = await operator.post("/routes", {"carrier": "none", "prefix": "x", "account": "nobody", "cost": "1,5"})
    assert {fault["pointer"] for fault in faulty.json["errors"]} == {"/carrier", "/prefix", "/account", "/cost"}
    route = await operator.post("/routes", {"carrier": name, "prefix": "99", "account": mine.caller.name})
    assert (route.status, route.json["account"]) == (201, mine.caller.name)
    assert route.json in (await operator.get("/routes")).json["items"]
    assert (await operator.call("DELETE", path)).json["code"] == "refused"
    assert (await operator.call("DELETE", f"/routes/{route.json['id']}")).status == 204
    assert (await operator.get(f"/routes/{route.json['id']}")).status == 404
    assert (await operator.call("DELETE", path)).status == 204
    assert (await operator.get(path)).status == 404


async def test_accounts_are_made_and_bounded(mine: Client, operator: Client) -> None:
    name = f"{mine.caller.name}-child"
    made = await operator.post("/accounts", {"name": name})
    assert (made.status, len(made.json["secret"]) > 20) == (201, True)
    assert (await operator.post("/accounts", {"name": name, "secret": "s"})).json["code"] == "duplicate"
    assert (await operator.post("/accounts", {"name": "a:b"})).json["errors"][0]["pointer"] == "/name"
    assert (await operator.get(f"/accounts/{name}")).json["name"] == name
    assert (await operator.post(f"/accounts/{name}/secret", {"secret": "s"})).json == {"name": name, "secret": None}
    own = f"/accounts/{mine.caller.name}/limits"
    bounded = await operator.call("PUT", own, {"segments_per_day": 1, "destinations": ["+1202"]})
    assert (bounded.json["segments_per_day"], bounded.json["destinations"]) == (1, ["1202"])
    assert (await mine.post("/messages", {**HELLO, "recipient": "447700900123"})).json["code"] == "destination_refused"
    await mine.send()
    capped = await mine.post("/messages", HELLO)
    assert (capped.status, capped.json["code"], "retry-after" in capped.headers) == (429, "cap_reached", True)
    assert (await operator.get(own)).json["segments_today"] == 1
    await operator.call("PUT", own, {})
    assert (await mine.post("/messages", HELLO)).status == 201
    wrong = await operator.call("PUT", own, {"spend_per_day": "1,5", "destinations": ["x"]})
    assert {fault["pointer"] for fault in wrong.json["errors"]} == {"/spend_per_day", "/destinations/0"}
    listed = await operator.get("/accounts?limit=1")
    assert len(listed.json["items"]) == 1


async def test_a_conversation_is_read_back_page_by_page(mine: Client, operator: Client) -> None:
    value = number_of(mine)
    await operator.post("/numbers/assign", {"value": value})
    await mine.send(sender=value, text="one")
    body = {"from": "+12025550190", "to": value, "text": "two"}
    assert (await mine.caller.call("POST", "/inbound/sms/", json=body)).status == 200
    quoted = value.replace("+", "%2B")
    lines = (await mine.get(f"/conversations/{quoted}")).json["items"]
    assert {(line["text"], line["direction"]) for line in lines} == {("one", "sent"), ("two", "received")}
    first = await mine.get(f"/conversations/{quoted}?limit=1")
    second = await mine.get(f"/conversations/{quoted}?limit=1&cursor={first.json['next']}")
    assert [*first.json["items"], *second.json["items"]] == lines
    assert second.json["next"] is None
    numbers = (await mine.get("/conversations")).json["items"]
    assert numbers == [{"number": one} for one in sorted([value, "+12025550190"])]
    page = await mine.get("/conversations?limit=1")
    assert (await mine.get(f"/conversations?cursor={page.json['next']}")).json["items"] == numbers[1:]
    assert (await mine.get("/conversations/nobody")).json["code"] == "not_found"
