"""The dialect of `/api/messages/` and `/api/webhooks/dlr/`: messages with keys and receipts.

A message's key is read before its body and its replay answered before its fields are judged; a receipt's
signature is checked before anything in it is read. docs/dialects/messages.md is its page.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from uuid import UUID

import msgspec

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.domain.account import Account
from longcode.domain.message import Medium, Message, Status
from longcode.domain.phone import parse_recipient
from longcode.domain.timestamps import format_micro
from longcode.encoding.segments import Encoding
from longcode.errors import (
    DestinationRefused,
    InvalidField,
    KeyReused,
    LongcodeError,
    NotFound,
    NotWhitelisted,
    OptedOut,
    Refused,
)
from longcode.flow.accept import Accept, Send, SenderRule
from longcode.flow.receipt import Receipts
from longcode.store.messages import MessageStore
from longcode.wire.call import Answer, Call, json_answer
from longcode.wire.endpoint import Endpoint
from longcode.wire.fields import string
from longcode.wire.identity import Identity
from longcode.wire.json import read_object
from longcode.wire.statuses import sentence_of, status_of

PATH: Final = "/api/messages"
SENDER_ID_LENGTH: Final = 11
TEXT_LENGTH: Final = 1600
REFERENCE_LENGTH: Final = 255
RAW_LENGTH: Final = 4096  # how many characters of a receipt's body are kept for the record

STATUSES: Final[Mapping[Status, str]] = {
    Status.ACCEPTED: "INITIATED",
    Status.SCHEDULED: "INITIATED",
    Status.QUEUED: "QUEUED",
    Status.SENDING: "QUEUED",
    Status.SENT: "SENT",
    Status.DELIVERED: "DELIVERED",
    Status.UNDELIVERED: "FAILED",
    Status.FAILED: "FAILED",
    Status.CANCELED: "FAILED",
    # Messages of other doors, which can be read here too: one has arrived, one was sent by somebody else.
    Status.RECEIVED: "DELIVERED",
    Status.RECORDED: "SENT",
}
ENCODINGS: Final[Mapping[str, str]] = {Encoding.GSM7: "GSM-7", Encoding.LATIN1: "LATIN-1", Encoding.UCS2: "UCS-2"}
RECEIPT_STATUSES: Final[Mapping[str, ReceiptStatus]] = {
    "delivered": ReceiptStatus.DELIVERED,
    "failed": ReceiptStatus.UNDELIVERED,
}

_KEY: Final = re.compile(r"send_msg:([\x20-\x7e]{1,255})")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
# Letters by hand: IGNORECASE would also fold U+017F, the long s.
_STOP_WORD: Final = re.compile(r"\b[Ss][Tt][Oo][Pp]\b")


@dataclass(frozen=True, slots=True)
class Field:
    """How one field of a body is read. parse raises InvalidField; rule: what is said when it does."""

    parse: Callable[[Mapping[str, object], str], str]
    rule: str


def _clean(longest: int) -> Callable[[Mapping[str, object], str], str]:
    """A clean string of 1 to longest code points."""
    return lambda fields, name: string(fields, name, shortest=1, longest=longest)


def _receipt_status(fields: Mapping[str, object], name: str) -> str:
    """A key of RECEIPT_STATUSES, whatever case it came in."""
    value = fields[name]
    if isinstance(value, str) and value.isascii() and value.lower() in RECEIPT_STATUSES:
        return value.lower()
    raise InvalidField(name)


MESSAGE_FIELDS: Final[Mapping[str, Field]] = {
    "sender_id": Field(_clean(SENDER_ID_LENGTH), f"it must be 1 to {SENDER_ID_LENGTH} characters"),
    "recipient": Field(
        lambda fields, name: parse_recipient(fields[name], field=name), "it must be 6 to 15 digits, + in front or not"
    ),
    "text": Field(_clean(TEXT_LENGTH), f"it must be 1 to {TEXT_LENGTH} characters"),
}
RECEIPT_FIELDS: Final[Mapping[str, Field]] = {
    "provider_reference": Field(_clean(REFERENCE_LENGTH), f"it must be 1 to {REFERENCE_LENGTH} characters"),
    "status": Field(_receipt_status, "it must be DELIVERED or FAILED"),
}


class FaultyFields(LongcodeError):
    """One field or several, each with what is wrong with it."""

    code = "faulty_fields"

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("fields are at fault")
        self.faults = faults


class BadKey(LongcodeError):
    """The Idempotency-Key header is absent, malformed, or there more than once."""

    code = "bad_key"


class BadSignature(Refused):
    """A receipt that the operator's secret did not sign."""

    code = "bad_signature"


@dataclass(frozen=True, slots=True)
class _Draft:
    """A message as the client wrote it, its fields checked."""

    sender_id: str
    recipient: str
    text: str

    @property
    def fingerprint(self) -> bytes:
        """What a replay has in common with the first: the three values, wherever they stood in the body."""
        return hashlib.sha256(msgspec.json.encode((self.sender_id, self.recipient, self.text))).digest()


