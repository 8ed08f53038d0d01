"""Keys of calls: claimed before the work, answered after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, select, update

from longcode.domain.clock import Clock
from longcode.store import schema
from longcode.store.database import Database

# A call that has not ended by then never will: its process is gone.
LEASE: Final = timedelta(minutes=2)
KEPT: Final = timedelta(days=7)

_call: Final = schema.keyed_call.c


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """A call that was made under a key before. answer: JSON; None while it is worked on."""

    fingerprint: bytes
    answer: str | None


@dataclass(frozen=True, slots=True)
class CallKey:
    """Whose key. account_id: 0 for the operator's."""

    account_id: int
    key: str


class KeyedCallStore:
    """The statements of keys of calls."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def claim(self, name: CallKey, fingerprint: bytes) -> KeyedCall | None:
        """Claim a key for a call; the call that has it, where that is another one, or this one under way."""
        now = self._clock()
        insert = self._database.insert
        row = {"fingerprint": fingerprint, "claimed_until": now + LEASE, "created_at": now}
        new = insert(schema.keyed_call).values(account_id=name.account_id, key=name.key, **row)
        left_lying = and_(_is(name), _call.answer.is_(None), _call.claimed_until <= now)
        again = update(schema.keyed_call).where(left_lying, _call.fingerprint == fingerprint).values(**row)
        async with self._database.write() as connection:
            if (await connection.execute(new.on_conflict_do_nothing())).rowcount:
                return None
            if (await connection.execute(again)).rowcount:
                return None
            found = (await connection.execute(select(_call.fingerprint, _call.answer).where(_is(name)))).one()
        return KeyedCall(found.fingerprint, found.answer)

    async def answered(self, name: CallKey, answer: str) -> None:
        """Keep what the call was answered. answer: JSON."""
        async with self._database.write() as connection:
            await connection.execute(update(schema.keyed_call).where(_is(name)).values(answer=answer))

    async def release(self, name: CallKey) -> None:
        """Give a key back whose call changed nothing."""
        async with self._database.write() as connection:
            await connection.execute(delete(schema.keyed_call).where(_is(name), _call.answer.is_(None)))

    async def purge(self, before: datetime) -> None:
        """Forget keys from before an instant."""
        async with self._database.write() as connection:
            await connection.execute(delete(schema.keyed_call).where(_call.created_at < before))


def _is(name: CallKey) -> ColumnElement[bool]:
    return and_(_call.account_id == name.account_id, _call.key == name.key)
