"""What an operator says about an SMPP carrier, checked at once and as a whole.

`docs/carriers/smpp.md` explains each setting; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum, StrEnum
from typing import Any, Final

from longcode.carriers.readers import Reader, choice, decimal, flag, host, integer, read, text
from longcode.errors import ConfigurationError

SECRET_KEYS: Final = frozenset({"password"})
REQUIRED: Final = ("host", "port", "system_id", "password")
# A claim of a message is leased for 60 s: what waits for its turn and for its answer must fit.
LONGEST_RESPONSE_SECONDS: Final = 35.0


class Mode(StrEnum):
    """Which binds make a connection: one for both directions, or one each."""

    TRANSCEIVER = "transceiver"
    PAIR = "pair"


class Version(StrEnum):
    """What a bind says it speaks."""

    SMPP_3_3 = "3.3"
    SMPP_3_4 = "3.4"
    SMPP_5_0 = "5.0"

    @property
    def octet(self) -> int:
        """interface_version (§5.2.4)."""
        return int(self.value.replace(".", ""), 16)


class LongMessages(StrEnum):
    """How the parts of a long message say that they belong together; PAYLOAD: the carrier cuts."""

    UDH8 = "udh8"
    UDH16 = "udh16"
    SAR = "sar"
    PAYLOAD = "payload"


class ReceiptPolicy(StrEnum):
    """How many receipts the carrier sends for a message."""

    SEGMENT = "segment"
    MESSAGE = "message"
    NONE = "none"


class ReceiptIds(StrEnum):
    """Whether receipts write ids as the submit's answer did. ANY: hexadecimal, decimal, padded, other case."""

    ANY = "any"
    VERBATIM = "verbatim"


class Validity(StrEnum):
    """In which form the carrier is told until when to try."""

    RELATIVE = "relative"
    ABSOLUTE = "absolute"
    NONE = "none"


class Alphabet(StrEnum):
    """What the carrier means by data_coding 0."""

    GSM7 = "gsm7"
    LATIN1 = "latin1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmppSettings:
    """One SMPP carrier.

    segments_per_second: for all binds together; 0: as fast as the carrier takes them.
    source_ton to dest_npi: None lets the address decide.
    throttle_statuses, temporary_statuses: a carrier's own command_status values of that meaning.
    """

    host: str
    port: int
    system_id: str
    password: str
    mode: Mode = Mode.TRANSCEIVER
    binds: int = 1
    window: int = 100
    segments_per_second: float = 0.0
    system_type: str = ""
    interface_version: Version = Version.SMPP_3_4
    address_range: str = ""
    tls: bool = False
    tls_verify: bool = True
    tls_server_name: str = ""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    long_messages: LongMessages = LongMessages.UDH8
    receipts: ReceiptPolicy = ReceiptPolicy.SEGMENT
    registered_delivery: int = 1
    receipt_ids: ReceiptIds = ReceiptIds.ANY
    resend_unconfirmed: bool = False
    validity: Validity = Validity.RELATIVE
    service_type: str = ""
    source_ton: int | None = None
    source_npi: int | None = None
    dest_ton: int | None = None
    dest_npi: int | None = None
    default_alphabet: Alphabet = Alphabet.GSM7
    latin1: bool = False
    data_coding_default: int = 0
    data_coding_latin1: int = 3
    data_coding_ucs2: int = 8
    enquire_link_seconds: float = 30.0
    response_timeout_seconds: float = 30.0
    throttle_statuses: tuple[int, ...] = ()
    temporary_statuses: tuple[int, ...] = ()

    def to_record(self) -> dict[str, str]:
        """What `parse` makes equal settings of: every value that is not a default, SECRET_KEYS in clear."""
        return {
            field.name: _written(getattr(self, field.name))
            for field in fields(self)
            if field.name in REQUIRED or getattr(self, field.name) != field.default
        }

    def __repr__(self) -> str:
        # Settings end up in logs and tracebacks; the password must not.
        return f"SmppSettings({self.system_id}@{self.host}:{self.port})"


