"""The HTTP carrier that is configured without code: templates for requests, places for answers and callbacks.

`http_settings` is what the operator says, `http_template` how a message is written, `http_fields` where values
stand. `docs/carriers/http.md` says how to use it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC
from typing import Final
from urllib.parse import quote
from uuid import UUID

from longcode.carriers.http_answers import put_off, storable, taken, unproven, words
from longcode.carriers.http_callbacks import (
    LONGEST_RAW,
    attempt_in,
    digest,
    fields_of,
    first,
    reference,
    with_attempt,
)
from longcode.carriers.http_fields import Document, Place, document, form_document
from longcode.carriers.http_port import (
    BadCallback,
    Callback,
    CallbackKind,
    HttpReply,
    HttpRequest,
    HttpTerms,
    Site,
    Thanks,
)
from longcode.carriers.http_settings import HttpSettings, InboundFields, ReceiptFields, SignatureEncoding
from longcode.carriers.http_template import as_it_is, escape_of, in_header, in_url
from longcode.carriers.port import (
    Accepted,
    CarrierReceipt,
    Deferred,
    InboundSms,
    Outcome,
    ReceiptStatus,
    Rejected,
    Submission,
)
from longcode.domain.phone import digits_of, international

TOKEN: Final = "token"  # noqa: S105 - the name of a parameter
DEFERRED_SECONDS: Final = 5.0
LONGEST_CODE: Final = 64
_CREDENTIALS: Final = frozenset({"username", "password", "token"})


class Http:
    """What the operator's settings say."""

    def __init__(self, site: Site, settings: HttpSettings) -> None:
        self._site = site
        self._settings = settings
        self._status_url = site.callback_url(CallbackKind.STATUS, settings.terms)

    @property
    def terms(self) -> HttpTerms:
        """As the operator set them."""
        return self._settings.terms

    # Sending

    def request(self, submission: Submission) -> HttpRequest | Rejected:
        """The templates, with the message in them."""
        recipient = international(submission.recipient)
        if not recipient or digits_of(recipient) != recipient.removeprefix("+"):
            return Rejected("invalid_destination", "The recipient is no telephone number.")
        values = self._values(submission)
        settings = self._settings
        try:
            headers = [(name, value.render(values, in_header)) for name, value in settings.headers]
        except ValueError as error:
            return Rejected("unencodable", f"A header cannot be written: {error}.")
        if settings.basic_auth:
            credentials = base64.b64encode(f"{settings.username}:{settings.password}".encode()).decode()
            headers.append(("Authorization", f"Basic {credentials}"))
        body = b""
        if settings.body is not None:
            headers.append(("Content-Type", settings.content_type))
            body = settings.body.render(values, escape_of(settings.content_type) or as_it_is).encode()
        return HttpRequest(
            method=settings.method, url=settings.url.render(values, in_url), headers=tuple(headers), body=body
        )

    def _values(self, submission: Submission) -> Mapping[str, str]:
        """What stands for each name of a template."""
        sender, recipient = international(submission.sender), international(submission.recipient)
        return {
            "attempt_id": str(submission.attempt_id),
            "encoding": submission.encoding,
            "expires_at": submission.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "message_id": str(submission.message_id),
            "password": self._settings.password,
            "recipient": recipient.removeprefix("+"),
            "recipient_e164": recipient,
            "sender": sender.removeprefix("+"),
            "sender_e164": sender,
            "status_url": self._status_url_of(submission.attempt_id),
            "text": submission.text,
            "text_hex": submission.text.encode("utf-16-be").hex().upper(),
            "token": self._settings.token,
            "username": self._settings.username,
            "validity_seconds": str(max(int(submission.valid_for.total_seconds()), 1)),
        }

    def _status_url_of(self, attempt_id: UUID) -> str:
        """ "" where callbacks could not be told from anyone's."""
        if not self._status_url or not self._key:
            return ""
        url = with_attempt(self._status_url, attempt_id, self._key)
        token = self._settings.callback_token
        return f"{url}&{TOKEN}={quote(token, safe='')}" if token else url

    def outcome(self, reply: HttpReply, submission: Submission) -> Outcome:
        """By the status lists first, then by the error in the answer, then by what every carrier means."""
        settings, status = self._settings, reply.status
        told = document(reply.body.decode("utf-8", "replace"))
        error = self._error(told)
        if status in settings.accepted_statuses:
            return self._refusal(told, error, status) if error else self._accepted(told, reply, submission)
        if status in settings.deferred_statuses:
            after = reply.retry_after_seconds or DEFERRED_SECONDS
            return Deferred(after, "temporary_error", f"The carrier answered {status}.")
        if settings.rejected_statuses is not None and status in settings.rejected_statuses:
            return self._refusal(told, error, status)
        if deferred := put_off(reply):
            return deferred
        if settings.rejected_statuses is None and 400 <= status < 500:
            return self._refusal(told, error, status)
        return unproven(reply)

    def _accepted(self, told: Document, reply: HttpReply, submission: Submission) -> Outcome:
        if self._settings.reference is None:
            return Accepted(str(submission.attempt_id))
        return taken(reply, self._settings.reference.find(told))

    def _error(self, told: Document) -> str:
        """The error in the answer; "" where there is none."""
        found = self._settings.error.find(told) if self._settings.error is not None else None
        return "" if found is None or found.lower() in self._settings.no_errors else storable(found)

    def _refusal(self, told: Document, error: str, status: int) -> Outcome:
        reason = self._settings.reason.find(told) if self._settings.reason is not None else None
        told_as = words(": ".join(filter(None, (str(status), error, reason))))
        if error.lower() in self._settings.deferred_errors:
            return Deferred(DEFERRED_SECONDS, "temporary_error", told_as)
        return Rejected(f"carrier_{error}"[:LONGEST_CODE] if error else f"http_{status}", told_as)

    def check(self) -> HttpRequest | None:
        """None: nobody knows what this carrier answers without a message."""
        return None

    def preview(self, submission: Submission) -> list[str]:
        """The request of a message, a line each, credentials hidden."""
        values = {**self._values(submission), **dict.fromkeys(_CREDENTIALS, "•••")}
        settings = self._settings
        lines = [f"{settings.method} {settings.url.render(values, as_it_is)}"]
        lines += [f"{name}: {value.render(values, as_it_is)}" for name, value in settings.headers]
        if settings.body is not None:
            lines.append(settings.body.render(values, escape_of(settings.content_type) or as_it_is))
        return lines

    # Callbacks

    @property
    def _key(self) -> str:
        return self._settings.signature_secret or self._settings.callback_token

    def method(self, kind: CallbackKind) -> str:
        """As the operator says."""
        return self._fields(kind).method

    def _fields(self, kind: CallbackKind) -> ReceiptFields | InboundFields:
        return self._settings.receipt if kind is CallbackKind.STATUS else self._settings.inbound

    def is_genuine(self, callback: Callback) -> bool:
        """By the HMAC-SHA256 of the body (GET: of the query), by the token in the address, or by both."""
        checks = []
        if self._settings.signature_secret:
            checks.append(self._is_signed(callback))
        if token := self._settings.callback_token:
            sent = first(fields_of(callback.query), TOKEN)
            checks.append(hmac.compare_digest(sent.encode("utf-8", "replace"), token.encode()))
        return bool(checks) and all(checks)

    def _is_signed(self, callback: Callback) -> bool:
        signed = callback.query.encode() if callback.method == "GET" else callback.body
        expected = hmac.new(self._settings.signature_secret.encode(), signed, hashlib.sha256).digest()
        sent = callback.header(self._settings.signature_header).removeprefix("sha256=")
        if self._settings.signature_encoding is SignatureEncoding.HEX:
            sent, wanted = sent.lower(), expected.hex()
        else:
            wanted = base64.b64encode(expected).decode()
        return hmac.compare_digest(sent.encode("latin-1", "replace"), wanted.encode())

    def receipts(self, callback: Callback) -> list[CarrierReceipt]:
        """One, or one for each entry of a list."""
        fields = self._settings.receipt
        if fields.status is None:
            raise BadCallback("no receipt_ settings say how to read a status callback")
        return [self._receipt(entry, fields, callback) for entry in _entries(callback, fields.entries)]

    def _receipt(self, entry: Document, fields: ReceiptFields, callback: Callback) -> CarrierReceipt:
        said = _required(entry, fields.status, "status").lower()
        status = ReceiptStatus.ENROUTE
        if said in fields.delivered:
            status = ReceiptStatus.DELIVERED
        elif said in fields.undelivered:
            status = ReceiptStatus.UNDELIVERED
        attempt_id = attempt_in(callback, self._key) or _uuid(_found(entry, fields.attempt))
        if self._settings.reference is None:
            # The carrier's name for it is ours.
            attempt_id = attempt_id or _uuid(_found(entry, fields.reference))
            name = str(attempt_id) if attempt_id else _required(entry, fields.reference, "reference")
        else:
            name = _required(entry, fields.reference, "reference")
        error = _found(entry, fields.error)
        return CarrierReceipt(
            carrier_id=self._site.carrier_id,
            reference=reference(name),
            status=status,
            error_code=_cause(said, error) if status is ReceiptStatus.UNDELIVERED else None,
            attempt_id=attempt_id,
            whole_message=True,
            recipient=storable(_found(entry, fields.recipient)) or None,
            raw=_raw(callback),
        )

    def inbound(self, callback: Callback) -> list[InboundSms]:
        """One, or one for each entry of a list."""
        fields = self._settings.inbound
        if fields.sender is None:
            raise BadCallback("no inbound_ settings say how to read an inbound callback")
        return [self._message(entry, fields, callback) for entry in _entries(callback, fields.entries)]

    def _message(self, entry: Document, fields: InboundFields, callback: Callback) -> InboundSms:
        name = _found(entry, fields.id)
        return InboundSms(
            carrier_id=self._site.carrier_id,
            sender=_required(entry, fields.sender, "sender"),
            recipient=_required(entry, fields.recipient, "recipient"),
            text=_found(entry, fields.text),
            # Without a name a repeat cannot be told from somebody who writes the same words again.
            fingerprint=digest("http", name) if name else secrets.token_bytes(32),
            raw=_raw(callback),
        )

    def thanks(self, kind: CallbackKind) -> Thanks:
        """`callback_answer`."""
        answer = self._settings.callback_answer
        return Thanks("text/plain; charset=utf-8", answer.encode()) if answer else Thanks()


