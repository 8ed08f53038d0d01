"""The state under test: on Valkey, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.expiring.states import LIMIT, State, open_redis, open_sql

Opened = Callable[..., AbstractAsyncContextManager[State]]


@pytest.fixture(params=["redis", "sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the adapter on a server that holds nothing; takes the limit."""
    if request.param == "redis":
        url = request.getfixturevalue("valkey_url")
        return lambda limit=LIMIT: open_redis(url, limit=limit)
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/longcode.db"
    else:
        url = request.getfixturevalue("postgres_url")
    return lambda limit=LIMIT: open_sql(url, limit=limit)


@pytest.fixture
async def state(opened: Opened) -> AsyncIterator[State]:
    """The adapter, with 50 calls a window."""
    async with opened() as state:
        yield state
