"""What an operator says about an HTTP carrier for which there is no driver of its own, checked as a whole.

`docs/carriers/http.md` explains each setting; a test holds the two together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from longcode.carriers import readers
from longcode.carriers.http_fields import Place, path, place
from longcode.carriers.http_port import TERMS_READERS, USUAL_TERMS, HttpTerms, take_terms
from longcode.carriers.http_template import (
    NAMES,
    Template,
    escape_of,
    in_header,
    in_json,
    in_url,
    template,
)
from longcode.carriers.readers import Reader
from longcode.errors import ConfigurationError

SECRET_KEYS: Final = frozenset({"password", "token", "signature_secret", "callback_token"})
REQUIRED: Final = ("url", "reference")
HEADER: Final = "header."
# The carrier has no name for a message but the one that we gave it.
OURS: Final = "attempt_id"
ACCEPTED: Final = frozenset(range(200, 300))
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_NOT_OURS_TO_SET: Final = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})


class Method(StrEnum):
    """HTTP methods of requests."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"


class CallbackMethod(StrEnum):
    """HTTP methods of callbacks."""

    GET = "GET"
    POST = "POST"


class SignatureEncoding(StrEnum):
    """How a signature is written."""

    HEX = "hex"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFields:
    """Where a status callback says what. entries: a list with a receipt each; None: the callback is one."""

    method: CallbackMethod = CallbackMethod.POST
    entries: Place | None = None
    reference: Place | None = None
    attempt: Place | None = None
    status: Place | None = None
    delivered: frozenset[str] = frozenset()
    undelivered: frozenset[str] = frozenset()
    error: Place | None = None
    recipient: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundFields:
    """Where an inbound callback says what. entries: as of receipts."""

    method: CallbackMethod = CallbackMethod.POST
    entries: Place | None = None
    sender: Place | None = None
    recipient: Place | None = None
    text: Place | None = None
    id: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """One HTTP carrier.

    reference: None: the carrier has no name for a message but the one that we gave it.
    rejected_statuses: None: 400–499, where no other setting names them.
    """

    url: Template
    method: Method = Method.POST
    headers: tuple[tuple[str, Template], ...] = ()
    body: Template | None = None
    content_type: str = "application/json"
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    basic_auth: bool = False
    reference: Place | None
    accepted_statuses: frozenset[int] = ACCEPTED
    deferred_statuses: frozenset[int] = frozenset()
    rejected_statuses: frozenset[int] | None = None
    error: Place | None = None
    no_errors: frozenset[str] = frozenset()
    deferred_errors: frozenset[str] = frozenset()
    reason: Place | None = None
    signature_header: str = ""
    signature_encoding: SignatureEncoding = SignatureEncoding.HEX
    signature_secret: str = field(default="", repr=False)
    callback_token: str = field(default="", repr=False)
    callback_answer: str = ""
    receipt: ReceiptFields = ReceiptFields()
    inbound: InboundFields = InboundFields()
    terms: HttpTerms = USUAL_TERMS


def parse(settings: Mapping[str, str]) -> HttpSettings:
    """The settings of an HTTP carrier. Raises ConfigurationError with every fault."""
    plain = {key: value for key, value in settings.items() if not key.startswith(HEADER)}
    values, faults = readers.read(plain, {**_READERS, **TERMS_READERS}, REQUIRED)
    headers, header_faults = _headers(settings)
    faults += header_faults + _contradictions(settings, values, headers) + _unusable(values, headers)
    if faults:
        raise ConfigurationError(faults)
    terms = take_terms(values)
    receipt = ReceiptFields(**_taken(values, "receipt_"))
    inbound = InboundFields(**_taken(values, "inbound_"))
    return HttpSettings(headers=headers, terms=terms, receipt=receipt, inbound=inbound, **values)


