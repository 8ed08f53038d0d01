"""The dialect of `/register`, `/send_message` and their like: messages between the logins of an account.

The credentials are checked before the body, the fields before the logins that they name.
docs/dialects/mailbox.md is its page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final

import msgspec

from longcode.domain.account import Account
from longcode.domain.timestamps import format_micro, parse_instant
from longcode.errors import InvalidField, LongcodeError, NotFound
from longcode.flow.mailbox import Mailbox, UnknownLogin
from longcode.store.mailbox import Box, Boxed, MailboxStore, Range, following
from longcode.wire.call import Answer, Call, json_answer
from longcode.wire.endpoint import Endpoint, Handler
from longcode.wire.fields import require, string
from longcode.wire.identity import Identity
from longcode.wire.json import read_object
from longcode.wire.statuses import sentence_of, status_of

LOGIN_LENGTHS: Final = (3, 128)
MESSAGE_LENGTHS: Final = (1, 10_000)
BODY_LIMIT_BYTES: Final = 256 * 1024

PARTIES: Final = ("sender", "recipient")
PERIOD: Final = ("period_start", "period_end")
INDEXES: Final = ("start", "stop")

# Where this dialect differs from the statuses that all share.
STATUSES: Final[dict[type[LongcodeError], HTTPStatus]] = {
    UnknownLogin: HTTPStatus.BAD_REQUEST,
    NotFound: HTTPStatus.BAD_REQUEST,
}

ReadPage = Callable[[Box, Range], Awaitable[list[Boxed]]]

_JSON: Final = (b"content-type", b"application/json")


def endpoints(*, identity: Identity, mailbox: Mailbox, store: MailboxStore) -> list[Endpoint]:
    """All seven paths."""

    async def register(call: Call) -> Answer:
        account = await identity.of(call)
        fields = read_object(await call.read())
        require(fields, ["login"])
        login = _login(fields, "login")
        await store.register(account.id, login)
        return _ok(HTTPStatus.CREATED, f"created user with login {login}")

    async def send_message(call: Call) -> Answer:
        account = await identity.of(call)
        fields = read_object(await call.read())
        require(fields, [*PARTIES, "message"])
        sender, recipient = (_login(fields, name) for name in PARTIES)
        shortest, longest = MESSAGE_LENGTHS
        text = string(fields, "message", shortest=shortest, longest=longest)
        await mailbox.send(account, sender=sender, recipient=recipient, text=text)
        return _ok(HTTPStatus.CREATED, "message sent successfully")

    async def fetch_new_messages(call: Call) -> Answer:
        account = await identity.of(call)
        fields = read_object(await call.read())
        require(fields, PARTIES)
        box = _box(account, fields)
        await check_logins(box)
        return await _messages(store.fetch_new, box, Range())

    async def fetch_messages(call: Call) -> Answer:
        account = await identity.of(call)
        fields = read_object(await call.read())
        by_index = any(fields.get(name) is not None for name in INDEXES)
        require(fields, PARTIES if by_index else PARTIES + PERIOD)
        box, part = _box(account, fields), _range(fields)
        await check_logins(box)
        return await _messages(store.fetch, box, part)

    async def delete_message(call: Call) -> Answer:
        account = await identity.of(call)
        fields = read_object(await call.read())
        require(fields, [*PARTIES, "timestamp"])
        box, instant = _box(account, fields), parse_instant(fields["timestamp"], field="timestamp")
        await check_logins(box)
        if not await store.delete(box, [instant]):
            raise NotFound("absent message")
        return _ok(HTTPStatus.CREATED, "message deleted")

    async def delete_messages(call: Call) -> Answer:
        account = await identity.of(call)
        fields = read_object(await call.read())
        require(fields, [*PARTIES, "timestamps"])
        box, instants = _box(account, fields), _instants(fields, "timestamps")
        await check_logins(box)
        await store.delete(box, instants)
        return _ok(HTTPStatus.CREATED, "message deleted")

    async def health(_call: Call) -> Answer:
        return _ok(HTTPStatus.OK, "OK")

    async def check_logins(box: Box) -> None:
        known = await store.logins(box.account_id, {box.sender, box.recipient})
        if box.recipient in known and box.sender not in known and await store.holds_any(box):
            return  # a number, whose messages a route of the operator's brings here
        for login in (box.sender, box.recipient):
            if login not in known:
                raise UnknownLogin(login)

    def endpoint(method: str, path: str, handler: Handler) -> Endpoint:
        return Endpoint(path=path, methods={method: handler}, error=explain, body_limit_bytes=BODY_LIMIT_BYTES)

    return [
        endpoint("POST", "/register", register),
        endpoint("POST", "/send_message", send_message),
        endpoint("PUT", "/fetch_new_messages", fetch_new_messages),
        endpoint("PUT", "/fetch_messages", fetch_messages),
        endpoint("DELETE", "/delete_message", delete_message),
        endpoint("DELETE", "/delete_messages", delete_messages),
        endpoint("GET", "/health", health),
    ]


def explain(error: LongcodeError) -> Answer:
    """The envelope of every error."""
    status = STATUSES.get(type(error)) or status_of(error)
    return json_answer(status, {"error": sentence_of(error)})


def _ok(status: HTTPStatus, text: str) -> Answer:
    return json_answer(status, {"OK": text})


def _login(fields: Mapping[str, object], name: str) -> str:
    shortest, longest = LOGIN_LENGTHS
    return string(fields, name, shortest=shortest, longest=longest)


def _box(account: Account, fields: Mapping[str, object]) -> Box:
    sender, recipient = (_login(fields, name) for name in PARTIES)
    return Box(account.id, sender, recipient)


def _range(fields: Mapping[str, object]) -> Range:
    """The period, where there is one, and the indexes into it."""
    first, last = (None if fields.get(name) is None else parse_instant(fields[name], field=name) for name in PERIOD)
    start, stop = (_index(fields, name) for name in INDEXES)
    return Range(first=first, last=last, start=start or 0, stop=stop)


def _index(fields: Mapping[str, object], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidField(name)
    return value


def _instants(fields: Mapping[str, object], name: str) -> list[datetime]:
    values = fields[name]
    if not isinstance(values, list):
        raise InvalidField(name)
    return [parse_instant(value, field=name) for value in values]


async def _messages(read_page: ReadPage, box: Box, part: Range) -> Answer:
    """What a part of a box holds; one page as a plain answer, more of them as a stream."""
    page = await read_page(box, part)
    rest = following(part, page)
    if rest is None:
        return json_answer(HTTPStatus.OK, {"messages": _lines(box, page)})
    return Answer(HTTPStatus.OK, _stream(read_page, box, page, rest), (_JSON,))


async def _stream(read_page: ReadPage, box: Box, page: list[Boxed], rest: Range | None) -> AsyncIterator[bytes]:
    """The same answer in chunks of a page each; a page is read once the one before it was sent."""
    opening = b'{"messages":['
    while page:
        yield opening + msgspec.json.encode(_lines(box, page))[1:-1]
        opening = b","
        page = [] if rest is None else await read_page(box, rest)
        rest = rest and following(rest, page)
    yield b"]}"


def _lines(box: Box, page: Sequence[Boxed]) -> list[dict[str, str]]:
    return [
        {
            "sender": box.sender,
            "recipient": box.recipient,
            "timestamp": format_micro(boxed.at),
            "message": boxed.text,
        }
        for boxed in page
    ]
