"""A long queue: what is urgent is claimed next, small accounts are not held up, and the index alone is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from longcode.domain.clock import utc_now
from longcode.store import outbox_hot
from longcode.store.database import Database
from longcode.store.outbox import OutboxStore
from tests.store.test_outbox import CARRIER, LEASE, Queue

CAMPAIGN, SMALL, URGENT = 1, 2, 3
WINDOW = 100
LENGTH = 5_000

FILL = {
    "postgresql": (
        """INSERT INTO message SELECT gen_random_uuid(), 1, 'outbound', 'sms', 'MyCorp', n::text, 'Hello', n, 'queued',
           NULL, 'gsm7', 1, NULL, now(), now() FROM generate_series(1, :rows) AS n""",
        """INSERT INTO outbox SELECT id, 1, 7, 5, now() - interval '1 hour', NULL, now() + interval '1 day', 0
           FROM message""",
        "ANALYZE",
    ),
    "sqlite": (
        """INSERT INTO message WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < :rows)
           SELECT printf('%032x', n), 1, 'outbound', 'sms', 'MyCorp', n, 'Hello', n, 'queued',
           NULL, 'gsm7', 1, NULL, 0, 0 FROM r""",
        "INSERT INTO outbox SELECT id, 1, 7, 5, 0, NULL, 4000000000000000, 0 FROM message",
        "ANALYZE",
    ),
}


@pytest.fixture
async def campaign(database_url: str) -> AsyncIterator[Queue]:
    """A queue with one account's long campaign in it."""
    database = Database(database_url)
    kind = "sqlite" if database.is_sqlite else "postgresql"
    async with database.write() as connection:
        for statement in FILL[kind]:
            values = {"rows": LENGTH} if ":rows" in statement else {}
            await connection.execute(text(statement), values)
    yield Queue(database, OutboxStore(database, utc_now))
    await database.close()


async def test_a_password_overtakes_a_campaign(campaign: Queue) -> None:
    first = await campaign.claim(WINDOW)
    password = await campaign.put(account_id=URGENT, priority=0, due_in=timedelta(0))
    second = await campaign.claim(WINDOW)
    assert (len(first), len(second)) == (WINDOW, WINDOW)
    assert second[0] == password


async def test_it_overtakes_also_a_campaign_of_its_own_account(campaign: Queue) -> None:
    password = await campaign.put(account_id=CAMPAIGN, priority=0, due_in=timedelta(0))
    assert (await campaign.claim(WINDOW))[0] == password


async def test_an_account_with_little_to_send_is_in_the_first_claim(campaign: Queue) -> None:
    for _ in range(10):
        await campaign.put(account_id=SMALL, due_in=timedelta(0))
    claimed = Counter(one.message.account_id for one in await campaign.outbox.claim(CARRIER, WINDOW, LEASE))
    assert claimed == {CAMPAIGN: WINDOW // 2, SMALL: 10}


@pytest.mark.untouched
async def test_a_claim_reads_no_more_of_a_long_queue_than_it_takes(postgres_url: str) -> None:
    database = Database(postgres_url)
    async with database.write() as connection:
        for statement in FILL["postgresql"]:
            await connection.execute(text(statement), {"rows": 100_000} if ":rows" in statement else {})
    async with database.driver() as driver:
        await driver.execute("BEGIN")
        await driver.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await driver.execute(f"PREPARE hot AS {outbox_hot.CLAIM}")
        rows = await driver.fetch(
            f"EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) "
            f"EXECUTE hot({CARRIER}, {WINDOW}, '1 minute', '{{}}', '{{}}')"
        )
        await driver.execute("ROLLBACK")
        await driver.execute("DEALLOCATE hot")
    await database.close()
    plan = "\n".join(row[0] for row in rows)
    assert not re.search(r"Seq Scan on (outbox|message)\b", plan), plan
    read = [int(float(number)) for number in re.findall(r"rows=([\d.]+) loops", plan)]
    assert max(read) <= WINDOW, plan
