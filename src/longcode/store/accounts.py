"""Accounts with their secrets, API keys, sender IDs and opt-outs, as the operator sets them up."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Table, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import IntegrityError

from longcode.domain.account import Account
from longcode.domain.clock import Clock
from longcode.errors import Duplicate, NotFound
from longcode.store import schema
from longcode.store.catalog import bump_version
from longcode.store.database import Database


@dataclass(frozen=True, slots=True)
class Secret:
    """An account and the argon2 hash of its secret."""

    account: Account
    secret_hash: str


class AccountStore:
    """Accounts and what hangs on them."""

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

    async def names(self) -> dict[int, str]:
        """Every account's name by its id."""
        table = schema.account.c
        async with self._database.read() as connection:
            return {row.id: row.name for row in await connection.execute(select(table.id, table.name))}

    async def by_key_hash(self, key_hash: bytes) -> Account | None:
        """The account that a live API key belongs to, by the key's SHA-256."""
        account, key = schema.account.c, schema.api_key.c
        query = (
            select(account.id, account.name)
            .join_from(schema.api_key, schema.account)
            .where(key.key_hash == key_hash, key.revoked_at.is_(None))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Account(row.id, row.name)

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

    async def add_key(self, account_id: int, key_hash: bytes, hint: str) -> None:
        """Keep a new API key by its SHA-256. hint: its first characters."""
        async with self._database.write() as connection:
            await connection.execute(
                insert(schema.api_key).values(
                    account_id=account_id, key_hash=key_hash, hint=hint, created_at=self._clock()
                )
            )

    async def add_sender_id(self, account_id: int, value: str) -> bool:
        """Put a sender ID into an account's whitelist; False where it was there already."""
        return await self._add(schema.sender_id, account_id=account_id, value=value)

    async def add_opt_out(self, account_id: int, recipient: str, source: str) -> bool:
        """Keep an opt-out for good. recipient: in its canonical form. False where it was there already."""
        return await self._add(
            schema.opt_out, account_id=account_id, recipient=recipient, source=source, created_at=self._clock()
        )

    async def _add(self, table: Table, **values: object) -> bool:
        insert_ = sqlite_insert if self._database.is_sqlite else postgresql_insert
        async with self._database.write() as connection:
            result = await connection.execute(insert_(table).values(**values).on_conflict_do_nothing())
            if result.rowcount:
                await bump_version(connection)
            return bool(result.rowcount)
