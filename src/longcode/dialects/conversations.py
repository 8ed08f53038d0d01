"""The dialect of `/api/send-sms`, `/api/receive-sms` and `/api/get-conversation/<phone>`.

docs/dialects/conversations.md is its page.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from uuid import UUID

import msgspec

from longcode.domain.account import Account
from longcode.domain.timestamps import parse_unix_seconds
from longcode.errors import DestinationRefused, InvalidField, KeyReused, LongcodeError, NotFound, OptedOut
from longcode.flow.accept import Accept, Send, SenderRule
from longcode.flow.inbound import Inbound, Received
from longcode.store.conversations import ConversationStore, Line, Position, Side
from longcode.wire.call import Answer, Call, json_answer
from longcode.wire.endpoint import Endpoint, Handler
from longcode.wire.fields import is_clean, require, string
from longcode.wire.identity import Identity
from longcode.wire.json import read_object
from longcode.wire.statuses import sentence_of, status_of

FIELDS: Final = ("senderPhone", "receiverPhone", "messageText", "timestamp", "uuid")
PHONE_LENGTH: Final = 20
TEXT_LENGTH: Final = 1600
UUID_LENGTH: Final = 36

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100  # of a page that was asked for by its cursor alone
CHUNK_LINES: Final = 500  # how much of a conversation is in memory at once

SIDES: Final = {Side.SENT: "sent", Side.RECEIVED: "received"}
_POSITION: Final = struct.Struct(">q16sB")
_JSON: Final = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """One message as the client tells it."""

    sender: str
    receiver: str
    text: str
    timestamp: int
    uuid: str

    @property
    def key(self) -> str:
        """One name for both endpoints, so that a message told to either is the same message."""
        return f"conversations:{self.uuid}"

    @property
    def fingerprint(self) -> bytes:
        """What a repeat has in common with the first: parties and text, not the timestamp."""
        return hashlib.sha256(msgspec.json.encode((self.sender, self.receiver, self.text))).digest()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A page of a conversation: its newest `limit` lines before `before`."""

    limit: int
    before: Position | None


def endpoints(*, identity: Identity, accept: Accept, inbound: Inbound, store: ConversationStore) -> list[Endpoint]:
    """The three paths."""

    async def send(call: Call) -> Answer:
        account = await identity.of(call)
        told = await _read(call)
        try:
            await accept.send(
                Send(
                    account=account,
                    sender=told.sender,
                    recipient=told.receiver,
                    text=told.text,
                    sender_rule=SenderRule.NUMBER_OR_RECORD,
                    key=told.key,
                    fingerprint=told.fingerprint,
                    client_reference=told.uuid,
                    sent_at_seconds=told.timestamp,
                )
            )
        except OptedOut:
            return _say(HTTPStatus.BAD_REQUEST, f"{told.receiver} has opted out")
        except DestinationRefused:
            return _say(HTTPStatus.BAD_REQUEST, f"{told.receiver} is not a destination of this account")
        return _say(HTTPStatus.OK, "SMS sent successfully")

    async def receive(call: Call) -> Answer:
        account = await identity.of(call)
        told = await _read(call)
        await inbound.take(
            Received(
                account=account,
                sender=told.sender,
                recipient=told.receiver,
                text=told.text,
                must_own=False,
                key=told.key,
                fingerprint=told.fingerprint,
                client_reference=told.uuid,
                sent_at_seconds=told.timestamp,
            )
        )
        return _say(HTTPStatus.OK, "SMS received successfully")

    async def show(call: Call) -> Answer:
        account = await identity.of(call)
        wanted = _wanted(call.query())
        number = call.params["phone"]
        if not is_clean(number):
            raise _unknown()
        if wanted is None:
            return await show_whole(account, number)
        return await show_page(account, number, wanted)

    async def show_whole(account: Account, number: str) -> Answer:
        lines = await store.after(account.id, number, None, count=CHUNK_LINES)
        if len(lines) == CHUNK_LINES:
            return Answer(HTTPStatus.OK, stream(account, number, lines), (_JSON,))
        if not lines:
            await refuse_unknown(account, number)
        return json_answer(HTTPStatus.OK, {"messages": _shown(lines)})

    async def show_page(account: Account, number: str, wanted: _Wanted) -> Answer:
        lines = await store.before(account.id, number, wanted.before, count=wanted.limit + 1)
        if not lines:
            await refuse_unknown(account, number)
        page = lines[-wanted.limit :]
        next_before = _cursor(page[0].position) if len(lines) > len(page) else None
        return json_answer(HTTPStatus.OK, {"messages": _shown(page), "next_before": next_before})

    async def refuse_unknown(account: Account, number: str) -> None:
        """Raise NotFound where the account has neither the number nor a message of it."""
        if await store.is_assigned(account.id, number):
            return
        if not await store.after(account.id, number, None, count=1):
            raise _unknown()

    async def stream(account: Account, number: str, lines: list[Line]) -> AsyncIterator[bytes]:
        """A whole conversation as JSON, from its first lines on; no connection is held between chunks."""
        opening = b'{"messages":['
        while lines:
            yield opening + msgspec.json.encode(_shown(lines))[1:-1]
            opening = b","
            full = len(lines) == CHUNK_LINES
            lines = await store.after(account.id, number, lines[-1].position, count=CHUNK_LINES) if full else []
        yield b"]}"

    def endpoint(path: str, method: str, handler: Handler) -> Endpoint:
        return Endpoint(path=path, methods={method: handler}, error=_explain)

    return [
        endpoint("/api/send-sms", "POST", send),
        endpoint("/api/receive-sms", "POST", receive),
        endpoint("/api/get-conversation/{phone}", "GET", show),
    ]


