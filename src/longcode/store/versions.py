"""The catalogue's version, which every change of what processes keep in memory moves on."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.store import schema


async def bump_version(connection: AsyncConnection) -> None:
    """Say that something of the catalogue changed; in the change's own transaction."""
    table = schema.catalog_version
    await connection.execute(update(table).values(version=table.c.version + 1))
