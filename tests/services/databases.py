"""Fresh PostgreSQL databases for tests, for less than a copy each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.services.postgresql import PostgresServer

# Up to here the planner takes every table that nobody has analyzed to be equally long.
PAGES = 10

# What moves with any change of structure, with statistics, and with a vacuum.
CATALOGS = ("pg_class", "pg_attribute", "pg_constraint", "pg_trigger", "pg_statistic", "pg_namespace")
STRUCTURE = " UNION ALL ".join(
    [f"SELECT '{name}', count(*), coalesce(max(xmin::text::bigint), 0) FROM {name}" for name in CATALOGS]
    + ["SELECT 'vacuumed', count(*), 0 FROM pg_class WHERE reltuples >= 0 AND relnamespace = 'public'::regnamespace"]
)
OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)
TABLES = (
    "SELECT relname, pg_relation_size(oid) / 8192 FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
)
SEQUENCES = "SELECT sequencename, start_value, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"


@dataclass(frozen=True, slots=True)
class Template:
    """What a fresh database holds. rows: of the tables that are not empty. sequences: (name, start, last)."""

    rows: dict[str, list[asyncpg.Record]]
    sequences: list[asyncpg.Record]


@dataclass(slots=True)
class Databases:
    """Databases of a server, each with what a copy of the template holds, by name.

    One that comes back is emptied, in a tenth of the time of a copy. It is dropped instead where anything but
    rows may differ from the template: its structure, statistics, long tables, or somebody who is still connected.
    What is emptied has the pages of its past: whoever looks at plans asks for an untouched one.
    """

    server: PostgresServer
    template: str
    _known: Template | None = None
    # Of each copy its own: the server may have looked after the template since the last one.
    _structures: dict[str, list[asyncpg.Record]] = field(default_factory=dict)
    _free: list[str] = field(default_factory=list)
    _serial: Any = field(default_factory=lambda: itertools.count(1))

    async def take(self, *, untouched: bool = False) -> str:
        """A database that is nobody's; its name. untouched: one that never was anybody's."""
        if self._free and not untouched:
            return self._free.pop()
        if self._known is None:
            self._known = await self._look()
        name = f"test_{next(self._serial)}"
        await self.server.create_database(name, template=self.template)
        self._structures[name] = await self._structure(name)
        return name

    async def give_back(self, name: str) -> None:
        """Have it for others; the server must run."""
        try:
            fresh = await self._emptied(name)
        except (asyncpg.PostgresError, OSError):
            fresh = False
        if fresh:
            self._free.append(name)
        else:
            del self._structures[name]
            await self.server.drop_database(name)

    async def _structure(self, name: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.server.url(name))
        try:
            return list(await connection.fetch(STRUCTURE))
        finally:
            await connection.close()

    async def _look(self) -> Template:
        connection = await asyncpg.connect(self.server.url(self.template))
        try:
            tables = [name for name, pages in await connection.fetch(TABLES) if pages]
            return Template(
                {name: await connection.fetch(f'SELECT * FROM "{name}"') for name in tables},
                await connection.fetch(SEQUENCES),
            )
        finally:
            await connection.close()

    async def _emptied(self, name: str) -> bool:
        assert self._known is not None, "nothing was taken yet"
        connection = await asyncpg.connect(self.server.url(name))
        try:
            if await connection.fetchval(OTHERS) or await connection.fetch(STRUCTURE) != self._structures[name]:
                return False
            used = [(table, pages) for table, pages in await connection.fetch(TABLES) if pages]
            if any(pages > PAGES for _, pages in used):
                return False
            stand = await connection.fetch(SEQUENCES)
            moved = [sequence for sequence in self._known.sequences if sequence not in stand]
            async with connection.transaction():
                # Without foreign keys' triggers the order does not matter. Who holds a lock is not waited for.
                await connection.execute("SET LOCAL session_replication_role = replica; SET LOCAL lock_timeout = 100")
                for table, _ in used:
                    await connection.execute(f'DELETE FROM "{table}"')
                for table, rows in self._known.rows.items():
                    await connection.copy_records_to_table(table, records=rows)
                for name, start, last in moved:
                    await connection.execute(
                        "SELECT setval($1::text::regclass, $2, $3)", name, last or start, last is not None
                    )
            return True
        finally:
            await connection.close()
