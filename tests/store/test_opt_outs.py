"""The ledger of opt-outs and its history, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from longcode.domain.account import Account
from longcode.domain.clock import mint_id, utc_now
from longcode.store.accounts import AccountStore
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.lookups import Lookups
from longcode.store.opt_outs import IMPORT, KEYWORD, OptOut, OptOutStore, opt_in

ANNA, BERT = "12025550101", "12025550102"
OURS, OURS_TOO = "12025550190", "12025550191"
LATELY = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of two accounts."""

    database: Database
    store: OptOutStore
    one: Account
    two: Account

    async def kept_apart(self) -> set[tuple[int, str, str]]:
        """Which of our senders may not write to whom."""
        parties = {
            (account.id, sender, recipient)
            for account in (self.one, self.two)
            for sender in (OURS, OURS_TOO)
            for recipient in (ANNA, BERT)
        }
        return (await IntakeStore(self.database).preflight(Lookups(parties=parties))).opted_out

    async def changes(self, recipient: str) -> list[tuple[str, str | None, str]]:
        return [(event.change, event.sender, event.source) for event in await self.store.history(recipient, count=100)]


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    database = Database(database_url)
    accounts = AccountStore(database, utc_now)
    one, two = await accounts.create("one", ""), await accounts.create("two", "")
    yield Ledger(database, OptOutStore(database, utc_now), one, two)
    await database.close()


async def test_an_opt_out_keeps_one_number_or_the_whole_account_from_writing(ledger: Ledger) -> None:
    assert await ledger.store.add(ledger.one.id, ANNA, source="operator", sender=OURS)
    assert await ledger.store.add(ledger.two.id, BERT, source="operator")
    assert await ledger.kept_apart() == {
        (ledger.one.id, OURS, ANNA),
        (ledger.two.id, OURS, BERT),
        (ledger.two.id, OURS_TOO, BERT),
    }


async def test_what_is_there_already_is_kept_as_it_is_and_leaves_no_trace(ledger: Ledger) -> None:
    assert await ledger.store.add(ledger.one.id, ANNA, source="operator")
    assert not await ledger.store.add(ledger.one.id, ANNA, source="api")
    assert await ledger.changes(ANNA) == [("created", None, "operator")]
    assert await ledger.store.remove(ledger.one.id, BERT, source="operator") == 0
    assert await ledger.changes(BERT) == []


async def test_to_lift_everything_is_one_step_and_each_opt_out_has_its_line(ledger: Ledger) -> None:
    for sender in (None, OURS, OURS_TOO):
        await ledger.store.add(ledger.one.id, ANNA, source="operator", sender=sender)
    await ledger.store.add(ledger.two.id, ANNA, source="operator")
    assert await ledger.store.remove(ledger.one.id, ANNA, source="operator", sender=OURS) == 1
    assert await ledger.store.remove(ledger.one.id, ANNA, source="api") == 2
    assert await ledger.kept_apart() == {(ledger.two.id, sender, ANNA) for sender in (OURS, OURS_TOO)}
    history = await ledger.store.history(ANNA, account_id=ledger.one.id, count=10)
    assert [(event.change, event.sender, event.source) for event in history[3:]] == [
        ("removed", OURS, "operator"),
        ("removed", None, "api"),
        ("removed", OURS_TOO, "api"),
    ]
    assert [event.id for event in await ledger.store.history(ANNA, after=history[-2].id, count=1)] == [history[-1].id]


async def test_a_return_by_keyword_lifts_that_number_and_the_account_but_no_other_number(ledger: Ledger) -> None:
    for sender in (None, OURS, OURS_TOO):
        await ledger.store.add(ledger.one.id, ANNA, source="operator", sender=sender)
    message_id = mint_id()
    asked = OptOut(
        account_id=ledger.one.id,
        sender=OURS,
        recipient=ANNA,
        source=KEYWORD,
        created_at=LATELY,
        keyword="start",
        message_id=message_id,
    )
    async with ledger.database.write() as connection:
        assert await opt_in(connection, asked)
    async with ledger.database.write() as connection:
        assert not await opt_in(connection, asked)
    assert await ledger.kept_apart() == {(ledger.one.id, OURS_TOO, ANNA)}
    events = (await ledger.store.history(ANNA, count=10))[3:]
    assert [(event.sender, event.keyword, event.message_id, event.at) for event in events] == [
        (None, "start", message_id, LATELY),
        (OURS, "start", message_id, LATELY),
    ]


async def test_a_file_of_any_length_is_kept_and_its_repetition_changes_nothing(ledger: Ledger) -> None:
    wanted = [
        OptOut(
            account_id=ledger.one.id,
            sender=sender,
            recipient=f"1202555{n:04}",
            source=IMPORT,
            created_at=LATELY - timedelta(days=n),
        )
        for n in range(600)
        for sender in (None, OURS)
    ]
    assert await ledger.store.add_many([*wanted, wanted[0]]) == 1200
    assert await ledger.store.add_many(wanted) == 0
    pages, after = [], ("", "")
    while page := await ledger.store.page(ledger.one.id, after=after, count=501):
        pages += page
        after = (page[-1].recipient, page[-1].sender or "")
    assert pages == wanted
    assert await ledger.store.page(ledger.two.id, count=9) == []


async def test_of_two_at_once_one_adds(ledger: Ledger) -> None:
    added = await asyncio.gather(*(ledger.store.add(ledger.one.id, ANNA, source=str(n), sender=OURS) for n in range(9)))
    assert sorted(added) == [False] * 8 + [True]
    assert len(await ledger.changes(ANNA)) == 1
