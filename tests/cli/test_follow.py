"""`longcode messages`: what came and what changed, on both databases; and what is printed of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from longcode.cli.follow import BEHIND_MILLISECONDS, Watch
from longcode.domain.message import Status
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.following import FollowStore
from longcode.store.intake import IntakeStore
from longcode.store.timeline import Listed
from tests.cli.commands import desk_in
from tests.store.test_timeline import new

SECOND = 1000 << 80  # of an id
START = 10**12 << 80


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


async def store(database: Database, *numbers: int, account_id: int = 1) -> None:
    await IntakeStore(database).insert([new(number, account_id, sent_at_seconds=1) for number in numbers], [])


async def move(database: Database, number: int, status: Status) -> None:
    table = schema.message
    async with database.write() as connection:
        await connection.execute(update(table).where(table.c.id == UUID(int=number)).values(status=status.value))


def told(found: Sequence[Listed]) -> list[tuple[int, str]]:
    return [(one.message.id.int, one.message.status.value) for one in found]


async def test_what_comes_and_what_changes_is_told_once(database: Database) -> None:
    one, two, three, four = (START + number * SECOND for number in range(4))
    await store(database, one, two)
    await store(database, START + 5, account_id=2)
    watch = Watch(FollowStore(database), 1)
    assert told(await watch.latest(1)) == [(two, "queued")]
    assert told(await watch.news()) == []
    await store(database, four)
    await move(database, two, Status.SENT)
    assert told(await watch.news()) == [(two, "sent"), (four, "queued")]
    # It was begun before the last one, and is committed after it.
    await store(database, three)
    await move(database, two, Status.DELIVERED)
    assert told(await watch.news()) == [(two, "delivered"), (three, "queued")]
    assert told(await watch.news()) == []


async def test_a_watch_of_all_accounts_begins_with_nothing_and_forgets_what_was_deleted(database: Database) -> None:
    watch = Watch(FollowStore(database), None)
    assert told(await watch.latest(0)) == []
    late = START + 2 * BEHIND_MILLISECONDS * SECOND
    await store(database, START)
    await store(database, late, account_id=2)
    assert told(await watch.news()) == [(START, "queued"), (late, "queued")]
    async with database.write() as connection:
        await connection.execute(delete(schema.message).where(schema.message.c.id == UUID(int=START)))
    await move(database, late, Status.FAILED)
    assert told(await watch.news()) == [(late, "failed")]
    assert told(await watch.news()) == []


async def test_a_watch_that_shows_none_tells_only_of_what_comes(database: Database) -> None:
    await store(database, START, START + 1)
    watch = Watch(FollowStore(database), 1)
    assert told(await watch.latest(0)) == []
    assert told(await watch.news()) == []
    await store(database, START + 2)
    assert told(await watch.news()) == [(START + 2, "queued")]


def test_the_latest_are_shown_with_account_and_text_the_newest_last(tmp_path: Path, sqlite_template: Path) -> None:
    desk = desk_in(tmp_path, sqlite_template)
    for account in ("demo", "other"):
        desk.run("sender", "add", "MyCorp", "--account", account)
        desk.run("send", "--account", account, "+12025550101", f"from\t{account}")
    lines: list[dict[str, Any]] = desk.lines("messages")
    assert [(line["account"], line["text"]) for line in lines] == [("demo", "from\tdemo"), ("other", "from\tother")]
    assert lines[0].keys() > desk.lines("message", "list", "--account", "demo")[0].keys()
    assert [line["id"] for line in desk.lines("messages", "--account", "other")] == [lines[1]["id"]]
    heading, row = desk.run("messages", "--limit", "1").splitlines()
    assert dict(zip(heading.split("\t"), row.split("\t"), strict=True))["text"] == "from\ufffdother"
    assert "there is no account nobody" in desk.run("messages", "--account", "nobody", status=1)
