from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import func, select

from longcode.bootstrap import running
from longcode.carriers.port import InboundSms
from longcode.domain.timestamps import format_micro
from longcode.settings import load
from longcode.store import schema
from longcode.store.mailbox import PAGE_MESSAGES, Box, Range
from longcode.store.words import InboundRoute
from tests.app import Api, Caller
from tests.calls import Reply

PAIR = {"sender": "alice", "recipient": "bob"}
BACK = {"sender": "bob", "recipient": "alice"}
NUL, SURROGATE, EMOJI = "\x00", "\ud800", "😀"
LOGIN_LIMIT = 128
BODY_LIMIT = 256 * 1024


async def couple(api: Api) -> Caller:
    """A fresh account with the logins alice and bob."""
    caller = await api.account()
    for login in ("alice", "bob"):
        assert (await caller.call("POST", "/register", json={"login": login})).status == 201
    return caller


async def send(caller: Caller, text: str, pair: Mapping[str, str] = PAIR) -> None:
    reply = await caller.call("POST", "/send_message", json={**pair, "message": text})
    assert (reply.status, reply.json) == (201, {"OK": "message sent successfully"})


async def fetch_new(caller: Caller, pair: Mapping[str, str] = PAIR) -> list[dict[str, str]]:
    reply = await caller.call("PUT", "/fetch_new_messages", json=pair)
    return messages(reply)


async def send_and_stamp(caller: Caller) -> str:
    await send(caller, "text")
    return (await fetch_new(caller))[0]["timestamp"]


async def fetch(caller: Caller, pair: Mapping[str, str] = PAIR, **part: Any) -> list[dict[str, str]]:
    part = part or {"period_start": 0, "period_end": "9999-12-31"}
    reply = await caller.call("PUT", "/fetch_messages", json={**pair, **part})
    return messages(reply)


async def delete(caller: Caller, timestamp: Any, pair: Mapping[str, str] = PAIR) -> Reply:
    return await caller.call("DELETE", "/delete_message", json={**pair, "timestamp": timestamp})


async def delete_many(caller: Caller, timestamps: Any, pair: Mapping[str, str] = PAIR) -> Reply:
    return await caller.call("DELETE", "/delete_messages", json={**pair, "timestamps": timestamps})


def messages(reply: Reply) -> list[dict[str, str]]:
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert list(reply.json) == ["messages"]
    found: list[dict[str, str]] = reply.json["messages"]
    return found


def texts(found: list[dict[str, str]]) -> list[str]:
    return [message["message"] for message in found]


def error(reply: Reply) -> tuple[int, str]:
    assert list(reply.json) == ["error"]
    assert reply.headers["content-type"] == "application/json"
    return reply.status, reply.json["error"]


@pytest.mark.parametrize(
    "login",
    [
        pytest.param("abc", id="three symbols"),
        pytest.param(EMOJI * 3, id="three symbols outside the basic plane"),
        pytest.param("x" * LOGIN_LIMIT, id="as long as may be"),
        pytest.param(EMOJI * LOGIN_LIMIT, id="as long as may be, in symbols of four bytes"),
        pytest.param("   ", id="blanks, which nobody trims"),
        pytest.param("a@b.example\n", id="a line feed at the end"),
        pytest.param("{login} %s", id="what looks like a template"),
    ],
)
async def test_a_login_is_registered_verbatim(api: Api, login: str) -> None:
    caller = await api.account()
    reply = await caller.call("POST", "/register", json={"login": login})
    assert (reply.status, reply.json) == (201, {"OK": f"created user with login {login}"})
    pair = {"sender": login, "recipient": login}
    await send(caller, "to myself", pair)
    (message,) = await fetch_new(caller, pair)
    assert (message["sender"], message["recipient"]) == (login, login)


async def test_a_login_is_taken_once_for_each_account(api: Api) -> None:
    caller, other = await couple(api), await api.account()
    assert error(await caller.call("POST", "/register", json={"login": "alice"})) == (409, "login alice is taken")
    for login in ("Alice", "alice ", "ALICE"):
        assert (await caller.call("POST", "/register", json={"login": login})).status == 201
    assert (await other.call("POST", "/register", json={"login": "alice"})).status == 201


async def test_of_registrations_at_once_one_wins(api: Api) -> None:
    caller = await api.account()
    calls = [caller.call("POST", "/register", json={"login": "alice"}) for _ in range(10)]
    replies = await asyncio.gather(*calls)
    assert sorted(reply.status for reply in replies) == [201] + [409] * 9


