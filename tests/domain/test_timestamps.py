"""Timestamps: what the mailbox writes and reads, and Unix seconds."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.domain.timestamps import format_micro, parse_instant, parse_unix_seconds
from longcode.errors import InvalidField


@dataclass(frozen=True, slots=True)
class InstantCase:
    name: str
    value: object
    written: str | None

    def __str__(self) -> str:
        return self.name


TEN = "2026-11-22T10:00:00.000000"
INSTANTS = [
    InstantCase("what we return", "2026-11-22T10:00:00.123456", "2026-11-22T10:00:00.123456"),
    InstantCase("a Z", "2026-11-22T10:00:00Z", TEN),
    InstantCase("a small t and z", "2026-11-22t10:00:00z", TEN),
    InstantCase("an offset with a colon", "2026-11-22T12:00:00+02:00", TEN),
    InstantCase("an offset without a colon", "2026-11-22T12:00:00+0200", TEN),
    InstantCase("an offset of hours only", "2026-11-22T12:00:00+02", TEN),
    InstantCase("a negative offset that changes the day", "2026-11-21T22:30:00-11:30", TEN),
    InstantCase("a space between date and time", "2026-11-22 10:00:00", TEN),
    InstantCase("one decimal", "2026-11-22T10:00:00.5Z", "2026-11-22T10:00:00.500000"),
    InstantCase("a decimal comma", "2026-11-22T10:00:00,25", "2026-11-22T10:00:00.250000"),
    InstantCase("nine decimals are cut off", "2026-11-22T10:00:00.123456999Z", "2026-11-22T10:00:00.123456"),
    InstantCase("no seconds", "2026-11-22T10:00", TEN),
    InstantCase("a date alone is its midnight", "2026-11-22", "2026-11-22T00:00:00.000000"),
    InstantCase("a leap day", "2024-02-29", "2024-02-29T00:00:00.000000"),
    InstantCase("the first year is padded", "0001-01-01", "0001-01-01T00:00:00.000000"),
    InstantCase("an epoch integer", 1795341600, "2026-11-22T10:00:00.000000"),
    InstantCase("epoch zero", 0, "1970-01-01T00:00:00.000000"),
    InstantCase("an epoch before 1970", -1, "1969-12-31T23:59:59.000000"),
    InstantCase("an epoch float", 1795341600.123456, "2026-11-22T10:00:00.123456"),
    InstantCase("a float means its shortest text", 1.1, "1970-01-01T00:00:01.100000"),
    InstantCase("an epoch Decimal", Decimal("1795341600.123456"), "2026-11-22T10:00:00.123456"),
    InstantCase("a finer Decimal is cut off", Decimal("1.9999999999"), "1970-01-01T00:00:01.999999"),
    InstantCase("a Decimal of very many digits", Decimal("1." + "9" * 5000), "1970-01-01T00:00:01.999999"),
    InstantCase("a Decimal with an exponent", Decimal("1E+9"), "2001-09-09T01:46:40.000000"),
    InstantCase("a string of epoch digits", "1795341600", TEN),
    InstantCase("a string of epoch digits with a fraction", "1795341600.25", "2026-11-22T10:00:00.250000"),
    InstantCase("a compact date is read as seconds", "20261122", "1970-08-23T12:05:22.000000"),
    InstantCase("the last second", 253402300799, "9999-12-31T23:59:59.000000"),
    InstantCase("the second after the last", 253402300800, None),
    InstantCase("epoch milliseconds", 1795341600000, None),
    InstantCase("a string of epoch milliseconds", "1795341600000", None),
    InstantCase("a huge integer", 10**400, None),
    InstantCase("a huge Decimal", Decimal("1E+999999"), None),
    InstantCase("a huge float", 1e300, None),
    InstantCase("not a number", float("nan"), None),
    InstantCase("infinity", float("inf"), None),
    InstantCase("a Decimal that is not a number", Decimal("NaN"), None),
    InstantCase("a signalling Decimal", Decimal("sNaN"), None),
    InstantCase("an infinite Decimal", Decimal("-Infinity"), None),
    InstantCase("true", True, None),
    InstantCase("null", None, None),
    InstantCase("an empty string", "", None),
    InstantCase("a space", " ", None),
    InstantCase("a space before", " 2026-11-22", None),
    InstantCase("a newline after", "2026-11-22\n", None),
    InstantCase("words", "yesterday", None),
    InstantCase("nan in words", "nan", None),
    InstantCase("an exponent in a string", "1e9", None),
    InstantCase("the year zero", "0000-01-01", None),
    InstantCase("an offset that leaves the first year", "0001-01-01T00:00:00+01:00", None),
    InstantCase("an offset that leaves the last year", "9999-12-31T23:59:59-01:00", None),
    InstantCase("month 13", "2026-13-01", None),
    InstantCase("the 30th of February", "2026-02-30", None),
    InstantCase("hour 24", "2026-11-22T24:00:00", None),
    InstantCase("second 60", "2026-11-22T10:00:60", None),
    InstantCase("an offset of 24 hours", "2026-11-22T10:00:00+24:00", None),
    InstantCase("an offset of 60 minutes", "2026-11-22T10:00:00+01:60", None),
    InstantCase("a zone after a date alone", "2026-11-22Z", None),
    InstantCase("a T without a time", "2026-11-22T", None),
    InstantCase("a point without decimals", "2026-11-22T10:00:00.", None),
    InstantCase("a compact date and time", "20261122T100000Z", None),
    InstantCase("a week date", "2026-W47-7", None),
    InstantCase("full-width digits", "２０２６-11-22", None),
    InstantCase("full-width epoch digits", "１７９５", None),
    InstantCase("a list", [2026], None),
    InstantCase("an object", {}, None),
]


@pytest.mark.parametrize("case", INSTANTS, ids=str)
def test_an_instant_is_understood_or_refused(case: InstantCase) -> None:
    if case.written is None:
        with pytest.raises(InvalidField) as caught:
            parse_instant(case.value, field="period_start")
        assert caught.value.field == "period_start"
    else:
        moment = parse_instant(case.value, field="period_start")
        assert moment.tzinfo is UTC
        assert format_micro(moment) == case.written


def test_an_instant_of_another_zone_is_written_in_utc() -> None:
    moment = datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=2)))
    assert format_micro(moment) == TEN


aware = st.datetimes(timezones=st.just(UTC))


@given(aware)
@settings(max_examples=60)
def test_what_we_write_we_read_back(moment: datetime) -> None:
    written = format_micro(moment)
    assert len(written) == 26
    assert parse_instant(written, field="timestamp") == moment
    assert parse_instant(written + "Z", field="timestamp") == moment


@given(aware)
@settings(max_examples=60)
def test_epoch_decimals_keep_the_microsecond(moment: datetime) -> None:
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    seconds = Decimal(microseconds).scaleb(-6)
    assert parse_instant(seconds, field="timestamp") == moment
    assert parse_instant(f"{seconds:f}", field="timestamp") == moment


@given(
    st.one_of(
        st.text(max_size=30),
        st.text("0123456789-T:Z+. ", max_size=30),
        st.integers(),
        st.floats(),
        st.decimals(),
    )
)
@settings(max_examples=100)
def test_whatever_is_sent_gives_an_instant_or_an_invalid_field(value: object) -> None:
    try:
        moment = parse_instant(value, field="timestamp")
    except InvalidField:
        return
    assert moment.tzinfo is UTC


@dataclass(frozen=True, slots=True)
class SecondsCase:
    name: str
    value: object
    seconds: int | None

    def __str__(self) -> str:
        return self.name


SECONDS = [
    SecondsCase("an integer", 1645845235, 1645845235),
    SecondsCase("zero", 0, 0),
    SecondsCase("the largest 64 bit integer", 2**63 - 1, 2**63 - 1),
    SecondsCase("one more than 64 bits hold", 2**63, None),
    SecondsCase("a huge integer", 10**5000, None),
    SecondsCase("a negative integer", -1, None),
    SecondsCase("a digit string", "1645845235", 1645845235),
    SecondsCase("a zero string", "0", 0),
    SecondsCase("a string of zeros", "000", 0),
    SecondsCase("leading zeros", "0042", 42),
    SecondsCase("very many leading zeros", "0" * 30000 + "42", 42),
    SecondsCase("the largest integer as a string", str(2**63 - 1), 2**63 - 1),
    SecondsCase("one more as a string", str(2**63), None),
    SecondsCase("very many digits", "9" * 30000, None),
    SecondsCase("an empty string", "", None),
    SecondsCase("a signed string", "+1", None),
    SecondsCase("a negative string", "-1", None),
    SecondsCase("a string with a space", " 1", None),
    SecondsCase("a string with a newline", "1\n", None),
    SecondsCase("a string with an underscore", "1_000", None),
    SecondsCase("a fraction in a string", "1.0", None),
    SecondsCase("full-width digits", "１２", None),
    SecondsCase("superscript digits", "²", None),
    SecondsCase("ISO text", "2026-11-22T10:00:00Z", None),
    SecondsCase("a float", 1.0, None),
    SecondsCase("a whole number written with a fraction", Decimal("1.0"), None),
    SecondsCase("a whole number written with an exponent", Decimal("1E+3"), None),
    SecondsCase("true", True, None),
    SecondsCase("false", False, None),
    SecondsCase("null", None, None),
    SecondsCase("a list", [1], None),
]


@pytest.mark.parametrize("case", SECONDS, ids=str)
def test_unix_seconds_are_understood_or_refused(case: SecondsCase) -> None:
    if case.seconds is None:
        with pytest.raises(InvalidField) as caught:
            parse_unix_seconds(case.value, field="timestamp")
        assert caught.value.field == "timestamp"
    else:
        seconds = parse_unix_seconds(case.value, field="timestamp")
        assert seconds == case.seconds
        assert type(seconds) is int


@given(st.integers(0, 2**63 - 1))
@settings(max_examples=60)
def test_a_digit_string_means_its_integer(seconds: int) -> None:
    assert parse_unix_seconds(str(seconds), field="timestamp") == seconds
    assert parse_unix_seconds(seconds, field="timestamp") == seconds