def endpoints(
    *, identity: Identity, accept: Accept, messages: MessageStore, receipts: Receipts, dlr_secret: bytes | None
) -> list[Endpoint]:
    """The three paths.

    dlr_secret: what receipts are signed with; without one, or with an empty one, every receipt is refused.
    """

    async def create(call: Call) -> Answer:
        account = await identity.of(call)
        client_message_id = _client_message_id(call)
        key = f"messages:{client_message_id}"
        fields = read_object(await call.read())
        try:
            draft = _Draft(**_read(fields, MESSAGE_FIELDS))
            await refuse_stop_word(account, draft)
        except (FaultyFields, NotWhitelisted):
            # Nothing like this was ever stored: where the key is taken, it was for another body.
            await accept.refuse_used_key(account, key)
            raise
        entered = await accept.send(
            Send(
                account=account,
                sender=draft.sender_id,
                recipient=draft.recipient,
                text=draft.text,
                sender_rule=SenderRule.SENDER_ID,
                key=key,
                fingerprint=draft.fingerprint,
                client_reference=client_message_id,
            )
        )
        if entered.replayed:
            return json_answer(HTTPStatus.OK, _record(entered.message))
        location = f"{PATH}/{entered.message.id}/"
        return json_answer(HTTPStatus.CREATED, _record(entered.message), (("location", location),))

    async def refuse_stop_word(account: Account, draft: _Draft) -> None:
        if _STOP_WORD.search(draft.text):
            await accept.check_sender_id(account, draft.sender_id)
            raise FaultyFields({"text": "contains the word STOP"})

    async def show(call: Call) -> Answer:
        account = await identity.of(call)
        message_id = call.params["id"]
        message = await messages.get(account.id, UUID(message_id)) if _UUID.fullmatch(message_id) else None
        if message is None or message.medium is not Medium.SMS:
            raise NotFound("there is no such message")
        return json_answer(HTTPStatus.OK, _record(message))

    async def take_receipt(call: Call) -> Answer:
        body = await call.read()
        _verify(call, body, dlr_secret)
        read = _read(read_object(body), RECEIPT_FIELDS)
        reference = read["provider_reference"]
        matched = await receipts.take(
            [
                CarrierReceipt(
                    carrier_id=None,
                    reference=reference,
                    status=RECEIPT_STATUSES[read["status"]],
                    whole_message=True,
                    raw=body.decode("utf-8")[:RAW_LENGTH],
                )
            ]
        )
        if reference not in matched:
            raise NotFound("no message has this provider_reference")
        return _say(HTTPStatus.OK, "ok")

    return [
        Endpoint(path=PATH, methods={"POST": create}, error=explain),
        Endpoint(path=f"{PATH}/{{id}}", methods={"GET": show}, error=explain),
        Endpoint(path="/api/webhooks/dlr", methods={"POST": take_receipt}, error=explain),
    ]


def explain(error: LongcodeError) -> Answer:
    """The dialect's answer to any error."""
    if isinstance(error, FaultyFields):
        return _blame(error.faults)
    if isinstance(error, NotWhitelisted):
        return _blame({"sender_id": "is not in the whitelist"})
    if isinstance(error, OptedOut):
        return _blame({"recipient": "has opted out"})
    if isinstance(error, DestinationRefused):
        return _blame({"recipient": "is not a destination of this account"})
    if isinstance(error, BadKey):
        return _say(HTTPStatus.BAD_REQUEST, str(error))
    if isinstance(error, KeyReused):
        return _say(HTTPStatus.UNPROCESSABLE_ENTITY, "the Idempotency-Key was used with another body")
    return _say(status_of(error), sentence_of(error))


def _client_message_id(call: Call) -> str:
    """The client's own name for the message, from the header. Raises BadKey."""
    header = call.header("idempotency-key")
    if header is None:
        raise BadKey("the Idempotency-Key header is missing")
    if [name for name, _ in call.header_lines].count(b"idempotency-key") > 1:
        # By the wrong one of them the message would go out twice, or not at all.
        raise BadKey("the Idempotency-Key header is there more than once")
    # Blanks around a header's value are no part of it (RFC 9110 §5.5), and not every server takes them off.
    match = _KEY.fullmatch(header.strip(" \t"))
    if match is None:
        raise BadKey("the Idempotency-Key header must be send_msg: and 1 to 255 printable ASCII characters")
    return match[1]


def _read(fields: Mapping[str, object], wanted: Mapping[str, Field]) -> dict[str, str]:
    """The wanted fields by name. Raises FaultyFields: for the missing ones, else for all that are invalid."""
    missing = [name for name in wanted if fields.get(name) is None]
    if missing:
        raise FaultyFields(dict.fromkeys(missing, "is missing"))
    read: dict[str, str] = {}
    invalid: dict[str, str] = {}
    for name, field in wanted.items():
        try:
            read[name] = field.parse(fields, name)
        except InvalidField:
            invalid[name] = f"is invalid: {field.rule}"
    if invalid:
        raise FaultyFields(invalid)
    return read


def _verify(call: Call, body: bytes, secret: bytes | None) -> None:
    """Raise BadSignature unless the header holds the body's HMAC-SHA256 under the secret."""
    if not secret:
        raise BadSignature("receipts are not taken: no secret is set")
    sent = call.headers.get(b"x-provider-signature", b"").strip(b" \t").lower().removeprefix(b"sha256=")
    expected = hmac.new(secret, body, hashlib.sha256).hexdigest().encode("ascii")
    if not hmac.compare_digest(sent, expected):
        raise BadSignature("the signature is missing or wrong")


def _record(message: Message) -> dict[str, object]:
    return {
        "id": str(message.id),
        "client_message_id": message.client_reference,
        "provider_reference": message.provider_reference,
        "sender_id": message.sender,
        "recipient": message.recipient,
        "text": message.text,
        "status": STATUSES[message.status],
        "encoding": ENCODINGS[message.encoding],
        "segment_count": message.segment_count,
        "created_at": f"{format_micro(message.created_at)}Z",
    }


def _blame(faults: Mapping[str, str]) -> Answer:
    return json_answer(HTTPStatus.BAD_REQUEST, {name: [fault] for name, fault in faults.items()})


def _say(status: HTTPStatus, detail: str) -> Answer:
    return json_answer(status, {"detail": detail})