async def test_new_messages_are_fetched_once_and_in_order(api: Api) -> None:
    caller = await couple(api)
    before = format_micro(datetime.now(UTC))
    for text in ("one", "two", "three"):
        await send(caller, text)
    await send(caller, "four", BACK)
    found = await fetch_new(caller)
    assert texts(found) == ["one", "two", "three"]
    for message in found:
        assert message.keys() == {"sender", "recipient", "timestamp", "message"}
        assert (message["sender"], message["recipient"]) == ("alice", "bob")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", message["timestamp"])
        assert before <= message["timestamp"] <= format_micro(datetime.now(UTC))
    assert all(first["timestamp"] < second["timestamp"] for first, second in pairwise(found))
    assert await fetch_new(caller) == []
    await send(caller, "five")
    assert texts(await fetch_new(caller)) == ["five"]
    assert texts(await fetch_new(caller, BACK)) == ["four"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x", id="one symbol"),
        pytest.param(EMOJI * 10_000, id="as long as may be"),
        pytest.param(" \r\n\t ", id="blanks"),
        pytest.param('</script> "quoted" \\ \u2028 Zoe\u0308 \x01\x7f', id="what encoders trip over"),
        pytest.param("STOP", id="a keyword, which is a text like any other here"),
    ],
)
async def test_a_message_is_kept_verbatim(api: Api, text: str) -> None:
    caller = await couple(api)
    await send(caller, text)
    await send(caller, "after it")
    assert texts(await fetch_new(caller)) == [text, "after it"]
    assert texts(await fetch(caller)) == [text, "after it"]


@dataclass(frozen=True, slots=True)
class PartCase:
    """fields: a number n stands for the timestamp of message n, of 0 to 4."""

    name: str
    found: list[int]
    period: tuple[int | str | None, int | str | None] = (None, None)
    indexes: Mapping[str, Any] = field(default_factory=dict)


FOREVER = ("0001-01-01", "9999-12-31T23:59:59.999999")
PARTS = [
    PartCase("both ends are included", [1, 2, 3], (1, 3)),
    PartCase("one instant", [2], (2, 2)),
    PartCase("a start after the end", [], (3, 1)),
    PartCase("all of time", [0, 1, 2, 3, 4], FOREVER),
    PartCase("a period without messages", [], ("2001-01-01", "2001-12-31")),
    PartCase("indexes without a period", [1, 2], indexes={"start": 1, "stop": 3}),
    PartCase("a start alone", [3, 4], indexes={"start": 3}),
    PartCase("a stop alone", [0, 1], indexes={"stop": 2}),
    PartCase("a stop of nothing", [], indexes={"stop": 0}),
    PartCase("a stop before the start", [], indexes={"start": 3, "stop": 2}),
    PartCase("indexes past the end", [4], indexes={"start": 4, "stop": 1000}),
    PartCase("an index that no database counts to", [], indexes={"start": 10**30}),
    PartCase("indexes into a period", [2, 3], (1, 4), {"start": 1, "stop": 3}),
    PartCase("indexes into a period without an end", [3], (2, None), {"start": 1, "stop": 2}),
    PartCase("indexes into a period without a start", [1, 2], (None, 2), {"start": 1}),
    PartCase("an index that is null", [1, 2, 3], (1, 3), {"start": None, "stop": None}),
    PartCase("one index that is null", [0, 1], indexes={"start": None, "stop": 2}),
]


@pytest.mark.parametrize("case", PARTS, ids=lambda case: case.name)
async def test_messages_are_fetched_by_period_and_by_index(api: Api, case: PartCase) -> None:
    caller = await couple(api)
    for text in "01234":
        await send(caller, text)
    stamps = [message["timestamp"] for message in await fetch(caller, stop=5)]
    start, end = (stamps[end] if isinstance(end, int) else end for end in case.period)
    found = texts(await fetch(caller, period_start=start, period_end=end, **case.indexes))
    assert found == [str(number) for number in case.found]


async def test_messages_that_were_fetched_by_period_are_not_new(api: Api) -> None:
    caller = await couple(api)
    for text in ("one", "two", "three"):
        await send(caller, text)
    assert texts(await fetch(caller, start=1, stop=2)) == ["two"]
    assert texts(await fetch_new(caller)) == ["one", "three"]
    assert texts(await fetch(caller)) == ["one", "two", "three"]


def spellings(stamp: str) -> dict[str, Any]:
    """The same instant as clients may write it."""
    moment = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    seconds = f"{int(moment.timestamp())}.{moment.microsecond:06}"
    east = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    return {
        "as it was returned": stamp,
        "with Z": stamp + "Z",
        "with an offset": east.isoformat(timespec="microseconds"),
        "with a space": stamp.replace("T", " "),
        "with further digits": stamp + "999",
        "an epoch number": float(seconds),
        "an epoch number in text": seconds,
    }


