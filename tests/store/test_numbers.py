from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from longcode.domain.phone import digits_of
from longcode.errors import Duplicate, NotFound
from longcode.store import schema
from longcode.store.catalog import CatalogStore
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.lookups import Lookups, Owner
from longcode.store.migrate import migrate
from longcode.store.numbers import Change, Draft, Listed, Number, NumberStore, Order, SortKey

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
OURS, THEIRS, NOBODYS = 1, 2, 3
VALUE, RESPELLED, DIGITS = "+1 (202) 555-0101", "+12025550101", "12025550101"
OTHER, OTHER_DIGITS = "+12025550102", "12025550102"
DRAFT = Draft(value=VALUE, monthly_price=Decimal("0.03"), setup_price=Decimal("3.40"), currency="U$")
HIGHEST_ID = 10**18 - 1
BY_ID = Order()


def clock() -> datetime:
    return NOW


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await migrate(database)
    async with database.write() as connection:
        for name in ("ours", "theirs"):
            await connection.execute(insert(schema.account).values(name=name, secret_hash="-", created_at=NOW))
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> NumberStore:
    return NumberStore(database, clock)


async def owner(database: Database, digits: str = DIGITS) -> Owner | None:
    """Whom accept takes for the number's owner."""
    known = await IntakeStore(database).preflight(Lookups(numbers={digits}))
    return known.owners.get(digits)


async def whole(store: NumberStore, account_id: int = OURS, search: str = "") -> Listed:
    return await store.listed(account_id, search=search, order=BY_ID, offset=0, limit=100)


async def test_a_number_is_kept_as_it_was_said(store: NumberStore) -> None:
    added = await store.add(OURS, DRAFT)

    assert (added.value, added.monthly_price, added.setup_price) == (VALUE, Decimal("0.03"), Decimal("3.40"))
    assert (added.currency, added.assigned) == ("U$", False)
    assert await store.get(OURS, added.id) == added
    assert await whole(store) == Listed([added], 1)


async def test_prices_are_exact_up_to_the_highest(store: NumberStore) -> None:
    highest = Decimal("99999999.99")
    added = await store.add(OURS, replace(DRAFT, monthly_price=highest, setup_price=Decimal("0.00")))
    assert str((await store.get(OURS, added.id)).monthly_price) == str(highest)
    assert str((await store.get(OURS, added.id)).setup_price) == "0.00"


async def test_replace_changes_all_and_change_only_what_is_said(store: NumberStore) -> None:
    added = await store.add(OURS, DRAFT)
    other = Draft(value=OTHER, monthly_price=Decimal("1.00"), setup_price=Decimal("2.00"), currency="€")

    replaced = await store.replace(OURS, added.id, other)
    assert replaced == replace(
        added, value=OTHER, monthly_price=Decimal("1.00"), setup_price=Decimal("2.00"), currency="€"
    )

    changed = await store.change(OURS, added.id, Change(setup_price=Decimal("0.00")))
    assert changed == replace(replaced, setup_price=Decimal("0.00"))
    assert await store.change(OURS, added.id, Change()) == changed
    assert await store.get(OURS, added.id) == changed
    assert (await whole(store, search=OTHER_DIGITS)).count == 1


async def test_digits_are_unique_within_an_account_and_not_beyond(store: NumberStore) -> None:
    added = await store.add(OURS, DRAFT)
    other = await store.add(OURS, replace(DRAFT, value=OTHER))
    assert (await store.add(THEIRS, DRAFT)).value == VALUE

    with pytest.raises(Duplicate):
        await store.add(OURS, replace(DRAFT, value=RESPELLED))
    with pytest.raises(Duplicate):
        await store.change(OURS, other.id, Change(value=RESPELLED))
    with pytest.raises(Duplicate):
        await store.replace(OURS, other.id, replace(DRAFT, value=RESPELLED, currency="R$"))

    assert await whole(store) == Listed([added, other], 2)
    assert (await store.change(OURS, added.id, Change(value=RESPELLED))).value == RESPELLED


@dataclass(frozen=True)
class Deed:
    """Something that a tenant does to a number that may not be theirs."""

    name: str
    do: Callable[[NumberStore, int, int], Awaitable[Any]]


