"""One command's session: a loop, the schema checked, the product open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import click
import uvloop

from longcode.bootstrap import Product, open_database, running
from longcode.cli.embedded import must_exist
from longcode.cli.waiting import patiently
from longcode.errors import ConfigurationError, StorageDown
from longcode.settings import Settings
from longcode.store.schema_version import check

T = TypeVar("T")

data_option = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of the embedded database."
)


def run(awaitable: Awaitable[T]) -> T:
    """Run one coroutine to its end on a fresh loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(awaitable)  # type: ignore[arg-type]


async def check_schema(settings: Settings, wait_seconds: int = 0) -> None:
    """Raise where this release cannot run on the database; wait for one that is not there or not migrated yet."""
    must_exist(settings)
    database = open_database(settings)
    try:
        # ConfigurationError: `migrate` may be at work at this moment.
        passing = (StorageDown, ConfigurationError)
        await patiently(lambda: check(database), wait_seconds=wait_seconds, passing=passing)
    finally:
        await database.close()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Product]:
    """A Product for one command; the schema is checked first."""
    await check_schema(settings)
    async with running(settings) as product:
        yield product
