"""Questions to the database of an installation, past the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg


@dataclass(frozen=True, slots=True)
class Asked:
    """Something that has a database on PostgreSQL."""

    database_url: str

    async def execute(self, statements: str) -> None:
        """Have the database carry out statements."""
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    async def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database answers to a query."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()
