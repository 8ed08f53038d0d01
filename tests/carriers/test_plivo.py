"""The Plivo carrier: what it writes, what its answers mean, and its callbacks as Plivo's own library signs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from plivo.utils import validate_signature
from plivo.utils.signature_v3 import construct_get_url, construct_post_url, get_signature_v3, validate_v3_signature

from longcode.carriers.http_port import BadCallback, Callback, HttpReply, HttpRequest, Site
from longcode.carriers.plivo import Plivo, parse
from longcode.carriers.port import Accepted, Deferred, Outcome, ReceiptStatus, Rejected, Unconfirmed
from longcode.errors import ConfigurationError
from tests.carriers.smpp_world import submission

AUTH_ID = "MA" + "0" * 18
TOKEN = "0123456789"
NONCE = "05429567804466091622"
SITE = Site(carrier_id=7, name="north", public_url="https://sms.example")
STATUS_URL = "https://sms.example/carriers/north/status"
UUID = "db3ce55a-7f1d-11e1-8ea7-1231380bc196"


def plivo(**settings: str) -> Plivo:
    return Plivo(SITE, parse({"auth_id": AUTH_ID, "auth_token": TOKEN, **settings}))


@dataclass(frozen=True, slots=True)
class RequestCase:
    what: str
    writes: dict[str, str | None]
    submitted: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


REQUESTS = [
    RequestCase("numbers without the plus", {"dst": "12025550101"}),
    RequestCase("a sender's number without it", {"src": "12025550100"}, {"sender": "+12025550100"}),
    RequestCase("a sender's name as it is", {"src": "MyCorp"}),
    RequestCase("the text as it is", {"text": '"é"\n🙂'}, {"text": '"é"\n🙂'}),
    RequestCase(
        "a powerpack in the sender's place",
        {"powerpack_uuid": UUID, "src": None},
        settings={"powerpack_uuid": UUID},
    ),
]


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.what)
def test_a_message_is_written_with(case: RequestCase) -> None:
    request = plivo(**case.settings).request(submission(**case.submitted))
    assert isinstance(request, HttpRequest)
    assert (request.method, request.url) == ("POST", f"https://api.plivo.com/v1/Account/{AUTH_ID}/Message/")
    written = json.loads(request.body)
    assert {name: written.get(name) for name in case.writes} == case.writes


@pytest.mark.parametrize("recipient", ["12025550101<12025550102", "MyCorp", "", "+"])
def test_what_is_not_one_telephone_number_is_not_written(recipient: str) -> None:
    refused = plivo().request(submission(recipient=recipient))
    assert isinstance(refused, Rejected)
    assert refused.code == "invalid_destination"


@dataclass(frozen=True, slots=True)
class AnswerCase:
    what: str
    reply: HttpReply
    outcome: Outcome


ANSWERS = [
    AnswerCase("taken", HttpReply(202, json.dumps({"message_uuid": [UUID]}).encode()), Accepted(UUID)),
    AnswerCase("taken, in one word", HttpReply(202, json.dumps({"message_uuid": UUID}).encode()), Accepted(UUID)),
    AnswerCase(
        "no name for it",
        HttpReply(202, b'{"message_uuid":[]}'),
        Unconfirmed("The carrier answered 202 without a reference."),
    ),
    AnswerCase(
        "refused", HttpReply(400, b'{"error":"src is wrong"}'), Rejected("refused_by_carrier", "400: src is wrong")
    ),
    AnswerCase("no words at all", HttpReply(404, b"<html>"), Rejected("http_404", "The carrier answered 404.")),
    AnswerCase("too fast", HttpReply(429, b"", 7.0), Deferred(7.0, "throttled", "The carrier answered 429.")),
    AnswerCase(
        "credentials that are wrong",
        HttpReply(401, b"Could not verify"),
        Deferred(60.0, "not_authenticated", "The carrier answered 401."),
    ),
    AnswerCase("a fault", HttpReply(500, b"{}"), Unconfirmed("The carrier answered 500, which proves nothing.")),
]


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.what)
def test_an_answer_means(case: AnswerCase) -> None:
    assert plivo().outcome(case.reply, submission()) == case.outcome


def callback(fields: dict[str, str], headers: dict[str, str], url: str = STATUS_URL, method: str = "POST") -> Callback:
    return Callback(
        method=method,
        url=url,
        query=url.partition("?")[2],
        headers={name.lower().encode(): value.encode() for name, value in headers.items()},
        body=urlencode(fields).encode(),
    )


def v3(fields: dict[str, str], url: str = STATUS_URL, method: str = "POST") -> dict[str, str]:
    """The headers of the third form, made by Plivo's library."""
    as_lists = parse_qs(urlencode(fields), keep_blank_values=True)
    signed = construct_get_url(url, as_lists) if method == "GET" else construct_post_url(url, as_lists)
    signature = get_signature_v3(TOKEN.encode(), signed.decode(), NONCE.encode()).decode()
    assert validate_v3_signature(method, url, NONCE, TOKEN, signature, as_lists if method == "POST" else None)
    return {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": NONCE}


def v2(url: str = STATUS_URL) -> dict[str, str]:
    signed = (url.partition("?")[0] + NONCE).encode()
    signature = base64.b64encode(hmac.new(TOKEN.encode(), signed, hashlib.sha256).digest()).decode()
    assert validate_signature(url, NONCE, signature, TOKEN)
    return {"X-Plivo-Signature-V2": signature, "X-Plivo-Signature-V2-Nonce": NONCE}


FIELDS = {
    "MessageUUID": UUID,
    "Status": "delivered",
    "To": "12025550101",
    "From": "MyCorp",
    "Empty": "",
    "Text": "é +&=",
}
QUERY = f"{STATUS_URL}?b=2&attempt=1&a=x"


@dataclass(frozen=True, slots=True)
class SignatureCase:
    what: str
    call: Callback
    genuine: bool


SIGNATURES = [
    SignatureCase("the third form", callback(FIELDS, v3(FIELDS)), True),
    SignatureCase("the third form with a query", callback(FIELDS, v3(FIELDS, QUERY), QUERY), True),
    SignatureCase("the third form without fields", callback({}, v3({})), True),
    SignatureCase("the third form of a GET", callback({}, v3({}, QUERY, "GET"), QUERY, "GET"), True),
    SignatureCase(
        "one of several",
        callback(FIELDS, v3(FIELDS) | {"X-Plivo-Signature-V3": "AAAA," + v3(FIELDS)["X-Plivo-Signature-V3"]}),
        True,
    ),
    SignatureCase("the second form", callback(FIELDS, v2()), True),
    SignatureCase("the second form with a query", callback(FIELDS, v2(QUERY), QUERY), True),
    SignatureCase("a wrong third form beside the second", callback(FIELDS, v2() | v3({"a": "b"})), False),
    SignatureCase("a changed field", callback({**FIELDS, "Status": "failed"}, v3(FIELDS)), False),
    SignatureCase("another address", callback(FIELDS, v3(FIELDS, "https://sms.example/other")), False),
    SignatureCase("another nonce", callback(FIELDS, v3(FIELDS) | {"X-Plivo-Signature-V3-Nonce": "1"}), False),
    SignatureCase("no signature", callback(FIELDS, {}), False),
]


@pytest.mark.parametrize("case", SIGNATURES, ids=lambda case: case.what)
def test_a_signature_is_told(case: SignatureCase) -> None:
    assert plivo().is_genuine(case.call) is case.genuine


@dataclass(frozen=True, slots=True)
class ReceiptCase:
    what: str
    fields: dict[str, str]
    status: ReceiptStatus
    error: str | None = None
    reference: str = UUID


RECEIPTS = [
    ReceiptCase("queued", {"Status": "queued"}, ReceiptStatus.ENROUTE),
    ReceiptCase("delivered", {"Status": "delivered", "ErrorCode": "000"}, ReceiptStatus.DELIVERED),
    ReceiptCase("undelivered", {"Status": "undelivered", "ErrorCode": "300"}, ReceiptStatus.UNDELIVERED, "undeliv:300"),
    ReceiptCase("rejected", {"Status": "rejected", "ErrorCode": "200"}, ReceiptStatus.UNDELIVERED, "rejectd:200"),
    ReceiptCase(
        "the first of two parts delivered", {"Status": "delivered", "PartInfo": "1 of 2"}, ReceiptStatus.ENROUTE
    ),
    ReceiptCase(
        "the last of two parts delivered", {"Status": "delivered", "PartInfo": "2 of 2"}, ReceiptStatus.DELIVERED
    ),
    ReceiptCase(
        "the first of two failed", {"Status": "failed", "PartInfo": "1 of 2"}, ReceiptStatus.UNDELIVERED, "undeliv"
    ),
    ReceiptCase(
        "a part by its parent's name", {"ParentMessageUUID": "parent"}, ReceiptStatus.DELIVERED, None, "parent"
    ),
]


@pytest.mark.parametrize("case", RECEIPTS, ids=lambda case: case.what)
def test_a_status_callback_says(case: ReceiptCase) -> None:
    [receipt] = plivo().receipts(callback({**FIELDS, **case.fields}, {}))
    assert (receipt.status, receipt.error_code, receipt.reference) == (case.status, case.error, case.reference)
    assert (receipt.sender, receipt.recipient, receipt.whole_message) == ("MyCorp", "12025550101", True)


def test_the_status_address_names_the_attempt_and_proves_it() -> None:
    sent = submission()
    request = plivo().request(sent)
    assert isinstance(request, HttpRequest)
    url = json.loads(request.body)["url"]
    assert [receipt.attempt_id for receipt in plivo().receipts(callback(FIELDS, {}, url))] == [sent.attempt_id]
    forged = url.replace(sent.attempt_id.hex, "0" * 32)
    assert [receipt.attempt_id for receipt in plivo().receipts(callback(FIELDS, {}, forged))] == [None]


def test_an_inbound_message_is_the_same_however_often_it_comes() -> None:
    fields = {"MessageUUID": UUID, "From": "12025550199", "To": "12025550101", "Text": "Hé 🙂"}
    [one], [again] = plivo().inbound(callback(fields, {})), plivo().inbound(callback({**fields, "Units": "1"}, {}))
    assert (one.sender, one.recipient, one.text) == ("12025550199", "12025550101", "Hé 🙂")
    assert one.fingerprint == again.fingerprint


@pytest.mark.parametrize("lacking", ["MessageUUID", "Status"])
def test_a_callback_that_lacks_something_is_bad(lacking: str) -> None:
    fields = {name: value for name, value in FIELDS.items() if name != lacking}
    with pytest.raises(BadCallback, match=f"no (Parent)?{lacking}"):
        plivo().receipts(callback(fields, {}))


def test_all_faults_of_its_settings_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse({"auth_id": "XX", "api": "https://u:p@x", "powerpack_uuid": "no", "colour": "1"})
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "colour",
        "auth_token",
        "auth_id",
        "powerpack_uuid",
        "api",
    ]
