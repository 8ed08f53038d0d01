"""The Twilio carrier: its Messages resource, signed status callbacks, signed inbound messages.

`docs/carriers/twilio.md` says how to use it. Manuals: https://www.twilio.com/docs/messaging/api/message-resource,
…/docs/usage/webhooks/webhooks-security, …/docs/api/errors.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from longcode.carriers import readers
from longcode.carriers.http_answers import json_object, put_off, storable, taken, unproven, words
from longcode.carriers.http_callbacks import (
    Form,
    attempt_in,
    digest,
    first,
    form_of,
    raw,
    reference,
    required,
    with_attempt,
)
from longcode.carriers.http_port import (
    TERMS_READERS,
    USUAL_TERMS,
    Callback,
    CallbackKind,
    HttpReply,
    HttpRequest,
    HttpTerms,
    Site,
    Thanks,
    take_terms,
)
from longcode.carriers.port import (
    CarrierReceipt,
    Deferred,
    InboundSms,
    Outcome,
    ReceiptStatus,
    Rejected,
    Submission,
)
from longcode.domain.phone import digits_of, international
from longcode.errors import ConfigurationError

API: Final = "https://api.twilio.com"
SECRET_KEYS: Final = frozenset({"auth_token", "api_key_secret"})
REQUIRED: Final = ("account_sid", "auth_token")
LONGEST_VALIDITY_SECONDS: Final = 36_000
SIGNATURE: Final = "X-Twilio-Signature"
# Text would be taken for a reply to the sender.
NO_REPLY: Final = Thanks("text/xml", b'<?xml version="1.0" encoding="UTF-8"?><Response/>')

# Error codes of a refused request; those that are not here are told as they are.
REJECTED: Final[Mapping[int, str]] = {
    21211: "invalid_destination",
    21217: "invalid_destination",
    21408: "invalid_destination",
    21604: "invalid_destination",
    21612: "invalid_destination",
    21614: "invalid_destination",
    21212: "invalid_sender",
    21603: "invalid_sender",
    21606: "invalid_sender",
    21602: "invalid_length",
    21617: "invalid_length",
    21610: "unsubscribed",
    21624: "invalid_validity",
}
# Refused for now, with the seconds until it makes sense to try again.
DEFERRED: Final[Mapping[int, tuple[str, float]]] = {
    20429: ("throttled", 1.0),
    21611: ("queue_full", 60.0),
    63038: ("throttled", 3600.0),
}

STATUSES: Final[Mapping[str, ReceiptStatus]] = {
    "delivered": ReceiptStatus.DELIVERED,
    "read": ReceiptStatus.DELIVERED,
    "undelivered": ReceiptStatus.UNDELIVERED,
    "failed": ReceiptStatus.UNDELIVERED,
    "canceled": ReceiptStatus.UNDELIVERED,
}
# What became of a message that was not delivered, by ErrorCode; others: the network could not deliver it.
CAUSES: Final[Mapping[str, str]] = {
    "30003": "absent_subscriber",
    "30004": "rejectd",
    "30007": "rejectd",
    "30036": "expired",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioSettings:
    """One Twilio account. api_key_sid: what signs in instead of the account, whose token still signs callbacks."""

    account_sid: str
    auth_token: str = field(repr=False)
    api_key_sid: str = ""
    api_key_secret: str = field(default="", repr=False)
    messaging_service_sid: str = ""
    api: str = API
    terms: HttpTerms = USUAL_TERMS


_READERS: Final = {
    "account_sid": readers.pattern("AC[0-9a-f]{32}", "AC and 32 hexadecimal digits"),
    "auth_token": readers.text(1, 128),
    "api_key_sid": readers.pattern("SK[0-9a-f]{32}", "SK and 32 hexadecimal digits"),
    "api_key_secret": readers.text(1, 128),
    "messaging_service_sid": readers.pattern("MG[0-9a-f]{32}", "MG and 32 hexadecimal digits"),
    "api": readers.http_url,
}
KEYS: Final = (*_READERS, *TERMS_READERS)


def parse(settings: Mapping[str, str]) -> TwilioSettings:
    """The settings of a Twilio carrier. Raises ConfigurationError with every fault."""
    values, faults = readers.read(settings, {**_READERS, **TERMS_READERS}, REQUIRED)
    if ("api_key_sid" in settings) != ("api_key_secret" in settings):
        faults.append("api_key_sid: only with api_key_secret, and the other way round")
    if faults:
        raise ConfigurationError(faults)
    return TwilioSettings(terms=take_terms(values), **values)


class Twilio:
    """What Twilio's manual says."""

    def __init__(self, site: Site, settings: TwilioSettings) -> None:
        self._site = site
        self._settings = settings
        self._account = f"{settings.api}/2010-04-01/Accounts/{settings.account_sid}"
        user = settings.api_key_sid or settings.account_sid
        secret = settings.api_key_secret or settings.auth_token
        self._authorization = f"Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}"
        self._status_url = site.callback_url(CallbackKind.STATUS, settings.terms)

    @property
    def terms(self) -> HttpTerms:
        """As the operator set them."""
        return self._settings.terms

    def request(self, submission: Submission) -> HttpRequest | Rejected:
        """POST …/Messages.json, a form."""
        recipient = international(submission.recipient)
        if digits_of(recipient) != recipient.removeprefix("+") or not recipient:
            return Rejected("invalid_destination", "The recipient is no telephone number.")
        left = int(submission.valid_for.total_seconds())
        fields = {
            "To": recipient,
            "Body": submission.text,
            "ValidityPeriod": str(min(max(left, 1), LONGEST_VALIDITY_SECONDS)),
        }
        if self._settings.messaging_service_sid:
            fields["MessagingServiceSid"] = self._settings.messaging_service_sid
        else:
            fields["From"] = international(submission.sender)
        if self._status_url:
            fields["StatusCallback"] = with_attempt(self._status_url, submission.attempt_id, self._settings.auth_token)
        return HttpRequest(
            method="POST",
            url=f"{self._account}/Messages.json",
            headers=(
                ("Authorization", self._authorization),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ),
            body=urlencode(fields).encode("ascii"),
        )

    def outcome(self, reply: HttpReply, submission: Submission) -> Outcome:
        """201 with a sid; or a code, and a message beside it."""
        said = json_object(reply.body)
        if 200 <= reply.status < 300:
            return taken(reply, said.get("sid"))
        if deferred := _put_off_by_code(reply, said) or put_off(reply):
            return deferred
        if 400 <= reply.status < 500:
            return _refusal(reply.status, said)
        return unproven(reply)

    def check(self) -> HttpRequest | None:
        """GET of the account."""
        return HttpRequest(method="GET", url=f"{self._account}.json", headers=(("Authorization", self._authorization),))

    def preview(self, submission: Submission) -> list[str]:
        """None: `check` tells more."""
        return []

    def method(self, kind: CallbackKind) -> str:
        """Twilio's default."""
        return "POST"

    def is_genuine(self, callback: Callback) -> bool:
        """X-Twilio-Signature, over the address with or without its port.

        base64(HMAC-SHA1(auth token, URL + name + value of each field by name, repeated values once)).
        """
        sent = callback.header(SIGNATURE).encode("latin-1")
        signed = "".join(
            f"{name}{value}" for name, values in sorted(form_of(callback).items()) for value in sorted(set(values))
        )
        key = self._settings.auth_token.encode()
        expected = [
            base64.b64encode(hmac.new(key, f"{url}{signed}".encode(), hashlib.sha1).digest())
            for url in _spellings(callback.url)
        ]
        return any(hmac.compare_digest(sent, one) for one in expected)

    def receipts(self, callback: Callback) -> list[CarrierReceipt]:
        """MessageSid, MessageStatus, ErrorCode."""
        form = form_of(callback)
        status = STATUSES.get(required(form, "MessageStatus", "SmsStatus").lower(), ReceiptStatus.ENROUTE)
        return [
            CarrierReceipt(
                carrier_id=self._site.carrier_id,
                reference=reference(required(form, "MessageSid", "SmsSid")),
                status=status,
                error_code=_cause(form) if status is ReceiptStatus.UNDELIVERED else None,
                attempt_id=attempt_in(callback, self._settings.auth_token),
                whole_message=True,
                # A messaging service picks a sender of its own.
                sender=None if self._settings.messaging_service_sid else storable(first(form, "From")) or None,
                recipient=storable(first(form, "To")) or None,
                raw=raw(callback),
            )
        ]

    def inbound(self, callback: Callback) -> list[InboundSms]:
        """From, To, Body; media is left out."""
        form = form_of(callback)
        sid = reference(required(form, "MessageSid", "SmsSid"))
        return [
            InboundSms(
                carrier_id=self._site.carrier_id,
                sender=required(form, "From"),
                recipient=required(form, "To"),
                text=first(form, "Body"),
                fingerprint=digest("twilio", sid),
                raw=raw(callback),
            )
        ]

    def thanks(self, kind: CallbackKind) -> Thanks:
        """TwiML without a reply, where a reply could be."""
        return NO_REPLY if kind is CallbackKind.INBOUND else Thanks()