@pytest.mark.parametrize("spelling", spellings("2026-11-22T10:00:00.123456"))
async def test_a_message_is_deleted_by_its_timestamp(api: Api, spelling: str) -> None:
    caller = await couple(api)
    for text in ("one", "two", "three"):
        await send(caller, text)
    stamp = (await fetch_new(caller))[1]["timestamp"]
    reply = await delete(caller, spellings(stamp)[spelling])
    assert (reply.status, reply.json) == (201, {"OK": "message deleted"})
    assert texts(await fetch(caller)) == ["one", "three"]
    assert error(await delete(caller, stamp)) == (400, "absent message")
    reply = await delete_many(caller, [spellings(stamp)[spelling]])
    assert reply.status == 201


async def test_a_deleted_message_is_gone_for_good(api: Api) -> None:
    caller = await couple(api)
    await send(caller, "never fetched")
    await send(caller, "fetched")
    query = select(func.count()).where(schema.message.c.account_id == caller.account_id)
    for left, message in reversed(list(enumerate(await fetch(caller)))):
        assert (await delete(caller, message["timestamp"])).status == 201
        async with api.database.read() as connection:
            assert (await connection.execute(query)).scalar_one() == left
    assert await fetch_new(caller) == []


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        pytest.param([], ["0", "1", "2"], id="none"),
        pytest.param([1], ["0", "2"], id="one"),
        pytest.param([2, 0, 2], ["1"], id="several, one of them twice"),
        pytest.param([1, "2001-01-01", 0], ["2"], id="one that is not there beside others"),
        pytest.param(["2001-01-01T00:00:00Z", 12345.678], ["0", "1", "2"], id="none that is there"),
    ],
)
async def test_several_messages_are_deleted(api: Api, chosen: list[Any], left: list[str]) -> None:
    caller = await couple(api)
    for text in "012":
        await send(caller, text)
    stamps = [message["timestamp"] for message in await fetch(caller)]
    reply = await delete_many(caller, [stamps[one] if isinstance(one, int) else one for one in chosen])
    assert (reply.status, reply.json) == (201, {"OK": "message deleted"})
    assert texts(await fetch(caller)) == left


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param("yesterday", id="a word"),
        pytest.param("", id="no text"),
        pytest.param(None, id="null"),
        pytest.param(True, id="a boolean"),
        pytest.param([], id="a list"),
        pytest.param({}, id="an object"),
        pytest.param("2026-02-30T00:00:00", id="a day that does not exist"),
        pytest.param(1e30, id="a number past every year"),
        pytest.param(NUL, id="U+0000"),
        pytest.param(SURROGATE, id="a lone surrogate"),
    ],
)
async def test_one_unusable_timestamp_keeps_all_messages(api: Api, wrong: Any) -> None:
    caller = await couple(api)
    await send(caller, "one")
    (message,) = await fetch_new(caller)
    reply = await delete_many(caller, [message["timestamp"], wrong])
    assert error(reply) == (400, "timestamps is invalid")
    assert texts(await fetch(caller)) == ["one"]