DEEDS = (
    Deed("get", lambda store, account_id, id_: store.get(account_id, id_)),
    Deed("replace", lambda store, account_id, id_: store.replace(account_id, id_, DRAFT)),
    Deed("change", lambda store, account_id, id_: store.change(account_id, id_, Change(currency="R$"))),
    Deed("change nothing", lambda store, account_id, id_: store.change(account_id, id_, Change())),
    Deed("delete", lambda store, account_id, id_: store.delete(account_id, id_)),
)


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.name)
async def test_anothers_number_is_as_unknown_as_none(store: NumberStore, deed: Deed) -> None:
    added = await store.add(OURS, DRAFT)
    for account_id, number_id in ((THEIRS, added.id), (OURS, added.id + 1), (OURS, HIGHEST_ID), (OURS, 0)):
        with pytest.raises(NotFound, match="no such number"):
            await deed.do(store, account_id, number_id)
    assert await store.get(OURS, added.id) == added
    assert await whole(store, THEIRS) == Listed([], 0)


async def test_an_id_never_comes_back(store: NumberStore) -> None:
    added = await store.add(OURS, DRAFT)
    await store.delete(OURS, added.id)
    with pytest.raises(NotFound):
        await store.delete(OURS, added.id)
    assert (await store.add(OURS, DRAFT)).id > added.id


async def test_of_twenty_parallel_adds_one_succeeds(store: NumberStore) -> None:
    drafts = [replace(DRAFT, value=VALUE if turn % 2 else RESPELLED) for turn in range(20)]
    results = await asyncio.gather(*(store.add(OURS, draft) for draft in drafts), return_exceptions=True)
    assert [type(result) for result in results].count(Duplicate) == 19, results
    assert (await whole(store)).count == 1


async def test_numbers_that_swap_their_digits_at_once_neither_hang_nor_break(store: NumberStore) -> None:
    first, second = await store.add(OURS, DRAFT), await store.add(OURS, replace(DRAFT, value=OTHER))
    for _ in range(5):
        swaps = (store.change(OURS, first.id, Change(value=OTHER)), store.change(OURS, second.id, Change(value=VALUE)))
        results = await asyncio.gather(*swaps, return_exceptions=True)
        assert [type(result) for result in results] == [Duplicate, Duplicate], results


# What is assigned ---------------------------------------------------------------------------------------------


async def test_the_operator_creates_a_number_that_routes(store: NumberStore, database: Database) -> None:
    assert await store.assign(OURS, VALUE)

    assert await owner(database) == Owner(OURS, VALUE)
    (number,) = (await whole(store)).numbers
    assert (str(number.monthly_price), str(number.setup_price), number.currency) == ("0.00", "0.00", "U$")
    assert number.assigned


async def test_the_operator_takes_the_row_that_the_account_has(store: NumberStore, database: Database) -> None:
    added = await store.add(OURS, DRAFT)
    assert await owner(database) is None

    assert await store.assign(OURS, RESPELLED)

    assert await whole(store) == Listed([replace(added, value=RESPELLED, assigned=True)], 1)
    assert await owner(database) == Owner(OURS, RESPELLED)


async def test_assigning_again_changes_nothing_but_the_spelling(store: NumberStore, database: Database) -> None:
    assert await store.assign(OURS, VALUE)
    version = await CatalogStore(database, clock).version()
    assert not await store.assign(OURS, VALUE)
    assert await CatalogStore(database, clock).version() == version
    assert await store.assign(OURS, RESPELLED)
    assert await owner(database) == Owner(OURS, RESPELLED)


async def test_a_number_is_assigned_to_one_account_only(store: NumberStore, database: Database) -> None:
    await store.assign(OURS, VALUE)
    typed = await store.add(THEIRS, DRAFT)

    for value in (VALUE, RESPELLED):
        with pytest.raises(Duplicate, match="another account"):
            await store.assign(THEIRS, value)

    assert not (await store.get(THEIRS, typed.id)).assigned
    assert await owner(database) == Owner(OURS, VALUE)


async def test_an_account_that_does_not_exist_is_assigned_nothing(store: NumberStore) -> None:
    with pytest.raises(NotFound, match="account"):
        await store.assign(NOBODYS, VALUE)
    with pytest.raises(NotFound, match="account"):
        await store.add(NOBODYS, DRAFT)


async def test_accounts_that_want_one_number_at_once_do_not_share_it(store: NumberStore, database: Database) -> None:
    wishes = [store.assign(account_id, VALUE) for account_id in (OURS, THEIRS) for _ in range(5)]
    results = await asyncio.gather(*wishes, return_exceptions=True)
    assert [type(result) for result in results].count(Duplicate) == 5, results
    assert results.count(True) == 1
    assert results.count(False) == 4
    assert await owner(database) is not None


