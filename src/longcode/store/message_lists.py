"""Lists of an account's messages, the newest first, by whatever its people look for.

A list walks one index and looks at no more than MOST_EXAMINED messages a page, however few of them fit: a page
may come out short, or empty, and still have a next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Subquery, Uuid, literal, or_, select, tuple_, union

from longcode.domain.message import Direction, Message, Status
from longcode.store import schema
from longcode.store.conversations import IS_SMS
from longcode.store.database import EPOCH, Database
from longcode.store.messages import provider_reference, schedule_columns, to_message
from longcode.store.uuids import LAST_ID, first_id

MOST_EXAMINED: Final = 5000
# A message's id and its instant come from clocks that may differ by so much.
SKEW: Final = timedelta(minutes=1)

_message: Final = schema.message.c
_COLUMNS: Final = (
    _message.id,
    _message.account_id,
    _message.direction,
    _message.medium,
    _message.sender,
    _message.recipient,
    _message.text,
    _message.sent_at_seconds,
    _message.status,
    _message.client_reference,
    _message.encoding,
    _message.segment_count,
    _message.error,
    _message.created_at,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a list is to hold; None: whatever it is. Parties as they were written.

    party: sender or recipient. since, until: when it was accepted or received; until is not included.
    """

    status: Status | None = None
    direction: Direction | None = None
    sender: str | None = None
    recipient: str | None = None
    party: str | None = None
    reference: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands. seconds: its sent_at_seconds in lists of a party, which those order by; else 0."""

    seconds: int
    id: UUID


@dataclass(frozen=True, slots=True)
class Found:
    """A page. next: the place behind which the next page begins; None where this is the last one."""

    messages: list[Message]
    next: Place | None


class MessageLists:
    """Reads of an account."""

    def __init__(self, database: Database, *, most_examined: int = MOST_EXAMINED) -> None:
        self._database = database
        self._most_examined = most_examined

    async def page(self, account_id: int, wanted: Wanted, *, after: Place | None = None, count: int) -> Found:
        """The `count` messages behind a place, or fewer."""
        sparse = _is_sparse(wanted)
        examined = self._most_examined if sparse else count + 1
        async with self._database.read() as connection:
            rows = (await connection.execute(list_query(account_id, wanted, after, examined, count + 1))).all()
            messages = [to_message(row._mapping) for row in rows[:count]]
            if len(rows) > count:
                return Found(messages, _place(wanted, rows[count - 1]))
            if not sparse:
                return Found(messages, None)
            last = (await connection.execute(last_examined(account_id, wanted, after, examined))).one_or_none()
        return Found(messages, None if last is None else _place(wanted, last))


def list_query(account_id: int, wanted: Wanted, after: Place | None, examined: int, count: int) -> Select[Any]:
    """The first `count` that fit among the first `examined` behind a place."""
    walked = _walk(account_id, wanted, after, examined).limit(examined).subquery("walked")
    extra = provider_reference(walked.c.id), *schedule_columns(walked)
    query = select(walked, *extra).where(*_fits(wanted, walked)).limit(count)
    return query.order_by(*(column.desc() for column in _order(wanted, walked)))


def last_examined(account_id: int, wanted: Wanted, after: Place | None, examined: int) -> Select[Any]:
    """The last of them, if there are so many."""
    return _walk(account_id, wanted, after, examined).offset(examined - 1).limit(1)


def _walk(account_id: int, wanted: Wanted, after: Place | None, examined: int) -> Select[Any]:
    """Messages behind a place, the newest first, along one index; of two sides at least the first `examined`."""
    if not _by_time(wanted):
        return _walk_ids(account_id, wanted, after)
    mine = select(*_COLUMNS).where(_message.account_id == account_id, *_behind(wanted, after))
    order = [column.desc() for column in _order(wanted, schema.message)]
    if wanted.sender is not None:
        return mine.where(_message.sender == wanted.sender, IS_SMS).order_by(*order)
    if wanted.recipient is not None:
        return mine.where(_message.recipient == wanted.recipient, IS_SMS).order_by(*order)
    sides = union(
        *(
            select(mine.where(own == wanted.party, IS_SMS).order_by(*order).limit(examined).subquery())
            for own in (_message.sender, _message.recipient)
        )
    ).subquery("sides")
    return select(sides).order_by(*(column.desc() for column in _order(wanted, sides)))


def _by_time(wanted: Wanted) -> bool:
    """Whether the index that is walked is that of a party, which is by time."""
    return wanted.reference is None and (wanted.sender or wanted.recipient or wanted.party) is not None


def _order(wanted: Wanted, table: Any) -> list[ColumnElement[Any]]:
    return [table.c.sent_at_seconds, table.c.id] if _by_time(wanted) else [table.c.id]


def _behind(wanted: Wanted, after: Place | None) -> list[ColumnElement[bool]]:
    if after is None:
        return []
    here = tuple_(literal(after.seconds, _message.sent_at_seconds.type), literal(after.id, Uuid))
    return [tuple_(_message.sent_at_seconds, _message.id) < here]


def _walk_ids(account_id: int, wanted: Wanted, after: Place | None) -> Select[Any]:
    """All messages of an account, or those with a reference. Ids are UUIDv7: a period is a range of the index.

    Bounds in pairs, and nothing that is equal: else a planner may walk the newest messages of all accounts.
    """
    lowest = first_id(EPOCH) if wanted.since is None else first_id(wanted.since - SKEW)
    highest = LAST_ID if wanted.until is None else first_id(wanted.until + SKEW)
    if after is not None:
        highest = min(highest, after.id)
    fixed: list[tuple[ColumnElement[Any], Any]] = [(_message.account_id, account_id)]
    if wanted.reference is not None:
        fixed.append((_message.client_reference, wanted.reference))
    columns = [*(column for column, _ in fixed), _message.id]

    def place(id_: UUID) -> Any:
        return tuple_(*(literal(value, column.type) for column, value in fixed), literal(id_, Uuid))

    query = select(*_COLUMNS).where(tuple_(*columns) < place(highest), tuple_(*columns) >= place(lowest))
    if wanted.reference is not None:
        query = query.where(_message.client_reference.is_not(None))  # a partial index is used where this is said
    return query.order_by(*(column.desc() for column in columns))


def _is_sparse(wanted: Wanted) -> bool:
    """Whether something is asked for that the index does not know."""
    parties = [one for one in (wanted.sender, wanted.recipient, wanted.party) if one is not None]
    by_other = (wanted.status, wanted.direction, wanted.since, wanted.until)
    known = 0 if wanted.reference is not None else 1
    return any(one is not None for one in by_other) or len(parties) > known


def _fits(wanted: Wanted, walked: Subquery) -> list[ColumnElement[bool]]:
    column = walked.c
    equal = {
        "status": wanted.status,
        "direction": wanted.direction,
        "sender": wanted.sender,
        "recipient": wanted.recipient,
        "client_reference": wanted.reference,
    }
    rules: list[ColumnElement[bool]] = [column[name] == value for name, value in equal.items() if value is not None]
    if wanted.party is not None:
        rules.append(or_(column.sender == wanted.party, column.recipient == wanted.party))
    if wanted.since is not None:
        rules.append(column.created_at >= wanted.since)
    if wanted.until is not None:
        rules.append(column.created_at < wanted.until)
    return rules


def _place(wanted: Wanted, row: Any) -> Place:
    return Place(row.sent_at_seconds if _by_time(wanted) else 0, row.id)
