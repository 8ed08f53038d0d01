"""`/api/send-sms`, `/api/receive-sms` and `/api/get-conversation/<phone>` as their clients see them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from sqlalchemy import select

from longcode.store import schema
from tests.app import Api, Caller, open_api
from tests.calls import Reply
from tests.services.postgresql import PostgresServer
from tests.services.valkey import ValkeyServer

# Nobody's numbers: no test assigns them.
ALICE, BOB, CAROL = "+13005550101", "+13005550102", "+13005550103"
SEND, RECEIVE, READ = "/api/send-sms", "/api/receive-sms", "/api/get-conversation/"
SUCCESS = {SEND: "SMS sent successfully", RECEIVE: "SMS received successfully"}
ABSENT = object()

_unassigned = (f"+1{area}55501{line:02}" for area in range(301, 400) for line in range(100))


@pytest.fixture
def ours() -> str:
    """A number that no account has yet; the product is shared, and a number has one owner."""
    return next(_unassigned)


def told(**changes: object) -> dict[str, object]:
    """A good body with some fields changed; ABSENT leaves one out."""
    fields = {
        "senderPhone": ALICE,
        "receiverPhone": BOB,
        "messageText": "Hello",
        "timestamp": 1645845235,
        "uuid": str(uuid4()),
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ABSENT}


async def tell(caller: Caller, path: str, **changes: object) -> Reply:
    return await caller.call("POST", path, body=json.dumps(told(**changes)).encode())


async def read(caller: Caller, number: str, query: str = "") -> Reply:
    return await caller.call("GET", f"{READ}{quote(number, safe='')}{query}")


async def lines(caller: Caller, number: str) -> list[tuple[str, str, int, str]]:
    """The conversation of a number, each line with exactly its four keys."""
    reply = await read(caller, number)
    assert reply.status == 200, reply.body
    assert list(reply.json) == ["messages"]
    return as_lines(reply)


def as_lines(reply: Reply) -> list[tuple[str, str, int, str]]:
    for message in reply.json["messages"]:
        assert set(message) == {"phone_number", "message_text", "timestamp", "direction"}
    return [(m["phone_number"], m["message_text"], m["timestamp"], m["direction"]) for m in reply.json["messages"]]


async def stored(api: Api, caller: Caller) -> list[tuple[str, bool]]:
    """Status, and whether it waits for a carrier, of each message of the account."""
    message, outbox = schema.message, schema.outbox
    query = (
        select(message.c.status, outbox.c.message_id.is_not(None))
        .join(outbox, outbox.c.message_id == message.c.id, isouter=True)
        .where(message.c.account_id == caller.account_id)
        .order_by(message.c.id)
    )
    async with api.database.read() as connection:
        return [(status, bool(waits)) for status, waits in await connection.execute(query)]


GOOD = [
    pytest.param({}, id="a plain message"),
    pytest.param({"extra": {"deep": [1]}}, id="unknown keys are ignored"),
    pytest.param({"senderPhone": "x", "receiverPhone": " "}, id="a phone may be one character, even a space"),
    pytest.param({"senderPhone": "😀" * 20}, id="20 code points, though 80 bytes"),
    pytest.param({"messageText": "😀" * 1600}, id="1600 code points, though 6400 bytes"),
    pytest.param({"messageText": " \n"}, id="nothing is trimmed away"),
    pytest.param({"uuid": "7"}, id="a uuid of any form"),
    pytest.param({"uuid": "é" * 36}, id="a uuid of 36 characters"),
    pytest.param({"timestamp": 0}, id="the first second"),
    pytest.param({"timestamp": 2**63 - 1}, id="the last second"),
    pytest.param({"timestamp": "1645845235"}, id="a timestamp as digits"),
]


@pytest.mark.parametrize("path", [SEND, RECEIVE])
@pytest.mark.parametrize("changes", GOOD)
async def test_a_good_message_is_taken_and_shown_as_it_was_told(
    api: Api, path: str, changes: dict[str, object]
) -> None:
    caller = await api.account()
    body: dict[str, Any] = told(**changes)
    reply = await caller.call("POST", path, body=json.dumps(body).encode())
    assert (reply.status, reply.json) == (200, {"message": SUCCESS[path]})
    assert reply.headers["content-type"] == "application/json"
    text, at = body["messageText"], int(body["timestamp"])
    assert await lines(caller, body["senderPhone"]) == [(body["receiverPhone"], text, at, "sent")]
    assert await lines(caller, body["receiverPhone"]) == [(body["senderPhone"], text, at, "received")]


FIELDS = ("senderPhone", "receiverPhone", "messageText", "timestamp", "uuid")
BAD = [
    *(pytest.param({name: ABSENT}, f"{name} is missing", id=f"no {name}") for name in FIELDS),
    *(pytest.param({name: None}, f"{name} is missing", id=f"{name} is null") for name in FIELDS),
    *(pytest.param({name: ""}, f"{name} is invalid", id=f"{name} is empty") for name in FIELDS),
    *(pytest.param({name: True}, f"{name} is invalid", id=f"{name} is a boolean") for name in FIELDS),
    *(pytest.param({name: ["1"]}, f"{name} is invalid", id=f"{name} is a list") for name in FIELDS),
    *(pytest.param({name: "a\x00b"}, f"{name} is invalid", id=f"{name} has U+0000") for name in FIELDS),
    *(pytest.param({name: "a\ud83d"}, f"{name} is invalid", id=f"{name} has a lone surrogate") for name in FIELDS),
    pytest.param({"senderPhone": 13005550101}, "senderPhone is invalid", id="a phone as a number"),
    pytest.param({"senderPhone": "1" * 21}, "senderPhone is invalid", id="a phone of 21 characters"),
    pytest.param({"receiverPhone": "1" * 21}, "receiverPhone is invalid", id="a receiver of 21 characters"),
    pytest.param({"messageText": "x" * 1601}, "messageText is invalid", id="a text of 1601 characters"),
    pytest.param({"uuid": "x" * 37}, "uuid is invalid", id="a uuid of 37 characters"),
    pytest.param({"uuid": 7}, "uuid is invalid", id="a uuid as a number"),
    pytest.param({"timestamp": -1}, "timestamp is invalid", id="before 1970"),
    pytest.param({"timestamp": 2**63}, "timestamp is invalid", id="more than 64 bits"),
    pytest.param({"timestamp": 10**30}, "timestamp is invalid", id="far more than 64 bits"),
    pytest.param({"timestamp": 1645845235.0}, "timestamp is invalid", id="a timestamp with a fraction"),
    pytest.param({"timestamp": "1645845235.0"}, "timestamp is invalid", id="digits with a fraction"),
    pytest.param({"timestamp": "2022-02-26T03:13:55Z"}, "timestamp is invalid", id="an ISO timestamp"),
    pytest.param({"timestamp": "١٢"}, "timestamp is invalid", id="the digits of another script"),
    pytest.param({"uuid": None, "senderPhone": 1}, "uuid is missing", id="missing comes before invalid"),
    pytest.param({"timestamp": "x", "messageText": ""}, "messageText is invalid", id="invalid ones in their order"),
    pytest.param(dict.fromkeys(FIELDS), "senderPhone is missing", id="missing ones in their order"),
]


@pytest.mark.parametrize("path", [SEND, RECEIVE])
@pytest.mark.parametrize(("changes", "message"), BAD)
async def test_a_bad_field_is_named(api: Api, path: str, changes: dict[str, object], message: str) -> None:
    caller = await api.account()
    reply = await tell(caller, path, **changes)
    assert (reply.status, reply.json) == (400, {"message": message})
    assert await stored(api, caller) == []


REPEATS = [
    pytest.param({}, 200, id="the same again"),
    pytest.param({"timestamp": 1}, 200, id="another timestamp"),
    pytest.param({"senderPhone": CAROL}, 409, id="another sender"),
    pytest.param({"receiverPhone": CAROL}, 409, id="another receiver"),
    pytest.param({"messageText": "hello"}, 409, id="another text"),
    pytest.param({"senderPhone": BOB, "receiverPhone": ALICE}, 409, id="the parties swapped"),
    pytest.param({"senderPhone": ALICE[1:]}, 409, id="another spelling of the sender"),
    pytest.param({"uuid": "other"}, 200, id="another uuid"),
]


@pytest.mark.parametrize(("first", "second"), list(itertools.product([SEND, RECEIVE], repeat=2)))
@pytest.mark.parametrize(("changes", "status"), REPEATS)
async def test_a_uuid_names_one_message(
    api: Api, first: str, second: str, changes: dict[str, object], status: int
) -> None:
    caller = await api.account()
    assert (await tell(caller, first, uuid="one")).status == 200
    reply = await tell(caller, second, **{"uuid": "one", **changes})
    assert reply.status == status, reply.body
    if status == 409:
        assert reply.json == {"message": "uuid was used for another message"}
    else:
        assert reply.json == {"message": SUCCESS[second]}
    if "uuid" not in changes:
        assert await lines(caller, ALICE) == [(BOB, "Hello", 1645845235, "sent")]
        assert len(await stored(api, caller)) == 1


async def test_twenty_calls_at_once_with_one_uuid_are_one_message(api: Api, ours: str) -> None:
    caller = await api.account()
    await api.assign(caller, ours)
    paths = itertools.islice(itertools.cycle([SEND, RECEIVE]), 20)
    replies = await asyncio.gather(
        *(tell(caller, path, uuid="one", senderPhone=ours, timestamp=at) for at, path in enumerate(paths))
    )
    assert [reply.status for reply in replies] == [200] * 20
    assert len(await lines(caller, ours)) == 1
    assert len(await stored(api, caller)) == 1


async def test_of_different_messages_at_once_with_one_uuid_one_wins(api: Api) -> None:
    caller = await api.account()
    replies = await asyncio.gather(*(tell(caller, SEND, uuid="one", messageText=f"text {n % 4}") for n in range(20)))
    assert Counter(reply.status for reply in replies) == {200: 5, 409: 15}
    ((_, text, _, _),) = await lines(caller, ALICE)
    assert {n % 4 for n, reply in enumerate(replies) if reply.status == 200} == {int(text.removeprefix("text "))}


@pytest.mark.parametrize(
    ("spelling", "waits"),
    [
        pytest.param("{ours}", True, id="assigned to the caller"),
        pytest.param("{digits}", True, id="assigned, in another spelling"),
        pytest.param(ALICE, False, id="nobody's"),
        pytest.param("{theirs}", False, id="assigned to another account"),
    ],
)
async def test_only_an_assigned_sender_reaches_a_carrier_and_once(
    api: Api, ours: str, spelling: str, waits: bool
) -> None:
    caller, other, theirs = await api.account(), await api.account(), next(_unassigned)
    await api.assign(caller, ours)
    await api.assign(other, theirs)
    sender = spelling.format(ours=ours, digits=ours[1:], theirs=theirs)
    for _ in range(2):
        assert (await tell(caller, SEND, uuid="one", senderPhone=sender)).status == 200
    ((status, found),) = await stored(api, caller)
    assert found is waits
    assert (status == "recorded") is not waits
    assert await stored(api, other) == []


async def test_another_number_of_this_server_gets_it_at_once(api: Api, ours: str) -> None:
    caller, other, theirs = await api.account(), await api.account(), next(_unassigned)
    await api.assign(caller, ours)
    await api.assign(other, theirs)
    for _ in range(2):
        assert (await tell(caller, SEND, uuid="one", senderPhone=ours, receiverPhone=theirs)).status == 200
    assert await stored(api, caller) == [("delivered", False)]
    assert await lines(caller, ours) == [(theirs, "Hello", 1645845235, "sent")]
    assert await lines(other, theirs) == [(ours, "Hello", 1645845235, "received")]
    assert await lines(other, ours) == [(theirs, "Hello", 1645845235, "sent")]


async def test_a_received_message_goes_to_no_carrier(api: Api, ours: str) -> None:
    caller = await api.account()
    await api.assign(caller, ours)
    assert (await tell(caller, RECEIVE, senderPhone=ours)).status == 200
    assert await stored(api, caller) == [("received", False)]


@pytest.mark.parametrize("text", ["STOP", "STOP\n", "STOP\r", "STOP\r\n"])
async def test_a_received_stop_refuses_what_is_sent_the_other_way(api: Api, ours: str, text: str) -> None:
    caller = await api.account()
    await api.assign(caller, ours)
    assert (await tell(caller, RECEIVE, senderPhone=BOB, receiverPhone=ours, messageText=text)).status == 200
    reply = await tell(caller, SEND, uuid="one", senderPhone=ours)
    assert (reply.status, reply.json) == (400, {"message": f"{BOB} has opted out"})
    assert (await tell(caller, SEND, senderPhone=ours, receiverPhone=CAROL)).status == 200
    # A refused call leaves its uuid free.
    assert (await tell(caller, SEND, uuid="one", senderPhone=ours, receiverPhone=CAROL)).status == 200
    assert len(await lines(caller, ours)) == 3


@pytest.mark.parametrize(
    ("receiver", "text"),
    [
        pytest.param("{ours}", "stop", id="in lower case"),
        pytest.param("{ours}", " STOP", id="after a space"),
        pytest.param(ALICE, "STOP", id="to a number that is not the account's"),
    ],
)
async def test_what_is_no_stop_refuses_nothing(api: Api, ours: str, receiver: str, text: str) -> None:
    caller = await api.account()
    await api.assign(caller, ours)
    to = receiver.format(ours=ours)
    assert (await tell(caller, RECEIVE, senderPhone=BOB, receiverPhone=to, messageText=text)).status == 200
    assert (await tell(caller, SEND, senderPhone=ours)).status == 200
    assert (await tell(caller, SEND, senderPhone=ALICE)).status == 200


async def test_a_message_sent_before_the_stop_may_be_repeated(api: Api, ours: str) -> None:
    caller = await api.account()
    await api.assign(caller, ours)
    assert (await tell(caller, SEND, uuid="one", senderPhone=ours)).status == 200
    assert (await tell(caller, RECEIVE, senderPhone=BOB, receiverPhone=ours, messageText="STOP")).status == 200
    assert (await tell(caller, SEND, uuid="one", senderPhone=ours)).status == 200


async def test_a_conversation_is_shown_from_the_side_of_its_number(api: Api) -> None:
    caller = await api.account()
    for path, sender, receiver, text, at in (
        (SEND, ALICE, BOB, "third", 300),
        (RECEIVE, BOB, ALICE, "first", 100),
        (RECEIVE, ALICE, BOB, "second", 200),
        (SEND, CAROL, ALICE, "third too, and later", 300),
        (SEND, BOB, CAROL, "not of this number", 100),
    ):
        assert (
            await tell(caller, path, senderPhone=sender, receiverPhone=receiver, messageText=text, timestamp=at)
        ).status == 200
    assert await lines(caller, ALICE) == [
        (BOB, "first", 100, "received"),
        (BOB, "second", 200, "sent"),
        (BOB, "third", 300, "sent"),
        (CAROL, "third too, and later", 300, "received"),
    ]


async def test_a_message_to_oneself_is_shown_twice(api: Api) -> None:
    caller = await api.account()
    assert (await tell(caller, SEND, receiverPhone=ALICE, timestamp=5)).status == 200
    assert (await tell(caller, SEND, timestamp=5)).status == 200
    assert await lines(caller, ALICE) == [
        (ALICE, "Hello", 5, "sent"),
        (ALICE, "Hello", 5, "received"),
        (BOB, "Hello", 5, "sent"),
    ]


async def test_messages_of_other_interfaces_are_shown(api: Api, ours: str) -> None:
    caller = await api.account()
    await api.assign(caller, ours)
    out = {"from": ours, "to": BOB, "text": "out"}
    back = {"from": BOB, "to": ours, "text": "back"}
    assert (await caller.call("POST", "/outbound/sms/", json=out)).status == 200
    assert (await caller.call("POST", "/inbound/sms/", json=back)).status == 200
    found = [(other, text, direction) for other, text, _, direction in await lines(caller, ours)]
    assert found == [(BOB, "out", "sent"), (BOB, "back", "received")]


@pytest.mark.parametrize(
    ("segment", "status"),
    [
        pytest.param("%2B13005550101", 200, id="an encoded plus"),
        pytest.param("+13005550101", 200, id="a bare plus"),
        pytest.param("%2B13005550101/", 200, id="a trailing slash"),
        pytest.param("13005550101", 404, id="without its plus it is another number"),
        pytest.param("%2013005550101", 404, id="a space is no plus"),
        pytest.param("13005550199", 404, id="a number that nobody wrote to"),
        pytest.param("x" * 300, 404, id="too long for any number"),
        pytest.param("%00", 404, id="U+0000"),
        pytest.param("%FF", 404, id="not UTF-8"),
        pytest.param("%ED%A0%BD", 404, id="a lone surrogate"),
    ],
)
async def test_a_number_is_found_as_it_was_written(api: Api, segment: str, status: int) -> None:
    caller = await api.account()
    assert (await tell(caller, SEND)).status == 200
    reply = await caller.call("GET", READ + segment)
    assert reply.status == status, reply.body
    if status == 404:
        assert reply.json == {"message": "User not found"}


async def test_a_number_without_messages_is_known_once_it_is_assigned(api: Api, ours: str) -> None:
    caller, other = await api.account(), await api.account()
    assert (await read(caller, ours)).status == 404
    await api.assign(caller, ours)
    assert (await read(caller, ours)).json == {"messages": []}
    assert (await read(caller, ours, "?limit=5")).json == {"messages": [], "next_before": None}
    reply = await read(other, ours, "?limit=5")
    assert (reply.status, reply.json) == (404, {"message": "User not found"})


async def test_accounts_share_neither_uuids_nor_conversations(api: Api) -> None:
    caller, other = await api.account(), await api.account()
    assert (await tell(caller, SEND, uuid="one")).status == 200
    assert (await read(other, ALICE)).status == 404
    assert (await tell(other, SEND, uuid="one", messageText="mine")).status == 200
    assert [text for _, text, _, _ in await lines(caller, ALICE)] == ["Hello"]
    assert [text for _, text, _, _ in await lines(other, ALICE)] == ["mine"]


HTTP = [
    pytest.param("GET", SEND, b"", 405, "OPTIONS, POST", id="GET where there is only POST"),
    pytest.param("HEAD", RECEIVE, b"", 405, "OPTIONS, POST", id="HEAD where there is no GET"),
    pytest.param("POST", READ + "1", b"", 405, "GET, HEAD, OPTIONS", id="POST where there is only GET"),
    pytest.param("DELETE", READ + "1/", b"", 405, "GET, HEAD, OPTIONS", id="a method that is nowhere"),
    pytest.param("OPTIONS", SEND, b"", 204, "OPTIONS, POST", id="OPTIONS"),
    pytest.param("POST", SEND, b"", 400, None, id="no body"),
    pytest.param("POST", SEND, b"[]", 400, None, id="a body that is no object"),
    pytest.param("POST", RECEIVE, b'{"a":', 400, None, id="half a body"),
    pytest.param("POST", RECEIVE, b"\xff\xfe", 400, None, id="a body that is not UTF-8"),
    pytest.param("POST", SEND, b'{"a":"' + b"x" * 65529 + b'"}', 413, None, id="a body over 64 KiB"),
    pytest.param("POST", SEND, b'{"a":"' + b"x" * 65528 + b'"}', 400, None, id="a body of 64 KiB, without fields"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "allow"), HTTP)
async def test_the_shared_promises(
    api: Api, method: str, path: str, body: bytes, status: int, allow: str | None
) -> None:
    caller = await api.account()
    reply = await caller.call(method, path, body=body)
    assert reply.status == status
    assert reply.headers.get("allow") == allow
    if status >= 400 and method != "HEAD":
        assert list(reply.json) == ["message"]
        assert reply.json["message"]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_both_slash_forms_answer(api: Api, slash: str) -> None:
    caller = await api.account()
    assert (await tell(caller, SEND + slash)).json == {"message": SUCCESS[SEND]}
    assert (await tell(caller, RECEIVE + slash)).json == {"message": SUCCESS[RECEIVE]}
    assert (await caller.call("HEAD", f"{READ}{ALICE}{slash}")).status == 200
    assert (await caller.call("HEAD", f"{READ}{CAROL}{slash}")).status == 404


@pytest.mark.parametrize(
    ("method", "path"), [("POST", SEND), ("POST", RECEIVE), ("GET", READ + "1")], ids=["send", "receive", "read"]
)
@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param({}, id="none"),
        pytest.param({"authorization": "Basic bm9ib2R5OndvcmRz"}, id="wrong Basic"),
        pytest.param({"authorization": "Bearer lck_nothing"}, id="an unknown key"),
        pytest.param({"authorization": "Digest x"}, id="another scheme"),
    ],
)
async def test_a_caller_must_show_who_it_is(api: Api, method: str, path: str, credentials: dict[str, str]) -> None:
    reply = await api.anonymous.call(method, path, headers=credentials)
    assert reply.status == 401
    assert list(reply.json) == ["message"]
    assert reply.headers["www-authenticate"].startswith("Basic ")


async def test_a_full_intake_is_said_so(sqlite_url: str) -> None:
    async with open_api(sqlite_url, intake_limit=1) as api:
        caller = await api.account()
        assert (await tell(caller, SEND)).status == 200
        replies = await asyncio.gather(*(tell(caller, path) for path in (SEND, RECEIVE) * 5))
        refused = [reply for reply in replies if reply.status != 200]
        assert len(refused) == 9
        for reply in refused:
            assert (reply.status, reply.json) == (503, {"message": "the intake is full"})
            assert reply.headers["retry-after"] == "1"


async def test_without_the_store_of_stops_only_a_stop_waits(
    postgres_url: str, valkey_url: str, valkey_server: ValkeyServer, ours: str
) -> None:
    theirs = next(_unassigned)
    async with open_api(postgres_url, valkey_url) as api:
        caller = await api.account()
        await api.assign(caller, ours)
        await api.assign(caller, theirs)
        assert (await read(caller, ours)).status == 200
        valkey_server.stop()
        down = {"message": "the service is not available right now"}
        for path, changes, status, answer in (
            (SEND, {"senderPhone": ours}, 200, {"message": SUCCESS[SEND]}),
            (SEND, {"senderPhone": ours, "messageText": "STOP"}, 200, {"message": SUCCESS[SEND]}),
            (SEND, {"senderPhone": ours, "receiverPhone": theirs}, 200, {"message": SUCCESS[SEND]}),
            (SEND, {"senderPhone": ours, "receiverPhone": theirs, "messageText": "STOP"}, 503, down),
            (RECEIVE, {"receiverPhone": ours}, 200, {"message": SUCCESS[RECEIVE]}),
            (RECEIVE, {"receiverPhone": ours, "messageText": "STOP"}, 503, down),
            (RECEIVE, {"messageText": "STOP"}, 200, {"message": SUCCESS[RECEIVE]}),
        ):
            reply = await tell(caller, path, **changes)
            assert (reply.status, reply.json) == (status, answer), (path, changes)
        assert len(await lines(caller, ours)) == 4


async def test_the_database_may_go_and_come_back(postgres_url: str, postgres_server: PostgresServer) -> None:
    async with open_api(postgres_url) as api:
        caller = await api.account()
        assert (await tell(caller, SEND, uuid="one")).status == 200
        postgres_server.stop()
        for reply in (await tell(caller, SEND), await tell(caller, RECEIVE), await read(caller, ALICE)):
            # The sentence says nothing of our servers.
            assert (reply.status, reply.json) == (503, {"message": "the service is not available right now"})
        postgres_server.start()
        assert (await tell(caller, SEND, uuid="one")).status == 200
        assert len(await lines(caller, ALICE)) == 1


async def test_an_anonymous_caller_is_the_account_that_the_operator_named(sqlite_url: str) -> None:
    async with open_api(sqlite_url, anonymous_account="demo") as api:
        demo = await api.account("demo")
        assert (await tell(api.anonymous, SEND)).status == 200
        assert len(await lines(demo, ALICE)) == len(await lines(api.anonymous, ALICE)) == 1
        wrong = await api.anonymous.call("GET", READ + "1", headers={"authorization": "Bearer lck_nothing"})
        assert wrong.status == 401
        foreign = await api.anonymous.call("GET", READ + "1", headers={"origin": "https://elsewhere.example"})
        assert (foreign.status, list(foreign.json)) == (403, ["message"])