def _taken(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The values with a prefix, which are taken out, without it."""
    return {key.removeprefix(prefix): values.pop(key) for key in tuple(values) if key.startswith(prefix)}


def _headers(settings: Mapping[str, str]) -> tuple[tuple[tuple[str, Template], ...], list[str]]:
    headers, faults = [], []
    for key, value in settings.items():
        name = key.removeprefix(HEADER)
        if name == key:
            continue
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _NOT_OURS_TO_SET:
            faults.append(f"{key}: no such header can be set")
            continue
        try:
            in_header(value)
            headers.append((name, template(value)))
        except ValueError as fault:
            faults.append(f"{key}: {fault}")
    return tuple(headers), faults


# What contradicts what: the setting at fault, whether it is, and why.


def _contradictions(
    settings: Mapping[str, str], values: Mapping[str, Any], headers: tuple[tuple[str, Template], ...]
) -> list[str]:
    given = settings.keys()
    receipts = any(key.startswith("receipt_") for key in given)
    inbound = any(key.startswith("inbound_") for key in given)
    proof = "signature_secret" in given or "callback_token" in given
    names = {name for one in _templates(values, headers) for name in one.names}
    ours = settings.get("reference") == OURS
    names_attempt = "receipt_attempt" in given or "status_url" in names
    method = values.get("method", Method.POST)
    readable = "url" in values and ("body" in values or "body" not in given)
    rules = (
        ("body", method is Method.GET and "body" in given, "a GET has none"),
        ("body", method is not Method.GET and "body" not in given, f"missing: a {method} has one"),
        ("content_type", "content_type" in given and "body" not in given, "only with body"),
        ("url", readable and not names & {"text", "text_hex"}, "neither it nor the body has {{text}}"),
        (
            "url",
            readable and not names & {"recipient", "recipient_e164"},
            "neither it nor the body has {{recipient}}",
        ),
        (
            "basic_auth",
            bool(values.get("basic_auth")) and not {"username", "password"} <= given,
            "needs username and password",
        ),
        ("password", readable and "password" in given - names and not values.get("basic_auth"), "is not used"),
        ("token", readable and "token" in given - names, "is not used: write {{token}} where it belongs"),
        ("signature_header", ("signature_header" in given) != ("signature_secret" in given), "needs signature_secret"),
        ("signature_encoding", "signature_encoding" in given and "signature_header" not in given, "has no use alone"),
        ("callback_token", (receipts or inbound) and not proof, "missing: callbacks need it, or signature_secret"),
        ("receipt_status", receipts and "receipt_status" not in given, "missing, as there are other receipt_ settings"),
        ("receipt_delivered", receipts and "receipt_delivered" not in given, "missing: the words that mean it"),
        (
            "receipt_reference",
            receipts and "receipt_reference" not in given and not (ours and names_attempt),
            "missing: nothing says which message a receipt is about",
        ),
        *((f"inbound_{name}", inbound and f"inbound_{name}" not in given, "missing") for name in _INBOUND_REQUIRED),
    )
    faults = [f"{key}: {fault}" for key, wrong, fault in rules if wrong]
    return faults + _twice(values)


_INBOUND_REQUIRED: Final = ("sender", "recipient", "text")


def _twice(values: Mapping[str, Any]) -> list[str]:
    """Values that two settings of one kind claim."""
    values = {"accepted_statuses": ACCEPTED, **values}
    groups = (
        ("accepted_statuses", "deferred_statuses", "rejected_statuses"),
        ("no_errors", "deferred_errors"),
        ("receipt_delivered", "receipt_undelivered"),
    )
    return [
        f"{second}: {', '.join(map(str, sorted(both)[:3]))} is in {one} too"
        for group in groups
        for number, one in enumerate(group)
        for second in group[number + 1 :]
        if (both := values.get(one, frozenset()) & values.get(second, frozenset()))
    ]


def _templates(values: Mapping[str, Any], headers: tuple[tuple[str, Template], ...]) -> list[Template]:
    return [*(values[key] for key in ("url", "body") if key in values), *(value for _, value in headers)]


# A message that shows whether the templates hold.
_SAMPLE: Final = dict.fromkeys(NAMES, "1") | {"text": 'It\'s "50" \\ <off> & more\n€ 🙂', "sender": "My Corp"}


def _unusable(values: Mapping[str, Any], headers: tuple[tuple[str, Template], ...]) -> list[str]:
    """What only shows once a message is written into the templates."""
    faults = []
    if "url" in values:
        faults += _unusable_url(values["url"])
    body: Template | None = values.get("body")
    escape = escape_of(values.get("content_type", "application/json"))
    if body is not None and escape is in_json:
        try:
            json.loads(body.render(_SAMPLE, in_json))
        except ValueError as error:
            faults.append(f"body: it makes no JSON ({error}); texts need quotation marks around {{{{name}}}}")
    faults += [
        f"{HEADER}{name}: {{{{{one}}}}} may have what a header cannot hold"
        for name, value in headers
        for one in value.names
        if one in ("text", "sender")
    ]
    faults += [
        f"{one}: {HEADER}{name} takes ASCII alone"
        for name, value in headers
        for one in value.names
        if not str(values.get(one, "")).isascii()
    ]
    return faults


def _unusable_url(url: Template) -> list[str]:
    start = url.literals[0]
    if url.names and not re.match("[a-z]+://[^/?]+[/?]", start):
        return ["url: the server's name cannot depend on the message"]
    if "#" in "".join(url.literals):
        return ["url: what stands behind # is not sent"]
    try:
        readers.http_url(url.render(_SAMPLE, in_url).partition("?")[0])
    except ValueError as fault:
        return [f"url: {fault}"]
    return []


# Readers of what only this driver has.


def _url(value: str) -> Template:
    if not value.isascii() or not value.isprintable() or " " in _PLACES.sub("", value):
        raise ValueError("expected an address of ASCII characters without spaces")
    return template(value)


_PLACES: Final = re.compile(r"\{\{.*?\}\}")


def _content_type(value: str) -> str:
    if escape_of(value) is None or not value.isascii() or not value.isprintable():
        raise ValueError("expected a type of JSON, XML, text/plain or application/x-www-form-urlencoded")
    return value


def _statuses(value: str) -> frozenset[int]:
    found: set[int] = set()
    for part in value.split(","):
        match = re.fullmatch(r"\s*([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?\s*", part, re.ASCII)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise ValueError("expected statuses such as 429,500-504")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def _words(value: str) -> frozenset[str]:
    words = frozenset(word.strip().lower() for word in value.split(","))
    if "" in words:
        raise ValueError("expected words, separated by commas")
    return words


def _reference(value: str) -> Place | None:
    return None if value == OURS else place(value)


def _secret(shortest: int) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not shortest <= len(value) <= 512 or not value.isprintable():
            raise ValueError(f"expected {shortest} to 512 printable characters")
        return value

    return read


_READERS: Final[dict[str, Reader]] = {
    "url": _url,
    "method": readers.choice(Method),
    "body": template,
    "content_type": _content_type,
    "username": _secret(1),
    "password": _secret(1),
    "token": _secret(1),
    "basic_auth": readers.flag,
    "reference": _reference,
    "accepted_statuses": _statuses,
    "deferred_statuses": _statuses,
    "rejected_statuses": _statuses,
    "error": place,
    "no_errors": _words,
    "deferred_errors": _words,
    "reason": place,
    "signature_header": readers.pattern(_HEADER_NAME.pattern, "the name of a header"),
    "signature_encoding": readers.choice(SignatureEncoding),
    "signature_secret": _secret(8),
    "callback_token": _secret(16),
    "callback_answer": readers.text(0, 200),
    "receipt_method": readers.choice(CallbackMethod),
    "receipt_entries": path,
    "receipt_reference": path,
    "receipt_attempt": path,
    "receipt_status": path,
    "receipt_delivered": _words,
    "receipt_undelivered": _words,
    "receipt_error": path,
    "receipt_recipient": path,
    "inbound_method": readers.choice(CallbackMethod),
    "inbound_entries": path,
    "inbound_sender": path,
    "inbound_recipient": path,
    "inbound_text": path,
    "inbound_id": path,
}
KEYS: Final = (*_READERS, *TERMS_READERS)
