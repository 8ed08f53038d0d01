"""The number inventory: what accounts type into it, and what the operator assigns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock
from longcode.domain.phone import canonical, digits_of
from longcode.errors import Duplicate, NotFound
from longcode.store import schema
from longcode.store.database import Database, is_taken_name
from longcode.store.versions import bump_version

# What a number costs that the operator put there: nothing, until its account says otherwise.
OPERATOR_PRICE: Final = Decimal("0.00")
OPERATOR_CURRENCY: Final = "U$"

_table: Final = schema.number
_COLUMNS: Final = (
    _table.c.id,
    _table.c.value,
    _table.c.monthly_price,
    _table.c.setup_price,
    _table.c.currency,
    _table.c.assigned,
)


@dataclass(frozen=True, slots=True)
class Number:
    """One number of an account's inventory.

    value: verbatim. assigned: by the operator; only then does it route.
    """

    id: int
    value: str
    monthly_price: Decimal
    setup_price: Decimal
    currency: str
    assigned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Everything that an account says of a number, checked."""

    value: str
    monthly_price: Decimal
    setup_price: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an account wants changed of a number, checked; None leaves it as it is."""

    value: str | None = None
    monthly_price: Decimal | None = None
    setup_price: Decimal | None = None
    currency: str | None = None


class SortKey(Enum):
    """What a list may be sorted by: columns of the table."""

    ID = "id"
    VALUE = "value"
    MONTHLY_PRICE = "monthly_price"
    SETUP_PRICE = "setup_price"
    CURRENCY = "currency"


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted; equals by id. Descending is the exact reverse of ascending."""

    key: SortKey = SortKey.ID
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A stretch of a list, and how many numbers the whole of it has."""

    numbers: list[Number]
    count: int


class NumberStore:
    """The numbers of all accounts. An account never reaches another's: to it they are NotFound."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def listed(self, account_id: int, *, search: str, order: Order, offset: int, limit: int) -> Listed:
        """The numbers from offset on, at most limit.

        search: a part of the value; or, in any spelling, of its digits. "" finds all.
        """
        wanted = _matching(account_id, search)
        column = _table.c[order.key.value]
        by = (_table.c.account_id, column, _table.c.id)
        query = (
            select(*_COLUMNS)
            .where(wanted)
            .order_by(*((part.desc() for part in by) if order.descending else by))
            .limit(limit)
        )
        async with self._database.read() as connection:
            counted = await connection.execute(select(func.count()).select_from(_table).where(wanted))
            count: int = counted.scalar_one()
            if offset >= count:  # also keeps offsets from the database that it has no integers for
                return Listed([], count)
            rows = await connection.execute(query.offset(offset))
            return Listed([_number(row) for row in rows], count)

    async def page(
        self, account_id: int, *, after: int = 0, count: int, search: str = "", assigned: bool | None = None
    ) -> list[Number]:
        """An account's numbers by id; after: the id that ended the page before. search: as in `listed`."""
        mine = select(*_COLUMNS).where(_matching(account_id, search), _table.c.id > after)
        if assigned is not None:
            mine = mine.where(_table.c.assigned.is_(assigned))
        async with self._database.read() as connection:
            rows = await connection.execute(mine.order_by(_table.c.account_id, _table.c.id).limit(count))
            return [_number(row) for row in rows]

    async def get(self, account_id: int, number_id: int) -> Number:
        """One number. Raises NotFound."""
        async with self._database.read() as connection:
            return _number(await _one(connection, account_id, number_id))

    async def add(self, account_id: int, draft: Draft) -> Number:
        """Add a number; it routes nothing. Raises Duplicate where the account has its digits already."""
        values = self._row(account_id, draft, assigned=False)
        async with self._database.write() as connection:
            await _hold_account(connection, account_id)
            with _taken_is_duplicate("this number exists already"):
                rows = await connection.execute(insert(_table).values(values).returning(*_COLUMNS))
            return _number(rows.one())

    async def replace(self, account_id: int, number_id: int, draft: Draft) -> Number:
        """Change all that the account says of a number; otherwise as `change`."""
        return await self._update(account_id, number_id, _said(draft))

    async def change(self, account_id: int, number_id: int, change: Change) -> Number:
        """Change some of it.

        An assigned number that gets other digits is assigned no more: what an account types routes nothing.
        Raises NotFound; Duplicate where another number of the account has the new digits.
        """
        return await self._update(account_id, number_id, _said(change))

    async def delete(self, account_id: int, number_id: int) -> None:
        """Delete a number; an assigned one is thereby released. Raises NotFound."""
        async with self._database.write() as connection:
            gone = await connection.execute(
                delete(_table).where(*_key(account_id, number_id)).returning(_table.c.assigned)
            )
            assigned = gone.scalar_one_or_none()
            if assigned is None:
                raise NotFound("there is no such number")
            if assigned:
                await bump_version(connection)

    async def assign(self, account_id: int, value: str, *, new: Draft | None = None) -> bool:
        """Let the account own the number, spelled as value; whether that changed anything.

        Takes the account's own row where it has one with these digits, and makes one where it has none.
        new: what that one is like. value: with 1 to 20 digits, 64 characters at most.
        Raises NotFound for an unknown account, Duplicate where another account owns the digits.
        """
        async with self._database.write() as connection:
            await _hold_account(connection, account_id)
            row = await _by_digits(connection, account_id, value)
            if row is not None and row.assigned and row.value == value:
                return False
            with _taken_is_duplicate("the number is assigned to another account"):
                if row is None:
                    draft = new or Draft(
                        value=value,
                        monthly_price=OPERATOR_PRICE,
                        setup_price=OPERATOR_PRICE,
                        currency=OPERATOR_CURRENCY,
                    )
                    await connection.execute(insert(_table).values(self._row(account_id, draft, assigned=True)))
                else:
                    taken = update(_table).where(_table.c.id == row.id)
                    await connection.execute(taken.values(value=value, assigned=True))
            await bump_version(connection)
            return True

    async def release(self, account_id: int, value: str) -> None:
        """Take the number back; the account keeps its row. Raises NotFound where it is not assigned to it."""
        async with self._database.write() as connection:
            row = await _by_digits(connection, account_id, value)
            if row is None or not row.assigned:
                raise NotFound("the number is not assigned to this account")
            await connection.execute(update(_table).where(_table.c.id == row.id).values(assigned=False))
            await bump_version(connection)

    async def _update(self, account_id: int, number_id: int, said: dict[str, Any]) -> Number:
        async with self._database.write() as connection:
            await _hold_account(connection, account_id)
            row = await _one(connection, account_id, number_id, lock=True)
            if not said:
                return _number(row)
            changed = dict(said)
            respelled = row.assigned and said.get("value", row.value) != row.value
            if respelled and said["digits"] != digits_of(row.value):
                changed["assigned"] = False
            statement = update(_table).where(*_key(account_id, number_id)).values(changed).returning(*_COLUMNS)
            with _taken_is_duplicate("this number exists already"):
                number = _number((await connection.execute(statement)).one())
            if respelled:
                await bump_version(connection)
            return number

    def _row(self, account_id: int, draft: Draft, *, assigned: bool) -> dict[str, Any]:
        return {**_said(draft), "account_id": account_id, "assigned": assigned, "created_at": self._clock()}


