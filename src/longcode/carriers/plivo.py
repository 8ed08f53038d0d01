"""The Plivo carrier: its Message resource, signed status callbacks, signed inbound messages.

`docs/carriers/plivo.md` says how to use it. Manuals: https://www.plivo.com/docs/messaging/api/message/,
…/docs/messaging/concepts/signature-validation.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from longcode.carriers import readers
from longcode.carriers.http_answers import json_object, put_off, storable, taken, unproven, words
from longcode.carriers.http_callbacks import (
    Form,
    attempt_in,
    digest,
    fields_of,
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
    InboundSms,
    Outcome,
    ReceiptStatus,
    Rejected,
    Submission,
)
from longcode.domain.phone import digits_of, international
from longcode.errors import ConfigurationError

API: Final = "https://api.plivo.com"
SECRET_KEYS: Final = frozenset({"auth_token"})
REQUIRED: Final = ("auth_id", "auth_token")
SIGNATURE_V3: Final = "X-Plivo-Signature-V3"
SIGNATURE_V2: Final = "X-Plivo-Signature-V2"
NONCE: Final = "-Nonce"

STATUSES: Final[Mapping[str, ReceiptStatus]] = {
    "delivered": ReceiptStatus.DELIVERED,
    "read": ReceiptStatus.DELIVERED,
    "undelivered": ReceiptStatus.UNDELIVERED,
    "failed": ReceiptStatus.UNDELIVERED,
    "rejected": ReceiptStatus.UNDELIVERED,
}
_PART: Final = re.compile(r"\s*([0-9]{1,3})\s+of\s+([0-9]{1,3})\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlivoSettings:
    """One Plivo account or subaccount. powerpack_uuid: a Powerpack chooses the sender."""

    auth_id: str
    auth_token: str = field(repr=False)
    powerpack_uuid: str = ""
    api: str = API
    terms: HttpTerms = USUAL_TERMS


_READERS: Final = {
    "auth_id": readers.pattern("[MS]A[0-9A-Z]{18}", "MA or SA and 18 capital letters and digits"),
    "auth_token": readers.text(1, 128),
    "powerpack_uuid": readers.pattern("[0-9A-Fa-f-]{36}", "a UUID"),
    "api": readers.http_url,
}
KEYS: Final = (*_READERS, *TERMS_READERS)


def parse(settings: Mapping[str, str]) -> PlivoSettings:
    """The settings of a Plivo carrier. Raises ConfigurationError with every fault."""
    values, faults = readers.read(settings, {**_READERS, **TERMS_READERS}, REQUIRED)
    if faults:
        raise ConfigurationError(faults)
    return PlivoSettings(terms=take_terms(values), **values)


class Plivo:
    """What Plivo's manual says."""

    def __init__(self, site: Site, settings: PlivoSettings) -> None:
        self._site = site
        self._settings = settings
        self._account = f"{settings.api}/v1/Account/{settings.auth_id}"
        credentials = f"{settings.auth_id}:{settings.auth_token}".encode()
        self._authorization = f"Basic {base64.b64encode(credentials).decode()}"
        self._status_url = site.callback_url(CallbackKind.STATUS, settings.terms)

    @property
    def terms(self) -> HttpTerms:
        """As the operator set them."""
        return self._settings.terms

    def request(self, submission: Submission) -> HttpRequest | Rejected:
        """POST …/Message/, JSON. Numbers go without the plus."""
        recipient = international(submission.recipient).removeprefix("+")
        # A "<" in it would make several recipients.
        if not recipient or digits_of(recipient) != recipient:
            return Rejected("invalid_destination", "The recipient is no telephone number.")
        fields = {"dst": recipient, "text": submission.text, "type": "sms"}
        if self._settings.powerpack_uuid:
            fields["powerpack_uuid"] = self._settings.powerpack_uuid
        else:
            fields["src"] = international(submission.sender).removeprefix("+")
        if self._status_url:
            fields["url"] = with_attempt(self._status_url, submission.attempt_id, self._settings.auth_token)
            fields["method"] = "POST"
        return HttpRequest(
            method="POST",
            url=f"{self._account}/Message/",
            headers=(("Authorization", self._authorization), ("Content-Type", "application/json")),
            body=json.dumps(fields).encode("ascii"),
        )

    def outcome(self, reply: HttpReply, submission: Submission) -> Outcome:
        """202 with one message_uuid; or an error in words."""
        said = json_object(reply.body)
        if 200 <= reply.status < 300:
            uuid = said.get("message_uuid")
            return taken(reply, uuid[0] if isinstance(uuid, list) and uuid else uuid)
        if deferred := put_off(reply):
            return deferred
        if 400 <= reply.status < 500:
            error = words(said.get("error"))
            # 401, 402 and 403 are about the account, whatever the words: another carrier may take the message.
            code = "refused_by_carrier" if error and reply.status not in (401, 402, 403) else f"http_{reply.status}"
            return Rejected(code, f"{reply.status}: {error}" if error else f"The carrier answered {reply.status}.")
        return unproven(reply)

    def check(self) -> HttpRequest | None:
        """GET of the account."""
        return HttpRequest(method="GET", url=f"{self._account}/", headers=(("Authorization", self._authorization),))

    def preview(self, submission: Submission) -> list[str]:
        """None: `check` tells more."""
        return []

    def method(self, kind: CallbackKind) -> str:
        """Plivo's default."""
        return "POST"

    def is_genuine(self, callback: Callback) -> bool:
        """The third form of the signature, over address and fields; the second, over the address, where it is alone.

        A header may hold several, separated by commas.
        """
        sent = callback.header(SIGNATURE_V3)
        if sent:
            signed = f"{_signed_v3(callback)}.{callback.header(SIGNATURE_V3 + NONCE)}"
        else:
            sent = callback.header(SIGNATURE_V2)
            signed = f"{_bare(callback.url)}{callback.header(SIGNATURE_V2 + NONCE)}"
        digest_ = hmac.new(self._settings.auth_token.encode(), signed.encode(), hashlib.sha256).digest()
        expected = base64.b64encode(digest_)
        return any(hmac.compare_digest(one.strip().encode("latin-1"), expected) for one in sent.split(","))

    def receipts(self, callback: Callback) -> list[CarrierReceipt]:
        """MessageUUID, Status, ErrorCode; for each part of a long message one, under the first part's name."""
        form = form_of(callback)
        status = STATUSES.get(required(form, "Status").lower(), ReceiptStatus.ENROUTE)
        if status is ReceiptStatus.DELIVERED and not _is_last(form):
            status = ReceiptStatus.ENROUTE
        return [
            CarrierReceipt(
                carrier_id=self._site.carrier_id,
                reference=reference(required(form, "ParentMessageUUID", "MessageUUID")),
                status=status,
                error_code=_cause(form) if status is ReceiptStatus.UNDELIVERED else None,
                attempt_id=attempt_in(callback, self._settings.auth_token),
                whole_message=True,
                sender=None if self._settings.powerpack_uuid else storable(first(form, "From")) or None,
                recipient=storable(first(form, "To")) or None,
                raw=raw(callback),
            )
        ]

    def inbound(self, callback: Callback) -> list[InboundSms]:
        """From, To, Text."""
        form = form_of(callback)
        uuid = reference(required(form, "MessageUUID"))
        return [
            InboundSms(
                carrier_id=self._site.carrier_id,
                sender=required(form, "From"),
                recipient=required(form, "To"),
                text=first(form, "Text"),
                fingerprint=digest("plivo", uuid),
                raw=raw(callback),
            )
        ]

    def thanks(self, kind: CallbackKind) -> Thanks:
        """Nothing in particular."""
        return Thanks()


def _is_last(form: Form) -> bool:
    """Whether it reports on the last part, or on a message of one."""
    part = _PART.fullmatch(first(form, "PartInfo"))
    return part is None or int(part[1]) >= int(part[2])


def _cause(form: Form) -> str:
    code = storable(first(form, "ErrorCode"))[:20]
    state = "rejectd" if first(form, "Status").lower() == "rejected" else "undeliv"
    return f"{state}:{code}" if code and code != "000" else state


def _bare(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}{split.path}"


def _signed_v3(callback: Callback) -> str:
    """Address, `?`, the query by name, `.`, the body's fields by name; marks only between what is there."""
    query = "&".join(f"{name}={value}" for name, value in _sorted(fields_of(callback.query)))
    posted = {} if callback.method == "GET" else form_of(callback)
    fields = "".join(f"{name}{value}" for name, value in _sorted(posted))
    mark = "?" if query or fields else ""
    dot = "." if query and fields else ""
    return f"{_bare(callback.url)}{mark}{query}{dot}{fields}"


def _sorted(form: Form) -> list[tuple[str, str]]:
    return [(name, value) for name, values in sorted(form.items()) for value in sorted(values)]
