"""Accounts with their secrets, API keys and sender IDs, as the operator sets them up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from longcode.domain.account import Account, Operator
from longcode.domain.clock import Clock
from longcode.errors import Duplicate, NotFound
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.versions import bump_version


@dataclass(frozen=True, slots=True)
class Secret:
    """An account and the argon2 hash of its secret."""

    account: Account
    secret_hash: str


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """An account as the operator lists it."""

    id: int
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without what opens anything.

    hint: its first characters. revoked_at: None while it is live. scopes: None: everything of the account.
    """

    id: int
    hint: str
    created_at: datetime
    revoked_at: datetime | None
    scopes: frozenset[str] | None = None


_key: Final = schema.api_key.c
_KEY_COLUMNS: Final = (_key.id, _key.hint, _key.created_at, _key.revoked_at, _key.scopes)


class AccountStore:
    """Accounts and what hangs on them.

    Lists come in pages of `count` rows, in the order of what `after` names: the last of the page before.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def secret(self, name: str) -> Secret | None:
        """The account of that name with its secret's hash."""
        table = schema.account.c
        async with self._database.read() as connection:
            row = (
                await connection.execute(select(table.id, table.name, table.secret_hash).where(table.name == name))
            ).one_or_none()
        return None if row is None else Secret(Account(row.id, row.name), row.secret_hash)

    async def by_name(self, name: str) -> Account:
        """The account of that name. Raises NotFound."""
        found = await self.secret(name)
        if found is None:
            raise NotFound(f"there is no account {name}")
        return found.account

    async def page(self, *, after: int = 0, count: int) -> list[ListedAccount]:
        """Accounts by id."""
        table = schema.account.c
        query = select(table.id, table.name, table.created_at).where(table.id > after).order_by(table.id).limit(count)
        async with self._database.read() as connection:
            return [ListedAccount(*row) for row in await connection.execute(query)]

    async def names(self) -> dict[int, str]:
        """Every account's name by its id."""
        table = schema.account.c
        async with self._database.read() as connection:
            return {row.id: row.name for row in await connection.execute(select(table.id, table.name))}

    async def by_key_hash(self, key_hash: bytes) -> Account | None:
        """The account that a live API key belongs to, by the key's SHA-256."""
        account, key = schema.account.c, schema.api_key.c
        query = (
            select(account.id, account.name, key.scopes)
            .join_from(schema.api_key, schema.account)
            .where(key.key_hash == key_hash, key.revoked_at.is_(None))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Account(row.id, row.name, scopes=_scopes(row.scopes))

    async def operator_by_key_hash(self, key_hash: bytes) -> Operator | None:
        """The operator that a live key belongs to, by the key's SHA-256."""
        table = schema.operator_key.c
        query = select(table.id, table.hint).where(table.key_hash == key_hash, table.revoked_at.is_(None))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Operator(row.id, row.hint)

    async def create(self, name: str, secret_hash: str) -> Account:
        """A new account. Raises Duplicate."""
        try:
            async with self._database.write() as connection:
                row = await connection.execute(
                    insert(schema.account)
                    .values(name=name, secret_hash=secret_hash, created_at=self._clock())
                    .returning(schema.account.c.id)
                )
                account_id: int = row.scalar_one()
                await bump_version(connection)
        except IntegrityError as error:
            raise Duplicate(f"there is an account {name} already") from error
        return Account(account_id, name)

    async def set_secret(self, account_id: int, secret_hash: str) -> None:
        """Give an account another secret; the old one is void at once."""
        async with self._database.write() as connection:
            await connection.execute(
                update(schema.account).where(schema.account.c.id == account_id).values(secret_hash=secret_hash)
            )
            await bump_version(connection)

    async def add_key(
        self, account_id: int, key_hash: bytes, hint: str, *, scopes: frozenset[str] | None = None
    ) -> ApiKey:
        """Keep a new API key by its SHA-256. hint: its first characters."""
        return await self._add_key(
            schema.api_key,
            account_id=account_id,
            key_hash=key_hash,
            hint=hint,
            scopes=None if scopes is None else " ".join(sorted(scopes)),
        )

    async def add_operator_key(self, key_hash: bytes, hint: str) -> ApiKey:
        """Keep a new key of the operator's, as `add_key`."""
        return await self._add_key(schema.operator_key, key_hash=key_hash, hint=hint)

    async def keys(self, account_id: int, *, after: int = 0, count: int) -> list[ApiKey]:
        """An account's API keys by id, the revoked ones too."""
        table = schema.api_key.c
        query = (
            select(*_KEY_COLUMNS)
            .where(table.account_id == account_id, table.id > after)
            .order_by(table.id)
            .limit(count)
        )
        async with self._database.read() as connection:
            return [_to_key(row) for row in await connection.execute(query)]

    async def key(self, account_id: int, key_id: int) -> ApiKey:
        """One of the account's API keys. Raises NotFound."""
        table = schema.api_key.c
        query = select(*_KEY_COLUMNS).where(table.account_id == account_id, table.id == key_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("there is no such API key")
        return _to_key(row)

    async def operator_keys(self, *, after: int = 0, count: int) -> list[ApiKey]:
        """The operator's keys by id, the revoked ones too."""
        table = schema.operator_key.c
        query = select(table.id, table.hint, table.created_at, table.revoked_at).where(table.id > after)
        async with self._database.read() as connection:
            return [ApiKey(*row) for row in await connection.execute(query.order_by(table.id).limit(count))]

    async def revoke_operator_key(self, key_id: int) -> bool:
        """Let a key of the operator's open nothing any more; False where there is no live one of that id."""
        table = schema.operator_key
        live = (table.c.id == key_id, table.c.revoked_at.is_(None))
        async with self._database.write() as connection:
            revoked = await connection.execute(update(table).where(*live).values(revoked_at=self._clock()))
            return bool(revoked.rowcount)

    async def revoke_key(self, account_id: int, key_id: int) -> bool:
        """Let an API key open nothing any more; False where the account has no live key of that id."""
        table = schema.api_key
        mine = (table.c.id == key_id, table.c.account_id == account_id, table.c.revoked_at.is_(None))
        async with self._database.write() as connection:
            revoked = await connection.execute(update(table).where(*mine).values(revoked_at=self._clock()))
            return bool(revoked.rowcount)

    async def sender_ids(self, account_id: int, *, after: str = "", count: int) -> list[str]:
        """An account's sender IDs by value."""
        table = schema.sender_id.c
        mine = select(table.value).where(table.account_id == account_id, table.value > after)
        async with self._database.read() as connection:
            return list((await connection.execute(mine.order_by(table.value).limit(count))).scalars())

    async def has_sender_id(self, account_id: int, value: str) -> bool:
        """Whether the account may send as this."""
        table = schema.sender_id.c
        query = select(table.value).where(table.account_id == account_id, table.value == value)
        async with self._database.read() as connection:
            return (await connection.execute(query)).first() is not None

    async def remove_sender_id(self, account_id: int, value: str) -> bool:
        """Take a sender ID out of an account's whitelist; False where it was not there."""
        table = schema.sender_id.c
        return await self._remove(schema.sender_id, table.account_id == account_id, table.value == value)

    async def add_sender_id(self, account_id: int, value: str) -> bool:
        """Put a sender ID into an account's whitelist; False where it was there already."""
        return await self._add(schema.sender_id, account_id=account_id, value=value)

    async def _add_key(self, table: Table, **values: Any) -> ApiKey:
        now = self._clock()
        async with self._database.write() as connection:
            added = await connection.execute(insert(table).values(**values, created_at=now).returning(table.c.id))
            return ApiKey(added.scalar_one(), values["hint"], now, None, _scopes(values.get("scopes")))

    async def _add(self, table: Table, **values: object) -> bool:
        insert_ = self._database.insert
        async with self._database.write() as connection:
            result = await connection.execute(insert_(table).values(**values).on_conflict_do_nothing())
            if result.rowcount:
                await bump_version(connection)
            return bool(result.rowcount)

    async def _remove(self, table: Table, *which: ColumnElement[bool]) -> bool:
        async with self._database.write() as connection:
            result = await connection.execute(delete(table).where(*which))
            if result.rowcount:
                await bump_version(connection)
            return bool(result.rowcount)


def _to_key(row: Any) -> ApiKey:
    return ApiKey(row.id, row.hint, row.created_at, row.revoked_at, _scopes(row.scopes))


def _scopes(kept: str | None) -> frozenset[str] | None:
    return None if kept is None else frozenset(kept.split())
