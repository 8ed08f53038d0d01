"""What is new is found along an index, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from longcode.store.conversations import accounts_query
from longcode.store.database import Database
from longcode.store.following import ids_query
from longcode.store.intake import IntakeStore
from tests.store.test_timeline import explain, new


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


async def test_watching_and_looking_for_a_conversation_walk_indexes(database: Database) -> None:
    await IntakeStore(database).insert([new(number, 1 + number % 40) for number in range(1, 2001)], [])
    async with database.write() as connection:
        await connection.exec_driver_sql("ANALYZE")
    plans = [
        await explain(database, query)
        for query in (
            ids_query(UUID(int=1900), None, 50),
            ids_query(UUID(int=1900), 1, 50),
            accounts_query(["a", "b"], None),
            accounts_query(["a"], 1),
        )
    ]
    for plan in plans:
        assert "Seq Scan on message" not in plan
        assert "SCAN message" not in plan
    assert "ix_message_sender" in plans[2]
    assert "ix_message_recipient" in plans[2]
