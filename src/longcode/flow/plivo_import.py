"""Accounts and numbers out of a PostgreSQL dump, brought into the product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from longcode.domain.account import NAME_RULE, is_account_name
from longcode.domain.phone import parse_inventory_value
from longcode.encoding.account_dump import AccountDump
from longcode.errors import ConfigurationError, Duplicate, InvalidField
from longcode.flow.identity import hash_secret, matches
from longcode.store.accounts import AccountStore
from longcode.store.numbers import NumberStore

MOST_FAULTS = 20


@dataclass(slots=True)
class Report:
    """What an import did. conflicts: numbers that another account has, one sentence each."""

    accounts_added: int = 0
    accounts_changed: int = 0
    accounts_unchanged: int = 0
    numbers_added: int = 0
    numbers_unchanged: int = 0
    conflicts: list[str] = field(default_factory=list)


async def bring_in(
    dump: AccountDump, *, accounts: AccountStore, numbers: NumberStore, progress: Callable[[], None] = lambda: None
) -> Report:
    """Make each account with its auth_id as its secret, and assign each number; harmless when repeated.

    An account that exists gets the dump's secret; nothing is ever removed.
    Raises ConfigurationError, and stores nothing, for usernames and numbers that could never be used.
    """
    _refuse_unusable(dump)
    report = Report()
    ids: dict[int, int] = {}
    for row in dump.accounts:
        found = await accounts.secret(row.username)
        if found is None:
            ids[row.id] = (await accounts.create(row.username, hash_secret(row.auth_id))).id
            report.accounts_added += 1
        else:
            ids[row.id] = found.account.id
            if matches(found.secret_hash, row.auth_id):
                report.accounts_unchanged += 1
            else:
                await accounts.set_secret(found.account.id, hash_secret(row.auth_id))
                report.accounts_changed += 1
        progress()
    for number in dump.numbers:
        try:
            added = await numbers.assign(ids[number.account_id], number.number)
        except Duplicate as error:
            report.conflicts.append(f"{number.number}: {error}")
        else:
            report.numbers_added += added
            report.numbers_unchanged += not added
        progress()
    return report


def _refuse_unusable(dump: AccountDump) -> None:
    faults = [f"account {row.id}: {NAME_RULE}" for row in dump.accounts if not is_account_name(row.username)]
    for number in dump.numbers:
        try:
            parse_inventory_value(number.number, field="number")
        except InvalidField:
            faults.append(f"phone_number {number.id}: {number.number!r} is not a number")
    if faults:
        raise ConfigurationError(faults[:MOST_FAULTS])
