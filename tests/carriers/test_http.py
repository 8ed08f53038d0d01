"""The HTTP carrier without code: what its templates write, what answers mean, what callbacks say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from longcode.carriers.http import Http
from longcode.carriers.http_port import BadCallback, Callback, CallbackKind, HttpReply, HttpRequest, Site
from longcode.carriers.http_settings import parse
from longcode.carriers.port import Accepted, Deferred, Outcome, ReceiptStatus, Rejected, Unconfirmed
from tests.carriers.smpp_world import submission

SITE = Site(carrier_id=7, name="my north", public_url="https://sms.example")
TOKEN = "a-token-of-16-characters"
SECRET = "signing-secret"
JSON = {
    "url": "https://api.example/send",
    "body": '{"to":"{{recipient}}","text":"{{text}}","ttl":{{validity_seconds}}}',
    "reference": "messages.0.id",
}
GET = {
    "url": "https://api.example/send?user={{username}}&pass={{password}}&to={{recipient}}&from={{sender}}&text={{text}}",
    "method": "GET",
    "reference": r"regex:ID: (\w+)",
    "username": "me",
    "password": "s&cret",
}
NASTY = 'a"b\\c&d=e<f>\n€🙂{{text}}'


def http(base: dict[str, str] = JSON, **settings: str) -> Http:
    return Http(SITE, parse({**base, **settings}))


def request(carrier: Http, **submitted: Any) -> HttpRequest:
    written = carrier.request(submission(**submitted))
    assert isinstance(written, HttpRequest)
    return written


# Requests


def test_a_text_cannot_leave_its_place_in_json() -> None:
    written = request(http(), text=NASTY, valid_for=timedelta(seconds=90))
    assert dict(written.headers)["Content-Type"] == "application/json"
    read = json.loads(written.body)
    assert read == {"to": "12025550101", "text": NASTY, "ttl": 90}


def test_a_text_cannot_leave_its_place_in_a_query() -> None:
    written = request(http(GET), text=NASTY, sender="My Corp")
    assert written.method == "GET"
    assert parse_qs(urlsplit(written.url).query) == {
        "user": ["me"],
        "pass": ["s&cret"],
        "to": ["12025550101"],
        "from": ["My Corp"],
        "text": [NASTY],
    }


@dataclass(frozen=True, slots=True)
class BodyCase:
    content_type: str
    body: str
    expected: bytes


BODIES = [
    BodyCase(
        "application/x-www-form-urlencoded",
        "t={{text}}&r={{recipient_e164}}",
        b"t=%3C%22%26+%C3%A9%3E&r=%2B12025550101",
    ),
    BodyCase(
        "text/xml; charset=utf-8",
        '<a b="{{recipient}}">{{text}}</a>',
        '<a b="12025550101">&lt;&quot;&amp; é&gt;</a>'.encode(),
    ),
    BodyCase("text/plain", "{{recipient}} {{text}}", '12025550101 <"& é>'.encode()),
    BodyCase(
        "application/vnd.x+json", '["{{recipient}}","{{text_hex}}"]', b'["12025550101","003C00220026002000E9003E"]'
    ),
]


@pytest.mark.parametrize("case", BODIES, ids=lambda case: case.content_type)
def test_a_value_is_written_as_the_body_demands(case: BodyCase) -> None:
    written = request(http(body=case.body, content_type=case.content_type), text='<"& é>')
    assert written.body == case.expected


def test_headers_and_credentials_are_written() -> None:
    carrier = http(username="me", password="pass", basic_auth="1", token="t0k", **{"header.X-Api-Key": "key {{token}}"})
    written = dict(request(carrier).headers)
    assert written["X-Api-Key"] == "key t0k"
    assert written["Authorization"] == f"Basic {base64.b64encode(b'me:pass').decode()}"


def test_a_recipient_that_is_no_number_is_not_written() -> None:
    refused = http().request(submission(recipient="12025550101,12025550102"))
    assert isinstance(refused, Rejected)


def test_a_preview_hides_credentials() -> None:
    lines = http(GET).preview(submission())
    assert lines == ["GET https://api.example/send?user=•••&pass=•••&to=12025550101&from=MyCorp&text=Hello"]


# Answers


@dataclass(frozen=True, slots=True)
class AnswerCase:
    what: str
    reply: HttpReply
    outcome: Outcome | str
    settings: dict[str, str] = field(default_factory=dict)


ERRORS = {"error": "error.code", "reason": "error.text", "no_errors": "0,OK", "deferred_errors": "busy"}


def told(status: int, value: Any, after: float | None = None) -> HttpReply:
    return HttpReply(status, json.dumps(value).encode(), after)


ANSWERS = [
    AnswerCase("a reference in a path", told(200, {"messages": [{"id": 17}]}), Accepted("17")),
    AnswerCase("a reference of its own form", HttpReply(200, b"OK ID: abc1\n"), Accepted("abc1"), GET),
    AnswerCase("our name as the reference", HttpReply(202, b""), "ours", {"reference": "attempt_id"}),
    AnswerCase(
        "no reference", told(200, {"messages": []}), Unconfirmed("The carrier answered 200 without a reference.")
    ),
    AnswerCase("garbage", HttpReply(200, b"\xff{"), Unconfirmed("The carrier answered 200 without a reference.")),
    AnswerCase(
        "an error within 200",
        told(200, {"error": {"code": "E12", "text": "no credit"}}),
        Rejected("carrier_E12", "200: E12: no credit"),
        ERRORS,
    ),
    AnswerCase(
        "an error that is none", told(200, {"error": {"code": 0}, "messages": [{"id": "x"}]}), Accepted("x"), ERRORS
    ),
    AnswerCase(
        "an error that passes",
        told(200, {"error": {"code": "Busy"}}),
        Deferred(5.0, "temporary_error", "200: Busy"),
        ERRORS,
    ),
    AnswerCase(
        "an error that passes, with a status of refusal",
        told(422, {"error": {"code": "busy"}}),
        Deferred(5.0, "temporary_error", "422: busy"),
        ERRORS,
    ),
    AnswerCase("a refusal", HttpReply(400, b""), Rejected("http_400", "400")),
    AnswerCase(
        "a status that the operator calls passing",
        HttpReply(500, b""),
        Deferred(5.0, "temporary_error", "The carrier answered 500."),
        {"deferred_statuses": "500-502"},
    ),
    AnswerCase(
        "the same, with its own time",
        HttpReply(500, b"", 8.0),
        Deferred(8.0, "temporary_error", "The carrier answered 500."),
        {"deferred_statuses": "500-502"},
    ),
    AnswerCase(
        "a refusal that the operator does not call one",
        HttpReply(418, b""),
        Unconfirmed("The carrier answered 418, which proves nothing."),
        {"rejected_statuses": "400"},
    ),
    AnswerCase("too fast", HttpReply(429, b"", 3.0), Deferred(3.0, "throttled", "The carrier answered 429.")),
    AnswerCase("a fault", HttpReply(500, b""), Unconfirmed("The carrier answered 500, which proves nothing.")),
    AnswerCase("elsewhere", HttpReply(302, b""), Unconfirmed("The carrier answered 302, which proves nothing.")),
]


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.what)
def test_an_answer_means(case: AnswerCase) -> None:
    sent = submission()
    base = case.settings if "url" in case.settings else {**JSON, **case.settings}
    expected = Accepted(str(sent.attempt_id)) if case.outcome == "ours" else case.outcome
    assert http(base).outcome(case.reply, sent) == expected


# Callbacks

RECEIPTS = {
    "receipt_reference": "id",
    "receipt_status": "status",
    "receipt_delivered": "DELIVRD,ok",
    "receipt_undelivered": "UNDELIV,failed",
    "receipt_error": "err",
    "receipt_recipient": "to",
}
INBOUND = {"inbound_sender": "from", "inbound_recipient": "to", "inbound_text": "text", "inbound_id": "id"}
SIGNED = {"signature_header": "X-Sign", "signature_secret": SECRET}
BY_TOKEN = {"callback_token": TOKEN}


def callback(body: bytes = b"", query: str = "", method: str = "POST", **headers: str) -> Callback:
    return Callback(
        method=method,
        url=f"https://sms.example/carriers/my%20north/status?{query}",
        query=query,
        headers={name.lower().replace("_", "-").encode(): value.encode() for name, value in headers.items()},
        body=body,
    )


def mac(data: bytes) -> bytes:
    return hmac.new(SECRET.encode(), data, hashlib.sha256).digest()


BODY = b'{"id":"17","status":"ok"}'


@dataclass(frozen=True, slots=True)
class SignatureCase:
    what: str
    settings: dict[str, str]
    call: Callback
    genuine: bool


SIGNATURES = [
    SignatureCase("nothing to check by", {}, callback(BODY), False),
    SignatureCase("hexadecimal", SIGNED, callback(BODY, X_Sign=mac(BODY).hex()), True),
    SignatureCase(
        "in capitals, with its algorithm", SIGNED, callback(BODY, X_Sign="sha256=" + mac(BODY).hex().upper()), True
    ),
    SignatureCase(
        "base64",
        {**SIGNED, "signature_encoding": "base64"},
        callback(BODY, X_Sign=base64.b64encode(mac(BODY)).decode()),
        True,
    ),
    SignatureCase("of a query", SIGNED, callback(b"", "id=17", "GET", X_Sign=mac(b"id=17").hex()), True),
    SignatureCase("of another body", SIGNED, callback(BODY + b" ", X_Sign=mac(BODY).hex()), False),
    SignatureCase("no signature", SIGNED, callback(BODY), False),
    SignatureCase("a signature that is no ASCII", SIGNED, callback(BODY, X_Sign="é"), False),
    SignatureCase("a token", BY_TOKEN, callback(BODY, f"token={TOKEN}"), True),
    SignatureCase("another token", BY_TOKEN, callback(BODY, f"token={TOKEN}x"), False),
    SignatureCase("no token", BY_TOKEN, callback(BODY), False),
    SignatureCase("a token without the signature", {**BY_TOKEN, **SIGNED}, callback(BODY, f"token={TOKEN}"), False),
    SignatureCase("both", {**BY_TOKEN, **SIGNED}, callback(BODY, f"token={TOKEN}", X_Sign=mac(BODY).hex()), True),
]


@pytest.mark.parametrize("case", SIGNATURES, ids=lambda case: case.what)
def test_a_callback_is_proven_by(case: SignatureCase) -> None:
    assert http(**case.settings).is_genuine(case.call) is case.genuine


@dataclass(frozen=True, slots=True)
class ReceiptCase:
    what: str
    call: Callback
    says: list[tuple[str, ReceiptStatus, str | None]]
    settings: dict[str, str] = field(default_factory=dict)


READINGS = [
    ReceiptCase("JSON", callback(b'{"id":17,"status":"Ok"}'), [("17", ReceiptStatus.DELIVERED, None)]),
    ReceiptCase("a form", callback(b"id=17&status=UNDELIV&err=3"), [("17", ReceiptStatus.UNDELIVERED, "undeliv:3")]),
    ReceiptCase(
        "a word that no setting has", callback(b"id=17&status=BUFFERED"), [("17", ReceiptStatus.ENROUTE, None)]
    ),
    ReceiptCase(
        "a query",
        callback(b"", "id=17&status=ok&token=x", "GET"),
        [("17", ReceiptStatus.DELIVERED, None)],
        {"receipt_method": "GET"},
    ),
    ReceiptCase(
        "a list",
        callback(b'{"results":[{"id":"1","status":{"name":"ok"}},{"id":"2","status":{"name":"failed"}}]}'),
        [("1", ReceiptStatus.DELIVERED, None), ("2", ReceiptStatus.UNDELIVERED, "failed")],
        {"receipt_entries": "results", "receipt_status": "status.name"},
    ),
]


@pytest.mark.parametrize("case", READINGS, ids=lambda case: case.what)
def test_a_status_callback_is_read_from(case: ReceiptCase) -> None:
    receipts = http(**{**BY_TOKEN, **RECEIPTS, **case.settings}).receipts(case.call)
    assert [(one.reference, one.status, one.error_code) for one in receipts] == case.says
    assert all(one.carrier_id == 7 and one.whole_message and "token" not in one.raw for one in receipts)


def test_an_attempt_is_named_by_the_address_by_a_field_or_as_the_reference() -> None:
    sent = submission()
    settings = {**BY_TOKEN, **RECEIPTS, "body": '{"to":"{{recipient}}","text":"{{text}}","cb":"{{status_url}}"}'}
    written = request(http(**settings), attempt_id=sent.attempt_id)
    url = json.loads(written.body)["cb"]
    assert url.startswith("https://sms.example/carriers/my%20north/status?attempt=")
    call = callback(b"id=17&status=ok", url.partition("?")[2])
    assert http(**settings).is_genuine(call)
    assert [one.attempt_id for one in http(**settings).receipts(call)] == [sent.attempt_id]

    by_field = http(**{**BY_TOKEN, **RECEIPTS, "receipt_attempt": "ours"})
    [receipt] = by_field.receipts(callback(f"id=17&status=ok&ours={sent.attempt_id}".encode()))
    assert (receipt.reference, receipt.attempt_id) == ("17", sent.attempt_id)

    ours = http(**{**BY_TOKEN, **RECEIPTS, "reference": "attempt_id"})
    [receipt] = ours.receipts(callback(f"id={sent.attempt_id}&status=ok".encode()))
    assert (receipt.reference, receipt.attempt_id) == (str(sent.attempt_id), sent.attempt_id)


BAD = [
    ("JSON that ends too early", callback(b'{"id":'), {}),
    ("no reference", callback(b"status=ok"), {}),
    ("no status", callback(b"id=17"), {}),
    ("a reference without an end", callback(b"status=ok&id=" + b"x" * 256), {}),
    ("no list where one should be", callback(b'{"id":1,"status":"ok"}'), {"receipt_entries": "results"}),
    ("fields without an end", callback(b"&".join(b"a=%d" % number for number in range(600))), {}),
]


@pytest.mark.parametrize(("what", "call", "settings"), BAD, ids=[what for what, _, _ in BAD])
def test_a_callback_is_bad_with(what: str, call: Callback, settings: dict[str, str]) -> None:
    with pytest.raises(BadCallback):
        http(**{**BY_TOKEN, **RECEIPTS, **settings}).receipts(call)


def test_a_callback_that_no_setting_reads_is_bad() -> None:
    with pytest.raises(BadCallback):
        http(**BY_TOKEN).receipts(callback(BODY))
    with pytest.raises(BadCallback):
        http(**BY_TOKEN).inbound(callback(BODY))


def test_an_inbound_message_is_known_by_its_name_where_it_has_one() -> None:
    body = b'{"from":"12025550199","to":"12025550101","text":"h\\u00e9\\ud83d","id":9}'
    named = http(**BY_TOKEN, **INBOUND)
    [one], [again] = named.inbound(callback(body)), named.inbound(callback(body + b" "))
    assert (one.sender, one.recipient, one.text[:2]) == ("12025550199", "12025550101", "hé")
    assert one.fingerprint == again.fingerprint
    nameless = http(**BY_TOKEN, **{key: value for key, value in INBOUND.items() if key != "inbound_id"})
    [one], [again] = nameless.inbound(callback(body)), nameless.inbound(callback(body))
    assert one.fingerprint != again.fingerprint


def test_a_carrier_reads_the_answer_that_it_wants() -> None:
    assert http(callback_answer="ACK").thanks(CallbackKind.STATUS).body == b"ACK"
    assert http().thanks(CallbackKind.STATUS).body == b""
