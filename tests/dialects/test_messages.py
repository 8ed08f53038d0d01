"""`/api/messages/` and `/api/webhooks/dlr/` as their clients see them."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, insert, select, update

from longcode.dialects.messages import ENCODINGS, STATUSES
from longcode.domain.clock import mint_id
from longcode.domain.message import Medium, Status
from longcode.encoding.segments import Encoding
from longcode.store import schema
from longcode.store.outbox import Conclusion, NewAttempt, NewOutcome
from tests.app import Api, Caller
from tests.attempts import put_on_record
from tests.calls import Reply, dumps
from tests.conftest import DLR_SECRET

PATH, DLR = "/api/messages/", "/api/webhooks/dlr/"
SENDER, RECIPIENT = "MyCorp", "12025550147"
RECORD = (
    "id",
    "client_message_id",
    "provider_reference",
    "sender_id",
    "recipient",
    "text",
    "status",
    "encoding",
    "segment_count",
    "created_at",
)
CARRIER = 1
ABSENT = object()
EMOJI = "\N{GRINNING FACE}"

_keys = (f"client-{number}" for number in itertools.count(1))


def message(**changes: object) -> dict[str, object]:
    """A good body with some fields changed; ABSENT leaves one out."""
    fields = {"sender_id": SENDER, "recipient": RECIPIENT, "text": "Hello, this is a test message.", **changes}
    return {name: value for name, value in fields.items() if value is not ABSENT}


async def send(caller: Caller, key: str | None = None, /, **changes: object) -> Reply:
    """POST one message, under a key of its own where none is given."""
    headers = {"Idempotency-Key": f"send_msg:{key or next(_keys)}"}
    return await caller.call("POST", PATH, json=message(**changes), headers=headers)


async def show(caller: Caller, message_id: str) -> dict[str, Any]:
    reply = await caller.call("GET", f"{PATH}{message_id}/")
    assert reply.status == 200
    assert tuple(reply.json) == RECORD
    record: dict[str, Any] = reply.json
    return record


def check_detail(reply: Reply, status: int) -> None:
    """An error that is about no field."""
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/json"
    assert reply.json.keys() == {"detail"}
    assert isinstance(reply.json["detail"], str)


def check_fields(reply: Reply, *names: str, status: int = 400) -> None:
    """An error that is about these fields, each with its list of sentences."""
    assert reply.status == status, reply.body
    assert set(reply.json) == set(names)
    assert all(len(faults) == 1 and isinstance(faults[0], str) for faults in reply.json.values())


async def count(api: Api, table_name: str, account_id: int) -> int:
    """How many rows of a table are this account's."""
    table = schema.metadata.tables[table_name]
    query = select(func.count()).select_from(table).where(table.c.account_id == account_id)
    async with api.database.read() as connection:
        return (await connection.execute(query)).scalar_one()


async def answer(api: Api, message_id: str, *references: str) -> None:
    """The carrier takes a message's segments under these references, as dispatch records it."""
    id_ = UUID(message_id)
    attempts = [NewAttempt(mint_id(), id_, index, len(references), CARRIER) for index in range(len(references))]
    await put_on_record(api.database, *attempts)
    outcomes = tuple(
        NewOutcome(
            attempt_id=attempt.id,
            message_id=id_,
            segment_index=attempt.segment_index,
            segment_total=attempt.segment_total,
            carrier_id=CARRIER,
            kind="accepted",
            reference=reference,
        )
        for attempt, reference in zip(attempts, references, strict=True)
    )
    await api.product.outbox.conclude([Conclusion(message_id=id_, outcomes=outcomes, status=Status.SENT)])
    await api.product.receipts.match(references)


