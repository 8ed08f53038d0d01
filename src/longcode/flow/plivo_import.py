"""Accounts and numbers out of a PostgreSQL dump, brought into the product."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from longcode.encoding.account_dump import AccountDump
from longcode.errors import Duplicate
from longcode.flow.identity import hash_secret, matches
from longcode.store.accounts import AccountStore
from longcode.store.numbers import NumberStore


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
    """
    report = Report()
    ids: dict[int, int] = {}
    for row in dump.accounts:
        found = await accounts.secret(row.username)
        if found is None:
            ids[row.id] = (await accounts.create(row.username, await asyncio.to_thread(hash_secret, row.auth_id))).id
            report.accounts_added += 1
        else:
            ids[row.id] = found.account.id
            if await asyncio.to_thread(matches, found.secret_hash, row.auth_id):
                report.accounts_unchanged += 1
            else:
                await accounts.set_secret(found.account.id, await asyncio.to_thread(hash_secret, row.auth_id))
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
