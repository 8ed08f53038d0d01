"""The Twilio carrier: what it writes, what its answers mean, and its callbacks as Twilio's own library signs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import pytest
from twilio.request_validator import RequestValidator

from longcode.carriers.http_port import (
    BadCallback,
    Callback,
    CallbackKind,
    HttpReply,
    HttpRequest,
    Site,
)
from longcode.carriers.port import (
    Accepted,
    CarrierReceipt,
    Deferred,
    Outcome,
    ReceiptStatus,
    Rejected,
    Submission,
    Unconfirmed,
)
from longcode.carriers.twilio import Twilio, parse
from longcode.errors import ConfigurationError
from tests.carriers.smpp_world import submission

SID = "AC" + "0" * 32
TOKEN = "12345"
SITE = Site(carrier_id=7, name="north", public_url="https://sms.example")
STATUS_URL = "https://sms.example/carriers/north/status"
MESSAGE_SID = "SM" + "1" * 32


def twilio(**settings: str) -> Twilio:
    return Twilio(SITE, parse({"account_sid": SID, "auth_token": TOKEN, **settings}))


def form(request: object) -> dict[str, str]:
    assert isinstance(request, HttpRequest)
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class RequestCase:
    what: str
    writes: dict[str, str]
    submitted: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


REQUESTS = [
    RequestCase("numbers as the world dials them", {"To": "+12025550101"}, {"recipient": "12025550101"}),
    RequestCase("a number among separators", {"To": "+12025550101"}, {"recipient": "+1 (202) 555-0101"}),
    RequestCase("a sender's name as it is", {"From": "MyCorp"}, {"sender": "MyCorp"}),
    RequestCase("a sender's number with its plus", {"From": "+12025550100"}, {"sender": "12025550100"}),
    RequestCase("a short code as it is", {"From": "55501"}, {"sender": "55501"}),
    RequestCase("a text that a form would break", {"Body": "a=1&b=é +\n€🙂"}, {"text": "a=1&b=é +\n€🙂"}),
    RequestCase(
        "the longest validity that the manual allows",
        {"ValidityPeriod": "36000"},
        {"valid_for": timedelta(days=3)},
    ),
    RequestCase("a validity that is over", {"ValidityPeriod": "1"}, {"valid_for": timedelta(days=-3)}),
    RequestCase(
        "a messaging service in the sender's place",
        {"MessagingServiceSid": "MG" + "a" * 32, "From": ""},
        settings={"messaging_service_sid": "MG" + "a" * 32},
    ),
]


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.what)
def test_a_message_is_written_with(case: RequestCase) -> None:
    request = twilio(**case.settings).request(submission(**case.submitted))
    assert isinstance(request, HttpRequest)
    assert (request.method, request.url) == (
        "POST",
        f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Messages.json",
    )
    written = form(request)
    assert {name: written.get(name, "") for name in case.writes} == case.writes


@pytest.mark.parametrize("recipient", ["whatsapp:+12025550101", "MyCorp", "+1202x", "", "12025550101,12025550102"])
def test_what_is_no_telephone_number_is_not_written(recipient: str) -> None:
    refused = twilio().request(submission(recipient=recipient))
    assert isinstance(refused, Rejected)
    assert refused.code == "invalid_destination"


def test_without_a_public_address_no_status_is_asked_for() -> None:
    alone = Twilio(Site(carrier_id=7, name="north"), parse({"account_sid": SID, "auth_token": TOKEN}))
    assert "StatusCallback" not in form(alone.request(submission()))
    own = parse({"account_sid": SID, "auth_token": TOKEN, "callbacks": "https://other.example/sms/"})
    written = form(Twilio(SITE, own).request(submission()))
    assert written["StatusCallback"].startswith("https://other.example/sms/carriers/north/status?attempt=")


@dataclass(frozen=True, slots=True)
class AnswerCase:
    what: str
    reply: HttpReply
    outcome: Outcome


def refused(code: int, message: str = "no", status: int = 400) -> HttpReply:
    return HttpReply(status, f'{{"code":{code},"message":"{message}","status":{status}}}'.encode())


ANSWERS = [
    AnswerCase("taken", HttpReply(201, f'{{"sid":"{MESSAGE_SID}","status":"queued"}}'.encode()), Accepted(MESSAGE_SID)),
    AnswerCase("a bad recipient", refused(21211), Rejected("invalid_destination", "21211: no")),
    AnswerCase("a bad sender", refused(21606), Rejected("invalid_sender", "21606: no")),
    AnswerCase("a recipient who unsubscribed", refused(21610), Rejected("unsubscribed", "21610: no")),
    AnswerCase("a code that is not in the table", refused(21701), Rejected("twilio_21701", "21701: no")),
    AnswerCase("a full queue of the sender", refused(21611), Deferred(60.0, "queue_full", "21611: no")),
    AnswerCase("the day's limit", refused(63038, status=429), Deferred(3600.0, "throttled", "63038: no")),
    AnswerCase(
        "credentials that are wrong",
        refused(20003, status=401),
        Deferred(60.0, "not_authenticated", "The carrier answered 401."),
    ),
    AnswerCase("no words at all", HttpReply(404, b"<html>"), Rejected("http_404", "The carrier answered 404.")),
    AnswerCase("too fast", HttpReply(429, b"", 7.0), Deferred(7.0, "throttled", "The carrier answered 429.")),
    AnswerCase(
        "not now",
        HttpReply(503, b"", 9.0),
        Deferred(9.0, "temporary_error", "The carrier answered 503 with Retry-After."),
    ),
    AnswerCase(
        "somebody between us", HttpReply(503, b""), Unconfirmed("The carrier answered 503, which proves nothing.")
    ),
    AnswerCase("a fault", HttpReply(500, b""), Unconfirmed("The carrier answered 500, which proves nothing.")),
    AnswerCase("no sid", HttpReply(201, b'{"sid":null}'), Unconfirmed("The carrier answered 201 without a reference.")),
    AnswerCase("elsewhere", HttpReply(307, b""), Unconfirmed("The carrier answered 307, which proves nothing.")),
]


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.what)
def test_an_answer_means(case: AnswerCase) -> None:
    assert twilio().outcome(case.reply, submission()) == case.outcome


def callback(fields: dict[str, str], url: str = STATUS_URL, *, signed_url: str = "", signature: str = "") -> Callback:
    made = signature or RequestValidator(TOKEN).compute_signature(signed_url or url, fields)
    return Callback(
        method="POST",
        url=url,
        query=url.partition("?")[2],
        headers={b"x-twilio-signature": made.encode()},
        body=urlencode(fields).encode(),
    )


def test_the_manuals_own_example_is_genuine() -> None:
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert twilio().is_genuine(callback(fields, url, signature="RSOYDt4T1cUTdK1PDd93/VVr8B8="))


@dataclass(frozen=True, slots=True)
class SignatureCase:
    what: str
    call: Callback
    genuine: bool


FIELDS = {"MessageSid": MESSAGE_SID, "MessageStatus": "delivered", "To": "+12025550101", "From": "MyCorp", "Empty": ""}
SIGNATURES = [
    SignatureCase("as Twilio signs it", callback(FIELDS), True),
    SignatureCase("with a query", callback(FIELDS, f"{STATUS_URL}?attempt=1"), True),
    SignatureCase("text beyond ASCII", callback({**FIELDS, "Body": "é€🙂 +&="}), True),
    SignatureCase(
        "its port put in", callback(FIELDS, signed_url="https://sms.example:443/carriers/north/status"), True
    ),
    SignatureCase(
        "its port left out", callback(FIELDS, "https://sms.example:8443/x", signed_url="https://sms.example/x"), True
    ),
    SignatureCase("another address", callback(FIELDS, signed_url="https://sms.example/other"), False),
    SignatureCase("another query", callback(FIELDS, f"{STATUS_URL}?a=1", signed_url=f"{STATUS_URL}?a=2"), False),
    SignatureCase("no signature", callback(FIELDS, signature=" "), False),
    SignatureCase("letters that are none", callback(FIELDS, signature="é"), False),
]


@pytest.mark.parametrize("case", SIGNATURES, ids=lambda case: case.what)
def test_a_signature_is_told(case: SignatureCase) -> None:
    assert twilio().is_genuine(case.call) is case.genuine


def test_a_changed_field_is_not_genuine() -> None:
    signature = RequestValidator(TOKEN).compute_signature(STATUS_URL, FIELDS)
    assert not twilio().is_genuine(callback({**FIELDS, "MessageStatus": "failed"}, signature=signature))


@dataclass(frozen=True, slots=True)
class ReceiptCase:
    what: str
    fields: dict[str, str]
    status: ReceiptStatus
    error: str | None = None


RECEIPTS = [
    ReceiptCase("on its way", {"MessageStatus": "sent"}, ReceiptStatus.ENROUTE),
    ReceiptCase("a word of next year", {"MessageStatus": "teleported"}, ReceiptStatus.ENROUTE),
    ReceiptCase("delivered", {"MessageStatus": "delivered"}, ReceiptStatus.DELIVERED),
    ReceiptCase("failed without a code", {"MessageStatus": "failed"}, ReceiptStatus.UNDELIVERED, "undeliv"),
    ReceiptCase(
        "a handset out of reach",
        {"MessageStatus": "undelivered", "ErrorCode": "30003"},
        ReceiptStatus.UNDELIVERED,
        "absent_subscriber:30003",
    ),
    ReceiptCase(
        "a code that is not in the table",
        {"MessageStatus": "undelivered", "ErrorCode": "30999"},
        ReceiptStatus.UNDELIVERED,
        "undeliv:30999",
    ),
]


@pytest.mark.parametrize("case", RECEIPTS, ids=lambda case: case.what)
def test_a_status_callback_says(case: ReceiptCase) -> None:
    fields = {"MessageSid": MESSAGE_SID, "To": "+12025550101", "From": "MyCorp", **case.fields}
    [receipt] = twilio().receipts(callback(fields))
    assert receipt == CarrierReceipt(
        carrier_id=7,
        reference=MESSAGE_SID,
        status=case.status,
        error_code=case.error,
        whole_message=True,
        sender="MyCorp",
        recipient="+12025550101",
        raw=urlencode(fields),
    )


def attempt_of(sent: Submission, url: str) -> UUID | None:
    [receipt] = twilio().receipts(callback(FIELDS, url))
    return receipt.attempt_id


def test_the_status_address_names_the_attempt_and_proves_it() -> None:
    sent = submission()
    url = form(twilio().request(sent))["StatusCallback"]
    assert attempt_of(sent, url) == sent.attempt_id
    other = submission()
    assert attempt_of(sent, url.replace(sent.attempt_id.hex, other.attempt_id.hex)) is None
    assert attempt_of(sent, f"{STATUS_URL}?attempt=nonsense") is None


def test_an_inbound_message_is_the_same_however_often_it_comes() -> None:
    fields = {"MessageSid": MESSAGE_SID, "From": "+12025550199", "To": "+12025550101", "Body": "Hé 🙂", "NumMedia": "0"}
    [one], [again] = twilio().inbound(callback(fields)), twilio().inbound(callback({**fields, "ApiVersion": "x"}))
    assert (one.sender, one.recipient, one.text) == ("+12025550199", "+12025550101", "Hé 🙂")
    assert one.fingerprint == again.fingerprint
    [other] = twilio().inbound(callback({**fields, "MessageSid": "SM2"}))
    assert one.fingerprint != other.fingerprint
    assert twilio().thanks(CallbackKind.INBOUND).body.endswith(b"<Response/>")


@pytest.mark.parametrize("lacking", ["MessageSid", "MessageStatus"])
def test_a_callback_that_lacks_something_is_bad(lacking: str) -> None:
    with pytest.raises(BadCallback, match=lacking):
        twilio().receipts(callback({name: value for name, value in FIELDS.items() if name != lacking}))


def test_all_faults_of_its_settings_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(
            {"account_sid": "AC1", "api": "ftp://x", "api_key_sid": "SK" + "0" * 32, "connections": "0", "colour": "1"}
        )
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "colour",
        "auth_token",
        "account_sid",
        "api",
        "connections",
        "api_key_sid",
    ]