def sign(body: bytes, secret: str = DLR_SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


async def report(api: Api, fields: object = ABSENT, *, body: bytes | None = None, path: str = DLR) -> Reply:
    """POST one receipt, rightly signed."""
    content = dumps(fields) if body is None else body
    return await api.anonymous.call("POST", path, body=content, headers={"X-Provider-Signature": sign(content)})


async def sending(api: Api) -> Caller:
    """A fresh account that may send as MyCorp."""
    caller = await api.account()
    await api.whitelist(caller, SENDER)
    return caller


@pytest.fixture
async def caller(api: Api) -> Caller:
    return await sending(api)


# Sending --------------------------------------------------------------------------------------------------------


async def test_a_new_message_is_answered_with_its_record(api: Api, caller: Caller) -> None:
    before = datetime.now(UTC)
    reply = await send(caller, "client_message_id_123", text="Hello")
    assert reply.status == 201
    record = reply.json
    assert tuple(record) == RECORD
    assert reply.headers["location"] == f"/api/messages/{record['id']}/"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["created_at"])
    created_at = datetime.fromisoformat(record["created_at"])
    assert before - timedelta(seconds=1) <= created_at <= datetime.now(UTC)
    assert str(UUID(record["id"])) == record["id"]
    assert {name: record[name] for name in RECORD if name not in ("id", "created_at")} == {
        "client_message_id": "client_message_id_123",
        "provider_reference": None,
        "sender_id": SENDER,
        "recipient": RECIPIENT,
        "text": "Hello",
        "status": "INITIATED",
        "encoding": "GSM-7",
        "segment_count": 1,
    }
    assert (await caller.call("GET", reply.headers["location"])).json == record
    assert await count(api, "outbox", caller.account_id) == 1


@dataclass(frozen=True, slots=True)
class TextCase:
    name: str
    text: str
    encoding: str = "GSM-7"
    segment_count: int = 1


TEXTS = (
    TextCase("one character", "a"),
    TextCase("160 septets fit one segment", "a" * 160),
    TextCase("161 septets take two", "a" * 161, segment_count=2),
    TextCase("306 septets take two", "a" * 306, segment_count=2),
    TextCase("307 septets take three", "a" * 307, segment_count=3),
    TextCase("an extension character is two septets", "a" * 159 + "€", segment_count=2),
    TextCase("an escape pair is never split", "a" * 152 + "€" + "a" * 152, segment_count=3),
    TextCase("70 UTF-16 units fit one segment", "я" * 70, "UCS-2"),
    TextCase("71 UTF-16 units take two", "я" * 71, "UCS-2", 2),
    TextCase("135 UTF-16 units take three", "я" * 135, "UCS-2", 3),
    TextCase("a surrogate pair is never split", "я" * 66 + EMOJI + "я" * 66, "UCS-2", 3),
    TextCase("1600 characters", "a" * 1600, segment_count=11),
    TextCase("1600 code points, however many units", EMOJI * 1600, "UCS-2", 49),
    TextCase("blanks and line ends are kept", " \r\n "),
    TextCase("nonstop is another word", "a nonstop flight"),
    TextCase("stopped is another word", "stopped"),
    TextCase("an underscore belongs to its word", "STOP_"),
    TextCase("a digit belongs to its word", "STOP2"),
    TextCase("a letter of another script belongs to its word", "яSTOP", "UCS-2"),
    TextCase("no letter stands for another", "ſtop", "UCS-2"),
)


@pytest.mark.parametrize("case", TEXTS, ids=lambda case: case.name)
async def test_texts_that_are_sent(caller: Caller, case: TextCase) -> None:
    reply = await send(caller, text=case.text)
    assert reply.status == 201, reply.body
    record = await show(caller, reply.json["id"])
    assert record == reply.json
    assert (record["text"], record["encoding"], record["segment_count"]) == (
        case.text,
        case.encoding,
        case.segment_count,
    )


@pytest.mark.parametrize("recipient", ["123456", "123456789012345", "+123456", "+123456789012345"])
async def test_recipients_are_kept_as_written(caller: Caller, recipient: str) -> None:
    reply = await send(caller, recipient=recipient)
    assert (reply.status, reply.json["recipient"]) == (201, recipient)


