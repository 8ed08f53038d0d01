"""Every call of every dialect as the shared promises see it: a row each, and what a dialect's errors look like."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.app import Api, Caller
from tests.calls import Reply
from tests.conftest import DLR_SECRET
from tests.web.described import check_described

KIB = 1024
OURS, THEIRS = "15055550101", "15055550190"
serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a dialect's errors look like, where each has its own words.

    keys: of an error's body, None where they are the fields at fault.
    fault: the error of a field in an answer's body, None where the answer does not name the field.
    unauthenticated, down: the statuses without credentials and without a database.
    """

    name: str
    keys: frozenset[str] | None
    fault: Callable[[Any, str], str | None]
    unauthenticated: int = 401
    down: int = 503
    plain_methods: bool = False
    body_limit_bytes: int = 64 * KIB

    def check_envelope(self, reply: Reply) -> None:
        """Fail unless the reply is an error in this dialect's words."""
        assert reply.status >= 400
        assert reply.headers["content-type"] == "application/json"
        body = reply.json
        assert isinstance(body, dict)
        assert self.keys in (None, set(body)), body
        assert b"<" not in reply.body
        assert b"Traceback" not in reply.body


def _sentence(key: str) -> Callable[[Any, str], str | None]:
    """Errors of the form `<field> is missing` under one key."""
    return lambda body, name: body[key].removeprefix(f"{name} ") if body[key].startswith(f"{name} is ") else None


SMS = Dialect(
    "inbound_outbound", frozenset({"message", "error"}), _sentence("error"), 403, down=500, plain_methods=True
)
CONVERSATIONS = Dialect("conversations", frozenset({"message"}), _sentence("message"))
NUMBERS = Dialect("numbers", frozenset({"message", "errors"}), lambda body, name: body["errors"].get(name, [None])[0])
MESSAGES = Dialect("messages", None, lambda body, name: body.get(name, [None])[0])
MAILBOX = Dialect("mailbox", frozenset({"error"}), _sentence("error"), body_limit_bytes=256 * KIB)

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method of one path.

    usual: the status of the call with `body()`, which is well formed.
    body: makes the fields of a fresh call; None where a body is not read.
    lengths: the fields of which only the length counts, with their bounds.
    path_param, query_params: with a value that is fit.
    partial: no field is required.
    counted: it goes through the intake. open: it asks for no credentials.
    """

    dialect: Dialect
    method: str
    path: str
    usual: int
    body: Callable[[], Fields] | None = None
    lengths: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    path_param: str = ""
    query_params: Sequence[str] = ()
    partial: bool = False
    counted: bool = False
    open: bool = False
    signed: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def target(self) -> str:
        """The path to call."""
        return self.path.replace("{id}", self.path_param).replace("{phone}", self.path_param)

    def fields(self) -> Fields:
        assert self.body is not None
        return self.body()

    async def call(
        self,
        caller: Caller,
        fields: Fields | None = None,
        *,
        body: bytes | None = None,
        target: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Make the call, with the headers that it needs; its answer must be one that is described."""
        if body is None and self.body is not None:
            body = json.dumps(self.body() if fields is None else fields).encode()
        sent = {"Idempotency-Key": f"send_msg:{next(serial)}", **(headers or {})}
        if self.signed:
            signature = hmac.new(DLR_SECRET.encode(), body or b"", hashlib.sha256).hexdigest()
            sent = {"X-Provider-Signature": signature, **sent}
        reply = await caller.call(self.method, target or self.target, body=body, headers=sent)
        check_described(self.method, target or self.target, reply)
        if reply.status >= 400:
            self.dialect.check_envelope(reply)
        return reply

    def blames(self, reply: Reply, name: str, problem: str = "") -> bool:
        """Whether the reply says that this field is missing, or invalid; without a problem, anything about it."""
        return reply.status == 400 and (self.dialect.fault(reply.json, name) or "").startswith(f"is {problem}")

    def check_fault(self, reply: Reply, name: str, problem: str, cause: object = "") -> None:
        """Fail unless the reply says so. cause: what was sent."""
        assert self.blames(reply, name, problem), f"{cause!a:.60}: {reply.status} {reply.body!r}"


def sms() -> Fields:
    return {"from": THEIRS, "to": OURS, "text": "Hello"}


def outbound_sms() -> Fields:
    return {"from": OURS, "to": THEIRS, "text": "Hello"}


def told() -> Fields:
    return {
        "senderPhone": "1",
        "receiverPhone": THEIRS,
        "messageText": "Hello",
        "timestamp": 1645845235,
        "uuid": f"uuid-{next(serial)}",
    }


def number() -> Fields:
    value = f"+1 505 {next(serial):08}"
    return {"value": value, "monthyPrice": "0.03", "setupPrice": "3.40", "currency": "U$"}


def message() -> Fields:
    return {"sender_id": "MyCorp", "recipient": THEIRS, "text": "Hello"}


def receipt() -> Fields:
    return {"provider_reference": f"unknown-{next(serial)}", "status": "DELIVERED"}