async def test_a_number_that_is_typed_and_assigned_at_once_is_assigned(store: NumberStore, database: Database) -> None:
    for turn in range(10):
        value = f"+1202555011{turn}"
        typing = store.add(OURS, replace(DRAFT, value=value))
        typed, assigned = await asyncio.gather(typing, store.assign(OURS, value), return_exceptions=True)
        assert isinstance(typed, Number | Duplicate), typed
        assert assigned is True
        assert await owner(database, digits_of(value)) == Owner(OURS, value)


async def test_a_number_taken_back_stays_in_the_inventory(store: NumberStore, database: Database) -> None:
    await store.assign(OURS, VALUE)
    for account_id in (THEIRS, NOBODYS):
        with pytest.raises(NotFound):
            await store.release(account_id, VALUE)

    await store.release(OURS, RESPELLED)

    assert await owner(database) is None
    assert [number.assigned for number in (await whole(store)).numbers] == [False]
    with pytest.raises(NotFound):
        await store.release(OURS, VALUE)
    assert await store.assign(THEIRS, VALUE)


async def test_other_digits_cost_a_number_its_assignment(store: NumberStore, database: Database) -> None:
    await store.assign(OURS, VALUE)
    (number,) = (await whole(store)).numbers

    respelled = await store.change(OURS, number.id, Change(value=RESPELLED))
    assert respelled.assigned
    assert await owner(database) == Owner(OURS, RESPELLED)

    changed = await store.change(OURS, number.id, Change(value=OTHER))
    assert not changed.assigned
    assert await owner(database) is None
    assert await owner(database, OTHER_DIGITS) is None

    back = await store.replace(OURS, number.id, replace(DRAFT, value=VALUE))
    assert not back.assigned


async def test_a_refused_change_leaves_the_assignment(store: NumberStore, database: Database) -> None:
    await store.assign(OURS, VALUE)
    (number,) = (await whole(store)).numbers
    await store.add(OURS, replace(DRAFT, value=OTHER))
    with pytest.raises(Duplicate):
        await store.change(OURS, number.id, Change(value=OTHER))
    assert await owner(database) == Owner(OURS, VALUE)


async def test_a_deleted_number_is_released(store: NumberStore, database: Database) -> None:
    await store.assign(OURS, VALUE)
    (number,) = (await whole(store)).numbers
    await store.delete(OURS, number.id)
    assert await owner(database) is None
    assert await store.assign(THEIRS, VALUE)


@dataclass(frozen=True)
class Bump:
    """Whether a deed on the account's number moves the catalogue on."""

    name: str
    do: Callable[[NumberStore, int], Awaitable[Any]]
    assigned: bool
    bumps: bool


BUMPS = (
    Bump("assign a new one", lambda store, _: store.assign(OURS, OTHER), False, True),
    Bump("assign what was typed", lambda store, _: store.assign(OURS, VALUE), False, True),
    Bump("release", lambda store, _: store.release(OURS, VALUE), True, True),
    Bump("delete an assigned one", lambda store, id_: store.delete(OURS, id_), True, True),
    Bump("respell an assigned one", lambda store, id_: store.change(OURS, id_, Change(value=RESPELLED)), True, True),
    Bump("renumber an assigned one", lambda store, id_: store.change(OURS, id_, Change(value=OTHER)), True, True),
    Bump("price an assigned one", lambda store, id_: store.change(OURS, id_, Change(currency="€")), True, False),
    Bump("replace an assigned one by itself", lambda store, id_: store.replace(OURS, id_, DRAFT), True, False),
    Bump("add one", lambda store, _: store.add(OURS, replace(DRAFT, value=OTHER)), False, False),
    Bump("renumber one", lambda store, id_: store.change(OURS, id_, Change(value=OTHER)), False, False),
    Bump("delete one", lambda store, id_: store.delete(OURS, id_), False, False),
)


@pytest.mark.parametrize("case", BUMPS, ids=lambda case: case.name)
async def test_the_catalogue_moves_on_with_what_routes(store: NumberStore, database: Database, case: Bump) -> None:
    added = await store.add(OURS, DRAFT)
    if case.assigned:
        await store.assign(OURS, VALUE)
    catalog = CatalogStore(database, clock)
    before = await catalog.version()
    await case.do(store, added.id)
    assert (await catalog.version() > before) is case.bumps