@pytest.mark.parametrize("sender_id", ["a", "elevenchars", "1234567", EMOJI * 11, " a "])
async def test_sender_ids_of_the_whitelist(api: Api, caller: Caller, sender_id: str) -> None:
    await api.whitelist(caller, sender_id)
    reply = await send(caller, sender_id=sender_id)
    assert (reply.status, reply.json["sender_id"]) == (201, sender_id)


FIELD_CASES = [
    pytest.param({"sender_id": ABSENT}, ("sender_id",), id="sender_id absent"),
    pytest.param({"recipient": None}, ("recipient",), id="recipient null"),
    pytest.param({"text": ABSENT, "recipient": ABSENT}, ("text", "recipient"), id="all the missing ones at once"),
    pytest.param({"text": None, "recipient": "x"}, ("text",), id="missing before invalid"),
    pytest.param({"sender_id": "", "recipient": "x", "text": ""}, ("sender_id", "recipient", "text"), id="all invalid"),
    pytest.param({"sender_id": "twelve chars"}, ("sender_id",), id="sender_id of 12 characters"),
    pytest.param({"sender_id": 5}, ("sender_id",), id="sender_id a number"),
    pytest.param({"sender_id": "a\0"}, ("sender_id",), id="sender_id with U+0000"),
    pytest.param({"recipient": "12345"}, ("recipient",), id="5 digits"),
    pytest.param({"recipient": "1" * 16}, ("recipient",), id="16 digits"),
    pytest.param({"recipient": "++1202555014"}, ("recipient",), id="two plus signs"),
    pytest.param({"recipient": "1 202 555 0147"}, ("recipient",), id="spaces"),
    pytest.param({"recipient": "12025550147\n"}, ("recipient",), id="a line end"),
    pytest.param({"recipient": "١٢٣٤٥٦٧"}, ("recipient",), id="digits of another script"),
    pytest.param({"recipient": 12025550147}, ("recipient",), id="recipient a number"),
    pytest.param({"text": "a" * 1601}, ("text",), id="1601 characters"),
    pytest.param({"text": True}, ("text",), id="text a boolean"),
    pytest.param({"text": ["a"]}, ("text",), id="text a list"),
    pytest.param({"text": "a\0b"}, ("text",), id="text with U+0000"),
    pytest.param({"text": "a\ud800b"}, ("text",), id="text with a lone surrogate"),
    pytest.param({"sender_id": "mycorp"}, ("sender_id",), id="whitelist: exact case"),
    pytest.param({"sender_id": "BadSender"}, ("sender_id",), id="whitelist: unknown"),
    pytest.param({"text": "Please STOP sending me messages."}, ("text",), id="STOP in a sentence"),
    pytest.param({"text": "stop"}, ("text",), id="STOP in lower case"),
    pytest.param({"text": "don't sToP!"}, ("text",), id="STOP before a mark"),
    pytest.param({"text": "a stop-gap"}, ("text",), id="STOP before a hyphen"),
    pytest.param({"text": "now\nSTOP\r\n"}, ("text",), id="STOP on its own line"),
    pytest.param({"text": "STOP", "sender_id": "BadSender"}, ("sender_id",), id="whitelist before STOP"),
    pytest.param({"text": "STOP", "recipient": "x"}, ("recipient",), id="fields before STOP"),
    pytest.param({"text": "", "sender_id": "BadSender"}, ("text",), id="fields before whitelist"),
]


@pytest.mark.parametrize(("changes", "names"), FIELD_CASES)
async def test_faulty_fields_are_refused_and_leave_the_key_free(
    api: Api, caller: Caller, changes: dict[str, object], names: tuple[str, ...]
) -> None:
    check_fields(await send(caller, "k", **changes), *names)
    assert await count(api, "message", caller.account_id) == 0
    assert (await send(caller, "k")).status == 201


