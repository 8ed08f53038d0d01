"""How long a page of each list takes in a database with a million messages, on both databases.

    python -m benchmarks.lists

The first page, and one in the middle by its cursor, of the account that has most of everything; one call at a time.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from longcode.domain.message import Status
from longcode.store.commit_order import START
from longcode.store.commit_order import Place as Commit
from longcode.store.conversations import Position, Side
from longcode.store.database import Database
from longcode.store.leftovers import ReceiptPlace
from longcode.store.message_lists import MessageLists, Place, Wanted
from longcode.store.migrate import migrate
from tests.million import HOT_NUMBER, HUGE, MESSAGES, fill
from tests.services.postgresql import postgresql
from tests.store.million_cases import Stores

CALLS: Final = 200
PAGE: Final = 50
MIDDLE: Final = MESSAGES // 2

Ask = Callable[[Stores], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Listing:
    """A kind of list: how its first page is asked for, and one in its middle."""

    name: str
    first: Ask
    deep: Ask


def _messages(name: str, wanted: Wanted) -> Listing:
    """A list of messages, as the native API has it: a page looks at 5,000 of them at most."""
    by_time = wanted.sender is not None or wanted.party is not None

    def page(s: Stores, after: Place | None) -> Awaitable[Any]:
        return MessageLists(s.database).page(HUGE, wanted, after=after, count=PAGE)

    def middle(s: Stores) -> Place:
        return Place(int(s.place.at(MIDDLE).timestamp()) if by_time else 0, s.place.id(MIDDLE))

    return Listing(name, lambda s: page(s, None), lambda s: page(s, middle(s)))


LISTINGS: Final = (
    _messages("messages", Wanted()),
    _messages("messages that failed (few)", Wanted(status=Status.FAILED)),
    _messages("messages of a party", Wanted(party=HOT_NUMBER)),
    _messages("messages of a reference", Wanted(reference="campaign")),
    Listing(
        "conversation",
        lambda s: s.conversations.before(HUGE, HOT_NUMBER, None, count=PAGE),
        lambda s: s.conversations.before(
            HUGE, HOT_NUMBER, Position(int(s.place.at(MIDDLE).timestamp()), s.place.id(MIDDLE), Side.SENT), count=PAGE
        ),
    ),
    Listing(
        "numbers of conversations",
        lambda s: s.conversations.numbers(HUGE, count=PAGE),
        lambda s: s.conversations.numbers(HUGE, after="+447700930000", count=PAGE),
    ),
    Listing(
        "mailbox",
        lambda s: s.boxes.page(HUGE, "alice", after=START, count=PAGE),
        lambda s: s.boxes.page(HUGE, "alice", after=Commit(MIDDLE // 4000, s.place.id(MIDDLE)), count=PAGE),
    ),
    Listing(
        "event stream",
        lambda s: s.events.page(HUGE, after=START, count=PAGE),
        lambda s: s.events.page(HUGE, after=Commit(MIDDLE // 4000, s.place.id(MIDDLE, "7003")), count=PAGE),
    ),
    Listing(
        "deliveries of a webhook",
        lambda s: s.webhooks.attempts(1, count=PAGE),
        lambda s: s.webhooks.attempts(1, before=s.place.id(MIDDLE, "7004"), count=PAGE),
    ),
    Listing(
        "opt-outs",
        lambda s: s.opt_outs.page(HUGE, count=PAGE),
        lambda s: s.opt_outs.page(HUGE, after=("441050000", ""), count=PAGE),
    ),
    Listing(
        "numbers",
        lambda s: s.numbers.page(HUGE, count=PAGE),
        lambda s: s.numbers.page(HUGE, after=1500, count=PAGE),
    ),
    Listing(
        "unmatched receipts",
        lambda s: s.leftovers.receipts(count=PAGE, unmatched=True),
        lambda s: s.leftovers.receipts(
            count=PAGE, unmatched=True, before=ReceiptPlace(s.place.at(MIDDLE), s.place.id(MIDDLE, "7002"))
        ),
    ),
)


async def measure(url: str) -> None:
    """Fill a new database, and print a line for each list."""
    empty = Database(url)
    await migrate(empty)
    await empty.close()
    started = time.perf_counter()
    place = await fill(url)
    database = Database(url)
    stores = Stores(database, place)
    print(f"{database.engine.dialect.name}: filled in {time.perf_counter() - started:.0f} s")
    for listing in LISTINGS:
        pages = [await _figures(stores, ask) for ask in (listing.first, listing.deep)]
        print(f"{listing.name:<28} first {pages[0]}   deep {pages[1]}")
    await database.close()


async def _figures(stores: Stores, ask: Ask) -> str:
    taken = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        await ask(stores)
        taken.append(1000 * (time.perf_counter() - begun))
    taken.sort()
    return f"p50 {taken[CALLS // 2]:6.2f} ms  p99 {taken[int(0.99 * CALLS)]:6.2f} ms"


async def _on_postgresql() -> None:
    with postgresql() as server:
        await measure(await server.create_database("longcode"))


def run() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(measure(f"sqlite:///{folder}/longcode.db"))
    uvloop.run(_on_postgresql())


if __name__ == "__main__":
    run()
