"""Accounts and their numbers out of a PostgreSQL dump."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from longcode.domain.account import NAME_RULE, is_account_name
from longcode.domain.phone import canonical, parse_inventory_value
from longcode.encoding.sql_dump import DumpError, Row, parse
from longcode.errors import InvalidField

_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
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
class SkippedRow:
    """A row that nobody could use. reason: one phrase, without the row's values, some being credentials."""

    table: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class AccountDump:
    """The whole dump, in its order."""

    accounts: tuple[DumpAccount, ...]
    numbers: tuple[DumpNumber, ...]
    skipped: tuple[SkippedRow, ...] = ()


def read_accounts(source: Iterable[bytes] | BinaryIO) -> AccountDump:
    """The rows of account(id, auth_id, username) and phone_number(id, number, account_id).

    The order of the columns does not matter, nor do others beside them; rows without named columns are in the
    order above. Skipped are a row whose auth_id, username, number or account_id is null, empty or unusable, a
    number of a skipped account, and a number that its account has already, however spelled.
    Raises DumpError for a dump that cannot be read; for its first 20 faults together, each with its line:
    an id that is no integer or null, an id or username that came before, a number of an account that is not
    in the dump; and for a dump without accounts.
    """
    reader = _Rows()
    for row in parse(source, _COLUMNS):
        reader.add(row)
    return reader.finish()


class _UnusableRow(DumpError):
    """One row that says nothing about the soundness of the others."""


class _Rows:
    def __init__(self) -> None:
        self._accounts: list[DumpAccount] = []
        self._numbers: list[tuple[int, DumpNumber]] = []
        self._skipped: list[SkippedRow] = []
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
        except _UnusableRow as unusable:
            self._skipped.append(SkippedRow(row.table, unusable.line, unusable.reason))
        except DumpError as fault:
            self._note(fault)

    def finish(self) -> AccountDump:
        numbers = self._usable_numbers()
        if self._faults:
            raise _together(self._faults)
        if not any(table == "account" for table, _, _ in self._first_lines):
            raise DumpError(1, "the dump has no rows of the table account")
        skipped = sorted(self._skipped, key=lambda row: row.line)
        return AccountDump(tuple(self._accounts), tuple(numbers), tuple(skipped))

    def _usable_numbers(self) -> list[DumpNumber]:
        """The numbers of accounts that are kept, each once an account: first spelled, first served."""
        usable: list[DumpNumber] = []
        kept = {account.id for account in self._accounts}
        spelled_on: dict[tuple[int, str], int] = {}
        for line, number in self._numbers:
            spelling = (number.account_id, canonical(number.number))
            if number.account_id not in kept:
                self._leave(line, number)
            elif spelling in spelled_on:
                reason = f"phone_number.number is the one on line {spelled_on[spelling]}, which the account has already"
                self._skipped.append(SkippedRow("phone_number", line, reason))
            else:
                spelled_on[spelling] = line
                usable.append(number)
        return usable

    def _leave(self, line: int, number: DumpNumber) -> None:
        if ("account", "id", number.account_id) in self._first_lines:
            reason = "phone_number.account_id is that of an account that was skipped"
            self._skipped.append(SkippedRow("phone_number", line, reason))
        else:
            self._note(DumpError(line, f"phone_number.account_id {number.account_id} is no account's id"))

    def _add_account(self, row: Row) -> None:
        account_id = self._claim_id(row)
        auth_id, username = _text(row, "auth_id"), _text(row, "username")
        if not is_account_name(username):
            raise _UnusableRow(row.line, f"account.username cannot be used: {NAME_RULE}")
        self._claim(row, "username", username)
        self._accounts.append(DumpAccount(id=account_id, auth_id=auth_id, username=username))

    def _add_number(self, row: Row) -> None:
        number_id = self._claim_id(row)
        number, _ = _text(row, "number"), _text(row, "account_id")
        try:
            parse_inventory_value(number, field="number")
        except InvalidField as error:
            raise _UnusableRow(row.line, "phone_number.number is not a number of 6 to 20 digits") from error
        account_id = _integer(row, "account_id")
        self._numbers.append((row.line, DumpNumber(id=number_id, number=number, account_id=account_id)))

    def _claim_id(self, row: Row) -> int:
        value = _integer(row, "id")
        self._claim(row, "id", value)
        return value

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


def _value(row: Row, column: str) -> str | None:
    return row.values[row.columns.index(column)]


def _text(row: Row, column: str) -> str:
    value = _value(row, column)
    if not value:
        raise _UnusableRow(row.line, f"{row.table}.{column} is {'null' if value is None else 'empty'}")
    return value


def _integer(row: Row, column: str) -> int:
    value = _value(row, column)
    if value is None or not _INTEGER.fullmatch(value):
        raise DumpError(row.line, f"{row.table}.{column} is {'null' if value is None else 'not an integer'}")
    return int(value)