def _said(of: Draft | Change) -> dict[str, Any]:
    """The columns that are said; digits follow value."""
    said = {
        "value": of.value,
        "digits": None if of.value is None else digits_of(of.value),
        "monthly_price": of.monthly_price,
        "setup_price": of.setup_price,
        "currency": of.currency,
    }
    return {name: value for name, value in said.items() if value is not None}


def _key(account_id: int, number_id: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _table.c.id == number_id, _table.c.account_id == account_id


def _matching(account_id: int, search: str) -> ColumnElement[bool]:
    # A range of one, because PostgreSQL drops from an order what it knows to be equal, and may then walk the
    # primary key through everybody's rows rather than the account's own index.
    mine = _table.c.account_id.between(account_id, account_id)
    if not search:
        return mine
    return mine & or_(
        _table.c.value.contains(search, autoescape=True),
        _table.c.digits.contains(canonical(search), autoescape=True),
    )


async def _hold_account(connection: AsyncConnection, account_id: int) -> None:
    """Let whoever writes digits of this account go one after the other. Raises NotFound for an unknown account.

    Without it two of them could each wait for what the other is about to make unique.
    """
    held = select(schema.account.c.id).where(schema.account.c.id == account_id).with_for_update(key_share=True)
    if (await connection.execute(held)).one_or_none() is None:
        raise NotFound("there is no such account")


async def _one(
    connection: AsyncConnection, account_id: int, number_id: int, *, lock: bool = False
) -> Row[*tuple[Any, ...]]:
    """The row of an account's number, held until the end of the transaction if lock. Raises NotFound."""
    query = select(*_COLUMNS).where(*_key(account_id, number_id))
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("there is no such number")
    return row


async def _by_digits(connection: AsyncConnection, account_id: int, value: str) -> Row[*tuple[Any, ...]] | None:
    """The account's row with these digits, if any, held until the end of the transaction."""
    query = select(*_COLUMNS).where(_table.c.account_id == account_id, _table.c.digits == digits_of(value))
    return (await connection.execute(query.with_for_update())).one_or_none()


@contextmanager
def _taken_is_duplicate(sentence: str) -> Iterator[None]:
    """Let the constraints decide, since what was looked up may change before it is written."""
    try:
        yield
    except IntegrityError as error:
        if is_taken_name(error):
            raise Duplicate(sentence) from error
        raise


def _number(row: Row[*tuple[Any, ...]]) -> Number:
    return Number(
        id=row.id,
        value=row.value,
        monthly_price=row.monthly_price,
        setup_price=row.setup_price,
        currency=row.currency,
        assigned=row.assigned,
    )