def _entries(callback: Callback, entries: Place | None) -> list[Document]:
    """What is to be read: JSON, a form, or a query. Raises BadCallback."""
    text = callback.query if callback.method == "GET" else callback.body.decode("utf-8", "replace")
    if callback.method == "POST" and text.lstrip()[:1] in ("{", "["):
        whole = document(text)
        if whole.data is None:
            raise BadCallback("the callback is no JSON")
    else:
        whole = form_document(text, fields_of(text))
    if entries is None:
        return [whole]
    try:
        return entries.items(whole)
    except ValueError as error:
        raise BadCallback(f"the callback cannot be read: {error}") from error


def _found(entry: Document, place: Place | None) -> str:
    return (place.find(entry) or "") if place is not None else ""


def _required(entry: Document, place: Place | None, what: str) -> str:
    value = _found(entry, place)
    if not value:
        raise BadCallback(f"the callback has no {what}{f', {place.name}' if place is not None else ''}")
    return value


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value) if value else None
    except ValueError:
        return None


def _cause(said: str, error: str) -> str:
    state = said if said.isascii() and said.replace("_", "").isalnum() else "undeliv"
    return storable(f"{state}:{error}" if error else state)[:LONGEST_CODE]


def _raw(callback: Callback) -> str:
    """What came, for the record, without the token in its address."""
    if callback.method == "POST":
        return storable(callback.body.decode("utf-8", "replace"))[:LONGEST_RAW]
    kept = (piece for piece in callback.query.split("&") if not piece.startswith(f"{TOKEN}="))
    return storable("&".join(kept))[:LONGEST_RAW]