def parse(settings: Mapping[str, str]) -> SmppSettings:
    """The settings of an SMPP carrier. Raises ConfigurationError with every fault."""
    values, faults = read(settings, _READERS, REQUIRED)
    faults += _contradictions(values)
    if faults:
        raise ConfigurationError(faults)
    return SmppSettings(**values)


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    faults = []
    if not values.get("tls"):
        faults += [f"{key}: only with tls=1" for key in _TLS_ONLY if key in values]
    if values.get("tls_key") and not values.get("tls_cert"):
        faults.append("tls_key: only with tls_cert")
    if values.get("tls_ca") and values.get("tls_verify") is False:
        faults.append("tls_ca: has no use with tls_verify=0")
    return faults


# Readers of what only SMPP has.

_TLS_ONLY: Final = ("tls_verify", "tls_server_name", "tls_ca", "tls_cert", "tls_key")


def _octet(most: int = 255) -> Reader:
    def read(value: str) -> int:
        number = _number(value)
        if number is None or number > most:
            raise ValueError(f"expected 0 to {most}, or the same in hexadecimal: 0x{most:02x}")
        return number

    return read


def _octet_or_auto(most: int) -> Reader:
    def read(value: str) -> int | None:
        if value == "auto":
            return None
        number = _number(value)
        if number is None or number > most:
            raise ValueError(f"expected auto or 0 to {most}")
        return number

    return read


def _number(value: str) -> int | None:
    if re.fullmatch("[0-9]{1,10}", value):
        return int(value)
    return int(value, 16) if re.fullmatch("0[xX][0-9A-Fa-f]{1,8}", value) else None


def _statuses(value: str) -> tuple[int, ...]:
    numbers = [_number(part.strip()) for part in value.split(",")]
    if any(number is None or not 0 < number <= 0xFFFFFFFF for number in numbers):
        raise ValueError("expected numbers such as 0x400, separated by commas")
    return tuple(number for number in numbers if number is not None)


def _written(value: object) -> str:
    match value:
        case None:
            return "auto"
        case bool():
            return str(int(value))
        case Enum():
            return str(value.value)
        case tuple():
            return ",".join(f"0x{number:x}" for number in value)
        case float():
            return f"{value:g}"
    return str(value)


_READERS: Final[dict[str, Reader]] = {
    "host": host,
    "port": integer(1, 65535),
    "system_id": text(1, 15),
    "password": text(0, 64),
    "mode": choice(Mode),
    "binds": integer(1, 32),
    "window": integer(1, 1000),
    "segments_per_second": decimal(0.1, 100_000, or_zero=True),
    "system_type": text(0, 12),
    "interface_version": choice(Version),
    "address_range": text(0, 40),
    "tls": flag,
    "tls_verify": flag,
    "tls_server_name": host,
    "tls_ca": text(1, 4096),
    "tls_cert": text(1, 4096),
    "tls_key": text(1, 4096),
    "long_messages": choice(LongMessages),
    "receipts": choice(ReceiptPolicy),
    "registered_delivery": _octet(31),
    "receipt_ids": choice(ReceiptIds),
    "resend_unconfirmed": flag,
    "validity": choice(Validity),
    "service_type": text(0, 5),
    "source_ton": _octet_or_auto(255),
    "source_npi": _octet_or_auto(255),
    "dest_ton": _octet_or_auto(255),
    "dest_npi": _octet_or_auto(255),
    "default_alphabet": choice(Alphabet),
    "latin1": flag,
    "data_coding_default": _octet(),
    "data_coding_latin1": _octet(),
    "data_coding_ucs2": _octet(),
    "enquire_link_seconds": decimal(1, 3600, or_zero=True),
    "response_timeout_seconds": decimal(1, LONGEST_RESPONSE_SECONDS),
    "throttle_statuses": _statuses,
    "temporary_statuses": _statuses,
}
KEYS: Final = tuple(_READERS)