async def test_a_recipient_who_opted_out_is_refused_and_leaves_the_key_free(api: Api, caller: Caller) -> None:
    await api.product.opt_outs.add(caller.account_id, RECIPIENT, source="test")
    for recipient in (RECIPIENT, f"+{RECIPIENT}"):
        reply = await send(caller, "k", recipient=recipient)
        assert (reply.status, reply.json) == (400, {"recipient": ["has opted out"]})
    check_fields(await send(caller, "k", sender_id="BadSender"), "sender_id")
    check_fields(await send(caller, "k", text="STOP"), "text")
    assert (await send(caller, "k", recipient="12025550148")).status == 201


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"text"', b"{", b'{"text": "\xff"}', b'{"text": NaN}', b"[" * 60000]
)
async def test_a_body_that_is_no_object_is_refused(caller: Caller, body: bytes) -> None:
    headers = {"Idempotency-Key": "send_msg:k"}
    check_detail(await caller.call("POST", PATH, body=body, headers=headers), 400)
    assert (await send(caller, "k")).status == 201


# Reading --------------------------------------------------------------------------------------------------------


def test_every_status_and_encoding_has_a_name_on_the_wire() -> None:
    assert set(STATUSES) == set(Status)
    assert set(STATUSES.values()) == {"INITIATED", "QUEUED", "SENT", "DELIVERED", "FAILED"}
    assert set(ENCODINGS) == set(Encoding)


STATUS_CASES = [
    (Status.ACCEPTED, "INITIATED"),
    (Status.SCHEDULED, "INITIATED"),
    (Status.QUEUED, "QUEUED"),
    (Status.SENDING, "QUEUED"),
    (Status.SENT, "SENT"),
    (Status.DELIVERED, "DELIVERED"),
    (Status.UNDELIVERED, "FAILED"),
    (Status.FAILED, "FAILED"),
    (Status.CANCELED, "FAILED"),
    (Status.RECEIVED, "DELIVERED"),
    (Status.RECORDED, "SENT"),
]


async def test_statuses_as_clients_see_them(api: Api, caller: Caller) -> None:
    message_id = (await send(caller)).json["id"]
    for status, name in STATUS_CASES:
        async with api.database.write() as connection:
            await connection.execute(
                update(schema.message).where(schema.message.c.id == UUID(message_id)).values(status=status.value)
            )
        assert (await show(caller, message_id))["status"] == name


async def test_a_message_of_another_door_is_shown_too(api: Api, caller: Caller) -> None:
    body = {
        "senderPhone": "+12025550101",
        "receiverPhone": "+12025550102",
        "messageText": "STOP",
        "timestamp": 1,
        "uuid": "u-1",
    }
    assert (await caller.call("POST", "/api/receive-sms", json=body)).status == 200
    async with api.database.read() as connection:
        query = select(schema.message.c.id).where(schema.message.c.account_id == caller.account_id)
        message_id = (await connection.execute(query)).scalar_one()
    record = await show(caller, str(message_id))
    assert (record["sender_id"], record["status"], record["client_message_id"]) == ("+12025550101", "DELIVERED", "u-1")


async def test_a_message_without_a_clients_name_is_shown(api: Api, caller: Caller) -> None:
    message_id = mint_id()
    values = {
        "id": message_id,
        "account_id": caller.account_id,
        "direction": "outbound",
        "medium": "sms",
        "sender": "12025550101",
        "recipient": RECIPIENT,
        "text": "Hello",
        "sent_at_seconds": 0,
        "status": "queued",
        "encoding": "gsm7",
        "segment_count": 1,
        "created_at": datetime(2026, 11, 22, 10, tzinfo=UTC),
        "updated_at": datetime(2026, 11, 22, 10, tzinfo=UTC),
    }
    async with api.database.write() as connection:
        await connection.execute(insert(schema.message), [values])
    record = await show(caller, str(message_id))
    assert (record["client_message_id"], record["created_at"]) == (None, "2026-11-22T10:00:00.000000Z")


