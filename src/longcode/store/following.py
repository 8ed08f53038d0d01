"""What is new: messages as they come and as their statuses change, for operators who watch.

Ids are UUIDv7, so what comes has a higher id than what was there. Transactions end in another order than they
begin in: who watches looks a while behind the last id that he saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from longcode.domain.message import Status
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.messages import COLUMNS, to_message
from longcode.store.timeline import ATTEMPTS, Listed

_message = schema.message.c


class FollowStore:
    """Reads for the operator, of every account."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ids_after(self, floor: UUID, *, account_id: int | None = None, count: int) -> list[UUID]:
        """The ids behind floor in their order; account_id: only this account's."""
        async with self._database.read() as connection:
            return list(await connection.scalars(ids_query(floor, account_id, count)))

    async def latest(self, account_id: int | None = None, *, count: int) -> list[Listed]:
        """The last messages, the oldest of them first."""
        query = select(*COLUMNS, ATTEMPTS).order_by(_message.id.desc()).limit(count)
        if account_id is not None:
            query = query.where(_message.account_id == account_id)
        return (await self._listed(query))[::-1]

    async def statuses(self, ids: Sequence[UUID]) -> dict[UUID, Status]:
        """How messages stand; one that was deleted is left out."""
        query = select(_message.id, _message.status).where(_message.id.in_(ids))
        async with self._database.read() as connection:
            return {row.id: Status(row.status) for row in await connection.execute(query)}

    async def listed(self, ids: Sequence[UUID]) -> list[Listed]:
        """These messages by their ids; one that was deleted is left out."""
        return await self._listed(select(*COLUMNS, ATTEMPTS).where(_message.id.in_(ids)).order_by(_message.id))

    async def _listed(self, query: Select[Any]) -> list[Listed]:
        async with self._database.read() as connection:
            return [Listed(to_message(row._mapping), row.attempts) for row in await connection.execute(query)]


def ids_query(floor: UUID, account_id: int | None, count: int) -> Select[Any]:
    """A walk along the index of the account, or along the key of all."""
    query = select(_message.id).where(_message.id > floor).order_by(_message.id).limit(count)
    return query if account_id is None else query.where(_message.account_id == account_id)