def _put_off_by_code(reply: HttpReply, said: Mapping[str, Any]) -> Deferred | None:
    code = said.get("code")
    if not 400 <= reply.status < 500 or not isinstance(code, int) or code not in DEFERRED:
        return None
    name, after_seconds = DEFERRED[code]
    return Deferred(reply.retry_after_seconds or after_seconds, name, f"{code}: {words(said.get('message'))}")


def _refusal(status: int, said: Mapping[str, Any]) -> Outcome:
    code = said.get("code")
    if not isinstance(code, int):
        return Rejected(f"http_{status}", f"The carrier answered {status}.")
    return Rejected(REJECTED.get(code, f"twilio_{code}"), f"{code}: {words(said.get('message'))}")


def _cause(form: Form) -> str:
    code = storable(first(form, "ErrorCode"))[:20]
    return f"{CAUSES.get(code, 'undeliv')}:{code}" if code else "undeliv"


def _spellings(url: str) -> Iterator[str]:
    """The address as it is, and with its port left out or put in: not everyone signs the same."""
    yield url
    split = urlsplit(url)
    host = split.netloc.rpartition("@")[2]
    bare = host if host.endswith("]") else host.rsplit(":", 1)[0]
    default = 443 if split.scheme == "https" else 80
    yield urlunsplit(split._replace(netloc=f"{bare}:{default}" if bare == host else bare))
