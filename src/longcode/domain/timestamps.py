"""Reading and writing instants as the dialects spell them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_FLOOR, Decimal
from email.utils import parsedate_to_datetime
from typing import Final

from longcode.errors import InvalidField

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = Decimal("0.000001")
# Twelve digits of seconds reach past year 9999; a longer number is another unit, or nonsense.
_MAX_EPOCH_SECONDS: Final = 10**12
_EPOCH_TEXT: Final = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]+)?")
_ISO_8601: Final = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<zone_hours>\d\d):?(?P<zone_minutes>\d\d)?)?)?",
    re.ASCII,
)


def format_micro(moment: datetime) -> str:
    """UTC, ISO 8601, always six decimals, no zone: "2026-11-22T10:00:00.123456".

    moment: aware.
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def format_milli(moment: datetime) -> str:
    """UTC, ISO 8601, always three decimals, with its zone: "2026-11-22T10:00:00.123Z".

    moment: aware.
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def parse_instant(value: object, *, field: str) -> datetime:
    """The instant, aware and in UTC, that a client's timestamp names.

    Text: ISO 8601 in the extended form, T or a space between date and time, no zone meaning UTC, Z or an
    offset ("+02", "+02:00", "+0200"), any number of decimals; a date alone is its midnight.
    Numbers (int, Decimal, float) and digit strings: seconds since 1970, with or without a fraction.
    A digit string is always seconds: the compact date "20261122" is not read as a date.
    What is finer than a microsecond is cut off, never rounded up.
    Raises InvalidField(field) for anything else, and for years outside 1 to 9999.
    """
    try:
        if isinstance(value, str):
            return _from_text(value, field)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return _from_seconds(value, field)
    except (ValueError, OverflowError) as cause:
        raise InvalidField(field) from cause
    raise InvalidField(field)


def parse_unix_seconds(value: object, *, field: str) -> int:
    """Unix seconds, 0 to 2**63 - 1, from an integer or a string of ASCII digits.

    Leading zeros are accepted. A bool, a number literal with a fraction or exponent, and ISO text are not.
    Raises InvalidField(field).
    """
    if isinstance(value, bool):
        raise InvalidField(field)
    if isinstance(value, int):
        seconds = value
    elif isinstance(value, str) and value.isascii() and value.isdigit():
        # Cut to what 64 bits can need and a digit more, so that no long string ever reaches int().
        seconds = int(value.lstrip("0")[:20] or "0")
    else:
        raise InvalidField(field)
    if not 0 <= seconds < 2**63:
        raise InvalidField(field)
    return seconds


def parse_http_date(text: str) -> datetime:
    """The instant, aware and in UTC, that a header's date names; one without a zone is in UTC.

    Source: RFC 9110 §5.6.7. Raises ValueError for anything else, and for years outside 1 to 9999.
    """
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as cause:
        raise ValueError(f"not a date: {text[:40]!r}") from cause


def _from_text(text: str, field: str) -> datetime:
    if _EPOCH_TEXT.fullmatch(text):
        return _from_seconds(Decimal(text), field)
    match = _ISO_8601.fullmatch(text)
    if match is None:
        raise InvalidField(field)
    moment = datetime(
        int(match["year"]),
        int(match["month"]),
        int(match["day"]),
        int(match["hour"] or 0),
        int(match["minute"] or 0),
        int(match["second"] or 0),
        int((match["fraction"] or "0")[:6].ljust(6, "0")),
        tzinfo=_zone(match, field),
    )
    return moment.astimezone(UTC)


def _zone(match: re.Match[str], field: str) -> timezone:
    if match["sign"] is None:
        return UTC
    minutes = int(match["zone_minutes"] or 0)
    if minutes > 59:
        raise InvalidField(field)
    offset = timedelta(hours=int(match["zone_hours"]), minutes=minutes)
    return timezone(-offset if match["sign"] == "-" else offset)


def _from_seconds(value: int | float | Decimal, field: str) -> datetime:
    if not (math.isfinite(value) and -_MAX_EPOCH_SECONDS < value < _MAX_EPOCH_SECONDS):
        raise InvalidField(field)
    # A float goes by its shortest text: 1.1 means 1.100000, not the binary number just beside it.
    seconds = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    microseconds = int(seconds.quantize(_MICROSECOND, rounding=ROUND_FLOOR).scaleb(6))
    return _EPOCH + timedelta(microseconds=microseconds)
