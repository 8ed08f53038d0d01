"""What every path of the mailboxes refuses, and in which words."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from longcode.dialects.mailbox import explain
from longcode.errors import ForeignOrigin, IntakeFull, LongcodeError, NotAuthenticated, StorageDown
from longcode.wire.errors import Fault
from tests.app import Api, Caller
from tests.dialects.test_mailbox import (
    BODY_LIMIT,
    EMOJI,
    LOGIN_LIMIT,
    NUL,
    PAIR,
    SURROGATE,
    couple,
    error,
    fetch_new,
    send,
    send_and_stamp,
    texts,
)

# Each path with fields that it takes.
STEPS: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    "register": ("POST", "/register", {"login": "carol"}),
    "send": ("POST", "/send_message", {**PAIR, "message": "text"}),
    "new": ("PUT", "/fetch_new_messages", PAIR),
    "period": ("PUT", "/fetch_messages", {**PAIR, "period_start": 0, "period_end": 1}),
    "index": ("PUT", "/fetch_messages", {**PAIR, "start": 0}),
    "one": ("DELETE", "/delete_message", {**PAIR, "timestamp": 0}),
    "many": ("DELETE", "/delete_messages", {**PAIR, "timestamps": []}),
}


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """A call with other fields than those of its step; `...` for a field that is absent."""

    name: str
    step: str
    fields: Mapping[str, Any]
    text: str
    status: int = 400


ABSENT = ...
ERRORS = [
    ErrorCase("nothing to register", "register", {"login": ABSENT}, "login is missing"),
    ErrorCase("a login that is null", "register", {"login": None}, "login is missing"),
    ErrorCase("an empty login", "register", {"login": ""}, "login is invalid"),
    ErrorCase("a login of two", "register", {"login": "ab"}, "login is invalid"),
    ErrorCase("a login of two that takes eight bytes", "register", {"login": EMOJI * 2}, "login is invalid"),
    ErrorCase("a login too long", "register", {"login": "x" * (LOGIN_LIMIT + 1)}, "login is invalid"),
    ErrorCase("a login that is a number", "register", {"login": 12345}, "login is invalid"),
    ErrorCase("a login that is a boolean", "register", {"login": True}, "login is invalid"),
    ErrorCase("a login that is a list", "register", {"login": ["abc"]}, "login is invalid"),
    ErrorCase("U+0000 in a login", "register", {"login": "ab" + NUL}, "login is invalid"),
    ErrorCase("a lone surrogate in a login", "register", {"login": "ab" + SURROGATE}, "login is invalid"),
    ErrorCase("no sender", "send", {"sender": ABSENT}, "sender is missing"),
    ErrorCase("no recipient", "send", {"recipient": None}, "recipient is missing"),
    ErrorCase("no message", "send", {"message": ABSENT}, "message is missing"),
    ErrorCase("missing comes before invalid", "send", {"sender": 1, "message": None}, "message is missing"),
    ErrorCase("the sender comes first", "send", {"sender": 1, "recipient": 2, "message": 3}, "sender is invalid"),
    ErrorCase("an empty message", "send", {"message": ""}, "message is invalid"),
    ErrorCase("a message too long", "send", {"message": "x" * 10_001}, "message is invalid"),
    ErrorCase("a message that is a number", "send", {"message": 5}, "message is invalid"),
    ErrorCase("U+0000 in a message", "send", {"message": "a" + NUL}, "message is invalid"),
    ErrorCase("a lone surrogate in a message", "send", {"message": SURROGATE}, "message is invalid"),
    ErrorCase("a sender of two", "send", {"sender": "ab"}, "sender is invalid"),
    ErrorCase("an unknown sender", "send", {"sender": "nobody"}, "unknown login nobody"),
    ErrorCase("an unknown recipient", "send", {"recipient": "Bob"}, "unknown login Bob"),
    ErrorCase("fields come before logins", "send", {"sender": "nobody", "message": ""}, "message is invalid"),
    ErrorCase("new for nobody", "new", {"recipient": ABSENT}, "recipient is missing"),
    ErrorCase("new for an unusable login", "new", {"recipient": "bob" + NUL}, "recipient is invalid"),
    ErrorCase("new of an unknown login", "new", {"sender": "bob "}, "unknown login bob "),
    ErrorCase("no period", "period", {"period_start": ABSENT, "period_end": ABSENT}, "period_start is missing"),
    ErrorCase("no start of the period", "period", {"period_start": None}, "period_start is missing"),
    ErrorCase("no end of the period", "period", {"period_end": ABSENT}, "period_end is missing"),
    ErrorCase("indexes that are null", "index", {"start": None}, "period_start is missing"),
    ErrorCase("a period of words", "period", {"period_start": "now"}, "period_start is invalid"),
    ErrorCase("a period that ends in a boolean", "period", {"period_end": False}, "period_end is invalid"),
    ErrorCase("an unusable period beside indexes", "index", {"period_end": "soon"}, "period_end is invalid"),
    ErrorCase("an index that is a boolean", "index", {"start": True}, "start is invalid"),
    ErrorCase("an index below zero", "index", {"stop": -1}, "stop is invalid"),
    ErrorCase("an index with a fraction", "index", {"stop": 1.0}, "stop is invalid"),
    ErrorCase("an index in text", "index", {"start": "1"}, "start is invalid"),
    ErrorCase("a period of an unknown login", "period", {"sender": "nobody"}, "unknown login nobody"),
    ErrorCase("no timestamp", "one", {"timestamp": ABSENT}, "timestamp is missing"),
    ErrorCase("a timestamp that is a word", "one", {"timestamp": "today"}, "timestamp is invalid"),
    ErrorCase("a timestamp that is a boolean", "one", {"timestamp": True}, "timestamp is invalid"),
    ErrorCase("a timestamp of nothing", "one", {}, "absent message"),
    ErrorCase("an unknown login comes before an absent message", "one", {"sender": "nobody"}, "unknown login nobody"),
    ErrorCase("no timestamps", "many", {"timestamps": ABSENT}, "timestamps is missing"),
    ErrorCase("timestamps that are one", "many", {"timestamps": "2026-11-22"}, "timestamps is invalid"),
    ErrorCase("timestamps that are an object", "many", {"timestamps": {}}, "timestamps is invalid"),
    ErrorCase("deleting with an unknown login", "many", {"recipient": "nobody"}, "unknown login nobody"),
]


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case.name)
async def test_a_call_is_refused(api: Api, case: ErrorCase) -> None:
    caller = await couple(api)
    await send(caller, "kept")
    method, path, fields = STEPS[case.step]
    fields = {name: value for name, value in {**fields, **case.fields}.items() if value is not ABSENT}
    assert error(await caller.call(method, path, json=fields)) == (case.status, case.text)
    assert texts(await fetch_new(caller)) == ["kept"]


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        pytest.param(ForeignOrigin("another page"), 403, "another page", id="a page of another origin"),
        pytest.param(NotAuthenticated("no credentials"), 401, "no credentials", id="nobody"),
        pytest.param(IntakeFull(), 503, "the intake is full", id="too many calls"),
        pytest.param(
            StorageDown("host db-1"), 503, "the service is not available right now", id="no database, and no word of it"
        ),
        pytest.param(Fault(), 500, "something went wrong on our side", id="a fault of ours"),
    ],
)
def test_a_fault_has_the_same_envelope(fault: LongcodeError, status: int, text: str) -> None:
    answer = explain(fault)
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)) == (status, {"error": text})


@pytest.mark.parametrize("step", STEPS)
async def test_every_path_keeps_the_shared_promises(api: Api, step: str) -> None:
    method, path, fields = STEPS[step]
    caller = await couple(api)
    if step == "one":
        fields = {**fields, "timestamp": await send_and_stamp(caller)}
    for body in (b"", b"{", b"[]", b'"text"', b"null", b"\xff", b'{"login": NaN}'):
        reply = await caller.call(method, path, body=body)
        assert error(reply) == (400, "the body is not a JSON object")
    for length, status in ((BODY_LIMIT, 400), (BODY_LIMIT + 1, 413)):
        reply = await caller.call(method, path, body=b" " * length)
        assert error(reply)[0] == status
    for refused in ("GET", "HEAD", "PATCH"):
        reply = await caller.call(refused, path, json=fields)
        assert reply.status == 405
        assert reply.headers["allow"] == ", ".join(sorted({method, "OPTIONS"}))
        assert refused == "HEAD" or error(reply) == (405, "method not allowed")
    assert (await caller.call("OPTIONS", path)).status == 204
    for credentials in wrong_credentials(caller):
        reply = await api.anonymous.call(method, path, json=fields, headers=credentials)
        assert error(reply)[0] == 401
        assert reply.headers["www-authenticate"].startswith("Basic ")
    body = json.dumps({**fields, "unknown": [None]}).encode()
    plain = {"Content-Type": "text/plain"}
    reply = await caller.call(method, path + "/", body=body, headers=plain)
    assert reply.status == (200 if method == "PUT" else 201)


def wrong_credentials(caller: Caller) -> list[dict[str, str]]:
    pairs = (f"{caller.name}:wrong", f"nobody:{caller.secret}", caller.name)
    tokens = [base64.b64encode(pair.encode()).decode() for pair in pairs]
    return [{}, {"Authorization": "Bearer nothing"}, *({"Authorization": f"Basic {token}"} for token in tokens)]