def login() -> Fields:
    return {"login": f"login-{next(serial)}"}


def pair() -> Fields:
    return {"sender": "alice", "recipient": "bob"}


def with_pair(**more: Any) -> Callable[[], Fields]:
    return lambda: {**pair(), **more}


SMS_LENGTHS = {"from": (6, 16), "to": (6, 16), "text": (1, 120)}
TOLD_LENGTHS = {"senderPhone": (1, 20), "receiverPhone": (1, 20), "messageText": (1, 1600), "uuid": (1, 36)}
PAIR_LENGTHS = {"sender": (3, 128), "recipient": (3, 128)}
LISTING = ("page", "per_page", "search", "sort")


def _numbers(path: str) -> list[Row]:
    item = f"{path}/{{id}}"
    return [
        Row(dialect=NUMBERS, method="GET", path=path, usual=200, query_params=LISTING),
        Row(dialect=NUMBERS, method="POST", path=path, usual=201, body=number),
        Row(dialect=NUMBERS, method="GET", path=item, usual=404, path_param="0"),
        Row(dialect=NUMBERS, method="PUT", path=item, usual=404, path_param="0", body=number),
        Row(dialect=NUMBERS, method="PATCH", path=item, usual=404, path_param="0", body=number, partial=True),
        Row(dialect=NUMBERS, method="DELETE", path=item, usual=404, path_param="0"),
    ]


ROWS = [
    Row(dialect=SMS, method="POST", path="/inbound/sms", usual=200, body=sms, lengths=SMS_LENGTHS, counted=True),
    Row(
        dialect=SMS,
        method="POST",
        path="/outbound/sms",
        usual=200,
        body=outbound_sms,
        lengths=SMS_LENGTHS,
        counted=True,
    ),
    Row(
        dialect=CONVERSATIONS,
        method="POST",
        path="/api/send-sms",
        usual=200,
        body=told,
        lengths=TOLD_LENGTHS,
        counted=True,
    ),
    Row(
        dialect=CONVERSATIONS,
        method="POST",
        path="/api/receive-sms",
        usual=200,
        body=told,
        lengths=TOLD_LENGTHS,
        counted=True,
    ),
    Row(
        dialect=CONVERSATIONS,
        method="GET",
        path="/api/get-conversation/{phone}",
        usual=404,
        path_param="unknown",
        query_params=("limit", "before"),
    ),
    *_numbers("/api/numbers"),
    *_numbers("/numbers"),
    Row(
        dialect=MESSAGES,
        method="POST",
        path="/api/messages",
        usual=201,
        body=message,
        lengths={"sender_id": (1, 11), "text": (1, 1600)},
        counted=True,
    ),
    Row(
        dialect=MESSAGES,
        method="GET",
        path="/api/messages/{id}",
        usual=404,
        path_param="01936f2c-6a54-7d5b-9c52-3c1f0d6b7a10",
    ),
    Row(
        dialect=MESSAGES,
        method="POST",
        path="/api/webhooks/dlr",
        usual=404,
        body=receipt,
        lengths={"provider_reference": (1, 255)},
        open=True,
        signed=True,
    ),
    Row(dialect=MAILBOX, method="POST", path="/register", usual=201, body=login, lengths={"login": (3, 128)}),
    Row(
        dialect=MAILBOX,
        method="POST",
        path="/send_message",
        usual=201,
        body=with_pair(message="Hello"),
        lengths={**PAIR_LENGTHS, "message": (1, 10_000)},
        counted=True,
    ),
    Row(dialect=MAILBOX, method="PUT", path="/fetch_new_messages", usual=200, body=pair, lengths=PAIR_LENGTHS),
    Row(
        dialect=MAILBOX,
        method="PUT",
        path="/fetch_messages",
        usual=200,
        body=with_pair(period_start=0, period_end="2001-01-01"),
        lengths=PAIR_LENGTHS,
    ),
    Row(
        dialect=MAILBOX,
        method="DELETE",
        path="/delete_message",
        usual=400,
        body=with_pair(timestamp="2001-01-01"),
        lengths=PAIR_LENGTHS,
    ),
    Row(
        dialect=MAILBOX,
        method="DELETE",
        path="/delete_messages",
        usual=201,
        body=with_pair(timestamps=["2001-01-01"]),
        lengths=PAIR_LENGTHS,
    ),
    Row(dialect=MAILBOX, method="GET", path="/health", usual=200, open=True),
]

WITH_BODY = [row for row in ROWS if row.body is not None]
GUARDED = [row for row in ROWS if not row.open]
FIELDS = [(row, name) for row in WITH_BODY for name in row.fields()]


async def equipped(api: Api, number: str = OURS) -> Caller:
    """An account that has what the rows take for granted."""
    caller = await api.account()
    await api.assign(caller, number)
    await api.whitelist(caller, "MyCorp")
    for login in ("alice", "bob"):
        assert (await caller.call("POST", "/register", json={"login": login})).status == 201
    return caller
