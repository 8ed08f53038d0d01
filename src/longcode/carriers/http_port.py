"""What the carriers that are reached by HTTP have in common: requests, replies, terms, callbacks.

A `Vendor` knows its manual and nothing of connections; `http_driver` knows connections and no manual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol
from urllib.parse import quote

from longcode.carriers import readers
from longcode.carriers.port import CarrierReceipt, InboundSms, Outcome, Rejected, Submission
from longcode.carriers.readers import Reader
from longcode.errors import LongcodeError

# A claim of a message is leased for 60 s: connecting and the answer must fit.
LONGEST_RESPONSE_SECONDS: Final = 35.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTerms:
    """How a carrier is used, whatever its manual says.

    connections: requests at once in each process. messages_per_second: of all processes; 0: no limit is known.
    response_timeout_seconds: from the connection to the end of the answer.
    keep_alive_seconds: how long an unused connection is kept; 0: each request has its own.
    callbacks: what the carrier reaches this server by; "": LONGCODE_PUBLIC_URL.
    """

    connections: int = 20
    messages_per_second: float = 0.0
    response_timeout_seconds: float = 30.0
    keep_alive_seconds: float = 2.0
    resend_unconfirmed: bool = False
    callbacks: str = ""


USUAL_TERMS: Final = HttpTerms()
TERMS_READERS: Final[Mapping[str, Reader]] = {
    "connections": readers.integer(1, 500),
    "messages_per_second": readers.decimal(0.1, 100_000, or_zero=True),
    "response_timeout_seconds": readers.decimal(0.1, LONGEST_RESPONSE_SECONDS),
    "keep_alive_seconds": readers.decimal(0.1, 300, or_zero=True),
    "resend_unconfirmed": readers.flag,
    "callbacks": readers.http_url,
}


def take_terms(values: dict[str, Any]) -> HttpTerms:
    """The terms among a carrier's values, which are taken out of them."""
    return HttpTerms(**{key: values.pop(key) for key in TERMS_READERS if key in values})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request. Addresses, headers and bodies may hold credentials and are shown nowhere."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole answer. body: of a longer one, the first 64 KiB. retry_after_seconds: as it asks for."""

    status: int
    body: bytes
    retry_after_seconds: float | None = None


class CallbackKind(StrEnum):
    """What a carrier calls us for; the last segment of the path."""

    STATUS = "status"
    INBOUND = "inbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One carrier's place on this server. public_url: "" where the operator named none."""

    carrier_id: int
    name: str
    public_url: str = ""

    def callback_url(self, kind: CallbackKind, terms: HttpTerms) -> str:
        """Where the carrier calls us; "" while nobody has said by which address it reaches this server."""
        base = terms.callbacks or self.public_url
        return f"{base}{self.callback_path(kind)}" if base else ""

    def callback_path(self, kind: CallbackKind) -> str:
        """The same without the server."""
        return f"/carriers/{quote(self.name, safe='')}/{kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A carrier's request to us. url: as the carrier wrote it, query included. headers: by lower-case name."""

    method: str
    url: str = field(repr=False)
    query: str = field(repr=False)
    headers: Mapping[bytes, bytes] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """A header's value; "" where it was not sent."""
        return self.headers.get(name.lower().encode("ascii"), b"").decode("latin-1").strip(" \t")


class BadCallback(LongcodeError):
    """A carrier's callback is signed, and lacks what its manual says that it has."""

    code = "bad_callback"


class UnsignedCallback(LongcodeError):
    """A callback whose signature is missing or wrong; nothing of it was stored."""

    code = "unsigned_callback"


@dataclass(frozen=True, slots=True)
class Thanks:
    """What a carrier wants to read after its callback."""

    content_type: str = ""
    body: bytes = b""


class Vendor(Protocol):
    """What one vendor's manual says of requests, answers and callbacks. Pure."""

    @property
    def terms(self) -> HttpTerms:
        """How it is used."""

    def request(self, submission: Submission) -> HttpRequest | Rejected:
        """The request that sends one message; Rejected for what could not be written."""

    def outcome(self, reply: HttpReply, submission: Submission) -> Outcome:
        """What its answer means."""

    def check(self) -> HttpRequest | None:
        """A request that sends nothing and shows whether the credentials are right; None: the vendor has none."""

    def preview(self, submission: Submission) -> list[str]:
        """What a message would go as, in lines without credentials, where only the operator can tell if it is right."""

    def method(self, kind: CallbackKind) -> str:
        """The HTTP method of its callbacks."""

    def is_genuine(self, callback: Callback) -> bool:
        """Whether it was signed with our secret; False where there is none."""

    def receipts(self, callback: Callback) -> list[CarrierReceipt]:
        """The receipts in a genuine status callback. Raises BadCallback."""

    def inbound(self, callback: Callback) -> list[InboundSms]:
        """The messages in a genuine inbound callback. Raises BadCallback."""

    def thanks(self, kind: CallbackKind) -> Thanks:
        """What it is answered with 200 once they are stored."""