async def _read(call: Call) -> _Told:
    """The five fields of a message. Raises MissingField, then InvalidField, in the order of FIELDS."""
    fields = read_object(await call.read())
    require(fields, FIELDS)
    return _Told(
        sender=string(fields, "senderPhone", shortest=1, longest=PHONE_LENGTH),
        receiver=string(fields, "receiverPhone", shortest=1, longest=PHONE_LENGTH),
        text=string(fields, "messageText", shortest=1, longest=TEXT_LENGTH),
        timestamp=parse_unix_seconds(fields["timestamp"], field="timestamp"),
        uuid=string(fields, "uuid", shortest=1, longest=UUID_LENGTH),
    )


def _wanted(query: Mapping[str, str]) -> _Wanted | None:
    """The page that the query asks for; None for the whole conversation. Raises InvalidField."""
    if "limit" not in query and "before" not in query:
        return None
    limit = _limit(query["limit"]) if "limit" in query else DEFAULT_LIMIT
    before = _position(query["before"]) if "before" in query else None
    return _Wanted(limit, before)


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InvalidField("limit")


def _cursor(position: Position) -> str:
    """The position in the shape that `?before=` takes."""
    packed = _POSITION.pack(position.sent_at_seconds, position.message_id.bytes, position.side)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode("ascii")


def _position(cursor: str) -> Position:
    """The position that `_cursor` wrote. Raises InvalidField for everything else."""
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        seconds, message_id, side = _POSITION.unpack(packed)
        return Position(seconds, UUID(bytes=message_id), Side(side))
    except (ValueError, binascii.Error, struct.error) as error:
        raise InvalidField("before") from error


def _shown(lines: Sequence[Line]) -> list[dict[str, object]]:
    return [
        {
            "phone_number": line.other,
            "message_text": line.text,
            "timestamp": line.position.sent_at_seconds,
            "direction": SIDES[line.position.side],
        }
        for line in lines
    ]


def _unknown() -> NotFound:
    return NotFound("User not found")


def _explain(error: LongcodeError) -> Answer:
    if isinstance(error, KeyReused):
        return _say(HTTPStatus.CONFLICT, "uuid was used for another message")
    return _say(status_of(error), sentence_of(error))


def _say(status: HTTPStatus, message: str) -> Answer:
    return json_answer(status, {"message": message})
