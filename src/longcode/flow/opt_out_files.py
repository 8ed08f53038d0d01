"""Opt-outs as CSV: what is written, and what is wrong with what is read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from longcode.domain.clock import utc_now
from longcode.domain.phone import canonical
from longcode.domain.timestamps import format_milli, parse_instant
from longcode.encoding.csv_cells import repeated, unmarked
from longcode.errors import ConfigurationError, InvalidField
from longcode.store.opt_outs import IMPORT, LONGEST_RECIPIENT, OptOut

COLUMNS: Final = ("scope", "sender", "recipient", "source", "time")
NUMBER: Final = "number"
ACCOUNT: Final = "account"
LONGEST_SOURCE: Final = 32
# Nobody has opted out before; and what PostgreSQL keeps of year 1 its driver cannot read in every time zone.
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[str | None, str, str, datetime]


def cells(one: OptOut) -> tuple[str, ...]:
    """An opt-out under COLUMNS."""
    return scope_of(one.sender), one.sender or "", one.recipient, one.source, format_milli(one.created_at)


def scope_of(sender: str | None) -> str:
    """Of whom an opt-out is."""
    return ACCOUNT if sender is None else NUMBER


def party_of(recipient: str) -> str:
    """A recipient in canonical form. Raises ConfigurationError for what nobody can be."""
    party = canonical(recipient.strip())
    if not 1 <= len(party) <= LONGEST_RECIPIENT or not party.isprintable():
        raise ConfigurationError([f"{recipient!r} is no recipient: 1 to {LONGEST_RECIPIENT} printable characters"])
    return party


def read_opt_outs(file: Iterable[str]) -> list[Row]:
    """(sender, recipient, source, time) of each line. Raises ConfigurationError with every faulty line."""
    try:
        reader = csv.DictReader(file, strict=True)
        if reader.fieldnames is None or "recipient" not in reader.fieldnames:
            raise ConfigurationError(["the file has no column `recipient`"])
        unknown = [name for name in reader.fieldnames if name not in COLUMNS]
        if unknown:
            raise ConfigurationError([f"the file has an unknown column {name!r}" for name in unknown])
        twice = repeated(reader.fieldnames)
        if twice:
            raise ConfigurationError(twice)
        return _parse(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError([f"the file is not CSV in UTF-8: {error}"]) from error


def _parse(reader: csv.DictReader[str]) -> list[Row]:
    rows, faults, now = [], [], utc_now()
    for written in reader:
        row = {name: value if name is None or value is None else unmarked(value) for name, value in written.items()}
        found = list(_faults(row))
        if found:
            faults += [f"line {reader.line_num}: {fault}" for fault in found]
            continue
        sender, at = (row.get("sender") or "").strip(), row.get("time") or None
        rows.append(
            (
                canonical(sender) if sender else None,
                party_of(row["recipient"]),
                row.get("source") or IMPORT,
                now if at is None else parse_instant(at, field="time"),
            )
        )
    if faults:
        raise ConfigurationError(faults)
    return rows


def _faults(row: dict[str, str | None]) -> Iterator[str]:
    """What is wrong with a line, in words."""
    if None in row:
        yield "more fields than columns"
        return
    try:
        party_of(row["recipient"] or "")
    except ConfigurationError as error:
        yield str(error)
    scope, sender = row.get("scope") or "", (row.get("sender") or "").strip()
    if scope not in ("", NUMBER, ACCOUNT):
        yield f"scope is {NUMBER} or {ACCOUNT}, not {scope!r}"
    elif scope == NUMBER and not sender:
        yield "scope number needs a sender"
    elif scope == ACCOUNT and sender:
        yield "scope account has no sender"
    if len(sender) > LONGEST_RECIPIENT or not sender.isprintable():
        yield f"{sender!r} is no sender: 1 to {LONGEST_RECIPIENT} printable characters"
    source = row.get("source") or ""
    if len(source) > LONGEST_SOURCE:
        yield f"source has at most {LONGEST_SOURCE} characters"
    if not source.isprintable():
        yield f"source is printable, not {source!r}"
    yield from _time_faults(row.get("time"))


def _time_faults(at: str | None) -> Iterator[str]:
    try:
        instant = parse_instant(at, field="time") if at else EPOCH
    except InvalidField:
        yield f"time is no instant: {at!r}"
        return
    if instant > utc_now():
        yield f"time is in the future: {at}"
    elif instant < EPOCH:
        yield f"time is before 1970: {at}"
