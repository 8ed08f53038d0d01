"""Accounts and their numbers out of a PostgreSQL dump."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from longcode.encoding.sql_dump import DumpError, Row, parse

_COLUMNS: Final = {
    "account": ("id", "auth_id", "username"),
    "phone_number": ("id", "number", "account_id"),
}
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_MOST_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class DumpAccount:
    """A row of account. auth_id is a credential: hash it, never log it."""

    id: int
    auth_id: str = field(repr=False)
    username: str


@dataclass(frozen=True, slots=True)
class DumpNumber:
    """A row of phone_number. number: verbatim. account_id: the id of an account in the same dump."""

    id: int
    number: str
    account_id: int


@dataclass(frozen=True, slots=True)
class AccountDump:
    """The whole dump, in its order."""

    accounts: tuple[DumpAccount, ...]
    numbers: tuple[DumpNumber, ...]


def read_accounts(source: Iterable[bytes] | BinaryIO) -> AccountDump:
    """The rows of account(id, auth_id, username) and phone_number(id, number, account_id).

    The order of the columns does not matter, nor do others beside them.
    Raises DumpError for a dump that cannot be read; for its first 20 faults together, each with its line:
    an id that is no integer, a value that is null or empty, an id, username or number that came before,
    a number of an unknown account; and for a dump without accounts.
    """
    reader = _Rows()
    for row in parse(source, _COLUMNS):
        reader.add(row)
    return reader.finish()


class _Rows:
    def __init__(self) -> None:
        self._accounts: list[DumpAccount] = []
        self._numbers: list[tuple[int, DumpNumber]] = []
        self._first_lines: dict[tuple[str, str, str | int], int] = {}
        self._faults: list[DumpError] = []

    def add(self, row: Row) -> None:
        missing = [column for column in _COLUMNS[row.table] if column not in row.columns]
        if missing:
            raise DumpError(row.line, f"{row.table} has no column {', '.join(missing)}")
        try:
            if row.table == "account":
                self._add_account(row)
            else:
                self._add_number(row)
        except DumpError as fault:
            self._note(fault)

    def finish(self) -> AccountDump:
        known = {account.id for account in self._accounts}
        for line, number in self._numbers:
            if number.account_id not in known:
                self._note(DumpError(line, f"phone_number.account_id {number.account_id} is no account's id"))
        if self._faults:
            raise _together(self._faults)
        if not self._accounts:
            raise DumpError(1, "the dump has no rows of the table account")
        return AccountDump(tuple(self._accounts), tuple(number for _, number in self._numbers))

    def _add_account(self, row: Row) -> None:
        account = DumpAccount(id=_integer(row, "id"), auth_id=_text(row, "auth_id"), username=_text(row, "username"))
        # Kept even if a check below fails, so that its numbers are not called faults too.
        self._accounts.append(account)
        self._claim(row, "id", account.id)
        self._claim(row, "username", account.username)

    def _add_number(self, row: Row) -> None:
        number = DumpNumber(id=_integer(row, "id"), number=_text(row, "number"), account_id=_integer(row, "account_id"))
        self._numbers.append((row.line, number))
        self._claim(row, "id", number.id)
        self._claim(row, "number", number.number)

    def _claim(self, row: Row, column: str, value: str | int) -> None:
        key = (row.table, column, value)
        if key in self._first_lines:
            first = self._first_lines[key]
            raise DumpError(row.line, f"{row.table}.{column} is the same as on line {first}")
        self._first_lines[key] = row.line

    def _note(self, fault: DumpError) -> None:
        self._faults.append(fault)
        if len(self._faults) == _MOST_FAULTS:
            raise _together(self._faults)


def _together(faults: list[DumpError]) -> DumpError:
    """One error at the first fault's line that tells of all."""
    first, *others = sorted(faults, key=lambda fault: fault.line)
    return DumpError(first.line, "\n".join([first.reason, *(str(fault) for fault in others)]))


def _text(row: Row, column: str) -> str:
    value = row.values[row.columns.index(column)]
    if not value:
        raise DumpError(row.line, f"{row.table}.{column} is {'null' if value is None else 'empty'}")
    return value


def _integer(row: Row, column: str) -> int:
    text = _text(row, column)
    if not _INTEGER.fullmatch(text):
        raise DumpError(row.line, f"{row.table}.{column} is not an integer")
    return int(text)