# Lists --------------------------------------------------------------------------------------------------------

LISTED = (
    ("+55 84 91234-4321", "0.03", "3.40", "U$"),
    ("(202) 555-0101", "10.00", "0.00", "R$"),
    ("202.555.0102", "2.00", "3.40", "U$"),
    ("+12025550103", "2.00", "100.00", "€"),
    ("4924195509198", "0.03", "20.00", "U$"),
)


async def fill(store: NumberStore, account_id: int = OURS) -> None:
    for value, monthly, setup, currency in LISTED:
        draft = Draft(value=value, monthly_price=Decimal(monthly), setup_price=Decimal(setup), currency=currency)
        await store.add(account_id, draft)


async def places(store: NumberStore, *, search: str = "", order: Order = BY_ID) -> list[int]:
    """Where in LISTED what was found stands, in the order of the answer."""
    listed = await store.listed(OURS, search=search, order=order, offset=0, limit=100)
    assert listed.count == len(listed.numbers)
    values = [row[0] for row in LISTED]
    return [values.index(number.value) for number in listed.numbers]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (SortKey.ID, [0, 1, 2, 3, 4]),
        (SortKey.MONTHLY_PRICE, [0, 4, 2, 3, 1]),
        (SortKey.SETUP_PRICE, [1, 0, 2, 4, 3]),
        (SortKey.CURRENCY, [1, 0, 2, 4, 3]),
    ],
)
async def test_a_list_is_sorted_by_one_thing_then_by_id(store: NumberStore, key: SortKey, expected: list[int]) -> None:
    await fill(store)
    assert await places(store, order=Order(key)) == expected
    assert await places(store, order=Order(key, descending=True)) == expected[::-1]


async def test_a_list_is_sorted_by_value(store: NumberStore) -> None:
    await fill(store)
    ascending = await places(store, order=Order(SortKey.VALUE))
    assert sorted(ascending) == [0, 1, 2, 3, 4]
    assert await places(store, order=Order(SortKey.VALUE, descending=True)) == ascending[::-1]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        pytest.param("", [0, 1, 2, 3, 4], id="nothing finds all"),
        pytest.param("91234-4321", [0], id="a part of the value"),
        pytest.param("912344321", [0], id="a part of the digits"),
        pytest.param("202-555", [1, 2, 3], id="a part of the digits in another spelling"),
        pytest.param("+1 (202) 555-0103", [3], id="all of the digits in another spelling"),
        pytest.param(" 12025550103", [3], id="a plus sign that its link did not escape"),
        pytest.param("+", [0, 3], id="a plus sign alone"),
        pytest.param("(202)", [1, 2, 3], id="parentheses"),
        pytest.param("%", [], id="no pattern: a percent sign"),
        pytest.param("2_2", [], id="no pattern: an underscore"),
        pytest.param("/", [], id="no pattern: the sign that escapes"),
        pytest.param("\\", [], id="no pattern: a backslash"),
        pytest.param("x2", [], id="digits among letters are not a number"),
        pytest.param("' OR 1=1 --", [], id="no SQL"),
        pytest.param("٢٠٢", [], id="digits of another script"),
        pytest.param("9" * 64, [], id="longer than any"),
    ],
)
async def test_a_search_finds(store: NumberStore, search: str, expected: list[int]) -> None:
    await fill(store)
    await fill(store, THEIRS)
    assert await places(store, search=search) == expected


async def test_stretches_join_to_the_whole_and_end(store: NumberStore) -> None:
    await fill(store)
    all_of_it = (await whole(store)).numbers
    for limit in (1, 2, 3, 5, 100):
        joined = []
        for offset in range(0, 5, limit):
            listed = await store.listed(OURS, search="", order=BY_ID, offset=offset, limit=limit)
            assert listed.count == 5
            joined += listed.numbers
        assert joined == all_of_it
    for offset in (5, 2**31, 2**63 - 1, 2**70):
        assert await store.listed(OURS, search="", order=BY_ID, offset=offset, limit=20) == Listed([], 5)


async def test_pages_join_to_the_whole_and_hold_nobody_elses(store: NumberStore) -> None:
    await fill(store)
    await fill(store, THEIRS)
    joined: list[Number] = []
    while page := await store.page(OURS, after=joined[-1].id if joined else 0, count=2):
        joined += page
    assert joined == (await whole(store)).numbers