async def test_mailbox_messages_are_not_shown(api: Api, caller: Caller) -> None:
    message_id = (await send(caller)).json["id"]
    async with api.database.write() as connection:
        await connection.execute(
            update(schema.message).where(schema.message.c.id == UUID(message_id)).values(medium=Medium.MAILBOX.value)
        )
    check_detail(await caller.call("GET", f"{PATH}{message_id}/"), 404)


async def test_an_id_is_read_in_either_case(caller: Caller) -> None:
    reply = await send(caller)
    assert await show(caller, reply.json["id"].upper()) == reply.json


@pytest.mark.parametrize(
    "message_id",
    [
        "1",
        "x" * 5000,
        str(UUID(int=0)),
        UUID(int=1).hex,
        "{00000000-0000-0000-0000-000000000001}",
        "urn:uuid:00000000-0000-0000-0000-000000000001",
        "%00",
        "%FF",
        "00000000-0000-0000-0000-00000000000%0A",
        "%D9%A10000000-0000-0000-0000-000000000001",
    ],
)
async def test_an_id_that_names_nothing_is_unknown(caller: Caller, message_id: str) -> None:
    check_detail(await caller.call("GET", f"{PATH}{message_id}"), 404)


async def test_the_reference_of_a_message_is_that_of_its_first_segment(api: Api, caller: Caller) -> None:
    created = await send(caller, text="a" * 161)
    references = [str(uuid4()), str(uuid4())]
    await answer(api, created.json["id"], *references)
    record = await show(caller, created.json["id"])
    assert (record["provider_reference"], record["status"]) == (references[0], "SENT")


# What all paths share -------------------------------------------------------------------------------------------

PATHS = [
    pytest.param("/api/messages", "OPTIONS, POST", id="messages"),
    pytest.param(f"/api/messages/{UUID(int=1)}", "GET, HEAD, OPTIONS", id="one message"),
    pytest.param("/api/webhooks/dlr", "OPTIONS, POST", id="receipts"),
]


@pytest.mark.parametrize(("path", "allow"), PATHS)
async def test_methods(api: Api, path: str, allow: str) -> None:
    for form in (path, f"{path}/"):
        options = await api.anonymous.call("OPTIONS", form)
        assert (options.status, options.headers["allow"]) == (204, allow)
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - set(allow.split(", ")):
            refused = await api.anonymous.call(method, form)
            assert (refused.status, refused.headers["allow"]) == (405, allow)
            if method != "HEAD":
                check_detail(refused, 405)


@pytest.mark.parametrize("path", ["/api/messages", "/api/messages/"])
async def test_both_forms_of_a_path_and_any_content_type(caller: Caller, path: str) -> None:
    for content_type in ({}, {"Content-Type": "text/plain"}):
        headers = {"Idempotency-Key": f"send_msg:{next(_keys)}", **content_type}
        created = await caller.call("POST", path, json=message(), headers=headers)
        assert created.status == 201
        for one in (created.headers["location"], created.headers["location"].rstrip("/")):
            assert (await caller.call("GET", one)).json == created.json
            head = await caller.call("HEAD", one)
            assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer x"}])
async def test_nobody_gets_in_without_credentials(api: Api, headers: dict[str, str]) -> None:
    for method, path in (("POST", PATH), ("GET", f"{PATH}{UUID(int=1)}/")):
        reply = await api.anonymous.call(method, path, json=message(), headers=headers)
        check_detail(reply, 401)
        assert "www-authenticate" in reply.headers


async def test_a_body_over_64_kib_is_refused(api: Api, caller: Caller) -> None:
    body = dumps(message(note="x" * 65536))
    check_detail(await caller.call("POST", PATH, body=body, headers={"Idempotency-Key": "send_msg:k"}), 413)
    check_detail(await report(api, body=body), 413)