async def test_a_list_as_long_as_a_body_may_be_is_read(api: Api) -> None:
    caller = await couple(api)
    await send(caller, "one")
    (message,) = await fetch_new(caller)
    ours = (json.dumps({**PAIR, "timestamps": [message["timestamp"]]})[:-2]).encode()
    body = ours + b",1" * ((BODY_LIMIT - len(ours) - 2) // 2) + b"]}"
    reply = await caller.call("DELETE", "/delete_messages", body=body)
    assert reply.status == 201
    assert await fetch(caller) == []


@pytest.mark.parametrize("path", ["/health", "/health/"])
async def test_health_needs_no_credentials(api: Api, path: str) -> None:
    for headers in ({}, {"Authorization": "Basic wrong"}):
        reply = await api.anonymous.call("GET", path, headers=headers)
        assert (reply.status, reply.json) == (200, {"OK": "OK"})
    reply = await api.anonymous.call("HEAD", path)
    assert (reply.status, reply.body) == (200, b"")
    reply = await api.anonymous.call("POST", path, json={})
    assert error(reply) == (405, "method not allowed")
    assert reply.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_another_account_sees_changes_and_infers_nothing(api: Api) -> None:
    ours, theirs = await couple(api), await couple(api)
    await send(ours, "secret")
    assert await fetch_new(theirs) == []
    assert await fetch(theirs) == []
    (message,) = await fetch_new(ours)
    assert error(await delete(theirs, message["timestamp"])) == (400, "absent message")
    assert (await delete_many(theirs, [message["timestamp"]])).status == 201
    assert texts(await fetch(ours)) == ["secret"]
    assert (await ours.call("POST", "/register", json={"login": "carol"})).status == 201
    to_carol = {"sender": "alice", "recipient": "carol"}
    reply = await theirs.call("POST", "/send_message", json={**to_carol, "message": "text"})
    assert error(reply) == (400, "unknown login carol")
    assert error(await theirs.call("PUT", "/fetch_new_messages", json=to_carol)) == (400, "unknown login carol")


async def test_messages_sent_at_once_all_get_timestamps_of_their_own(api: Api) -> None:
    caller = await couple(api)
    await asyncio.gather(*(send(caller, str(number)) for number in range(200)))
    found = await fetch_new(caller)
    assert sorted(texts(found), key=int) == [str(number) for number in range(200)]
    stamps = [message["timestamp"] for message in found]
    assert stamps == sorted(set(stamps))
    assert await fetch_new(caller) == []
    assert await fetch(caller) == found


async def test_processes_that_send_at_one_instant_move_on_a_microsecond(database_url: str) -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    settings = load({"LONGCODE_DATABASE_URL": database_url})
    async with running(settings, clock=lambda: noon) as one, running(settings, clock=lambda: noon) as other:
        account = await one.accounts.create("ours", "-")
        for login in ("alice", "bob"):
            await one.mailbox_store.register(account.id, login)
        sends = [
            product.mailbox.send(account, sender="alice", recipient="bob", text=f"{name} {number}")
            for number in range(8)
            for name, product in (("one", one), ("other", other))
        ]
        await asyncio.gather(*sends)
        found = await other.mailbox_store.fetch_new(Box(account.id, "alice", "bob"), Range())
    assert sorted(boxed.text for boxed in found) == sorted(f"{name} {n}" for n in range(8) for name in ("one", "other"))
    assert len({boxed.at for boxed in found}) == 16
    assert found[-1].at - noon < timedelta(milliseconds=1)


async def test_calls_at_once_deliver_each_message_exactly_once(api: Api) -> None:
    caller = await couple(api)
    await asyncio.gather(*(send(caller, str(number)) for number in range(100)))
    parts = await asyncio.gather(*(fetch_new(caller) for _ in range(5)))
    found = [text for part in parts for text in texts(part)]
    assert sorted(found, key=int) == [str(number) for number in range(100)]


async def test_of_deletions_at_once_one_finds_the_message(api: Api) -> None:
    caller = await couple(api)
    stamp = await send_and_stamp(caller)
    replies = await asyncio.gather(*(delete(caller, stamp) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [201] + [400] * 4


async def test_a_box_of_any_size_is_one_answer(api: Api) -> None:
    caller = await couple(api)
    count = 2 * PAGE_MESSAGES + 1
    await asyncio.gather(*(send(caller, str(number)) for number in range(count)))
    found = await fetch(caller)
    assert len(found) == count
    assert found == sorted(found, key=lambda message: message["timestamp"])
    assert await fetch(caller, stop=2 * PAGE_MESSAGES) == found[:-1]
    assert await fetch(caller, stop=PAGE_MESSAGES) == found[:PAGE_MESSAGES]
    assert await fetch(caller, start=1, period_end=found[-2]["timestamp"]) == found[1:-1]
    assert (await delete_many(caller, [message["timestamp"] for message in found[1:]])).status == 201
    assert await fetch(caller) == found[:1]


async def test_a_large_box_of_new_messages_is_fetched_whole(api: Api) -> None:
    caller = await couple(api)
    count = PAGE_MESSAGES + 1
    await asyncio.gather(*(send(caller, str(number)) for number in range(count)))
    found = await fetch_new(caller)
    assert sorted(texts(found), key=int) == [str(number) for number in range(count)]
    assert await fetch_new(caller) == []


async def test_what_a_route_brings_from_a_number_is_fetched_and_deleted_like_any_message(api: Api) -> None:
    caller = await couple(api)
    number, phone = f"1202{caller.account_id:07}", "12025550188"
    await api.product.numbers.assign(caller.account_id, number)
    route = InboundRoute(account_id=caller.account_id, number=number, login="bob")
    await api.product.words.set_route(route)
    pair = {"sender": phone, "recipient": "bob"}
    unknown = await caller.call("PUT", "/fetch_new_messages", json=pair)
    assert error(unknown) == (400, f"unknown login {phone}")
    sms = InboundSms(carrier_id=1, fingerprint=number.encode(), sender=phone, recipient=number, text="Hello")
    await api.product.arrivals.take([sms])
    (message,) = await fetch_new(caller, pair)
    assert (message["sender"], message["recipient"], message["message"]) == (phone, "bob", "Hello")
    assert texts(await fetch(caller, pair)) == ["Hello"]
    assert error(await caller.call("PUT", "/fetch_new_messages", json={**pair, "recipient": "alice"}))[0] == 400
    assert (await delete(caller, message["timestamp"], pair)).status == 201
    shown = await caller.call("GET", f"/api/get-conversation/{number}")
    assert [line["message_text"] for line in shown.json["messages"]] == ["Hello"]
