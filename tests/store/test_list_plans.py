"""Every list of the native API stays on an index, with and without a place behind which it begins."""

from __future__ import annotations

import re

from sqlalchemy import text

from longcode.domain.clock import mint_id, utc_now
from longcode.store.accounts import AccountStore
from longcode.store.boxes import BoxStore
from longcode.store.commit_order import START
from longcode.store.conversations import ConversationStore, Position, Side
from longcode.store.database import Database
from longcode.store.event_stream import EventStream
from longcode.store.leftovers import LATEST, LeftoverStore, ReceiptPlace
from longcode.store.numbers import NumberStore
from longcode.store.opt_outs import OptOutStore
from longcode.store.pools import PoolStore
from longcode.store.removal import RemovalStore
from longcode.store.usage import UsageStore
from longcode.store.webhooks import WebhookStore
from longcode.store.words import WordStore
from tests.store.test_plans import FILL, Listened, filling, generic_plan, listened

__all__ = ["listened"]

GROWING = (
    "message",
    "outbox",
    "outcome",
    "receipt",
    "attempt",
    "mailbox",
    "event",
    "opt_out",
    "number_opt_out",
    "opt_out_event",
    "number",
    "api_key",
    "sender_id",
    "login",
    "webhook_endpoint",
    "webhook_attempt",
    "sender_pool",
    "pool_sender",
    "inbound_unowned",
    "message_webhook",
    "inbound_word",
    "stray_receipt",
)
MORE = (
    """INSERT INTO number (account_id, value, digits, monthly_price, setup_price, currency, assigned, created_at)
       SELECT 1 + n % 50, n::text, n::text, 0, 0, 'U$', n % 2 = 0, now() FROM generate_series(1, {rows}) AS n""",
    """INSERT INTO api_key (account_id, key_hash, hint, created_at)
       SELECT 1 + n % 50, decode(md5(n::text), 'hex'), '', now() FROM generate_series(1, {rows}) AS n""",
    """INSERT INTO sender_id (account_id, value)
       SELECT 1 + n % 50, n::text FROM generate_series(1, {rows}) AS n""",
    """INSERT INTO login (account_id, login, created_at)
       SELECT 1 + n % 50, n::text, now() FROM generate_series(1, {rows}) AS n""",
    """INSERT INTO opt_out_event (account_id, recipient, change, source, created_at)
       SELECT 1 + n % 50, n::text, 'created', 'api', now() FROM generate_series(1, {rows}) AS n""",
    """INSERT INTO webhook_endpoint (account_id, url, types, secret, allow_private, created_at)
       SELECT 1 + n % 50, '', '[]', '', false, now() FROM generate_series(1, {rows}) AS n""",
    """INSERT INTO webhook_attempt (id, endpoint_id, event_id, milliseconds, ended_at)
       SELECT gen_random_uuid(), n % 50, gen_random_uuid(), 1, now() FROM generate_series(1, {rows}) AS n""",
    """INSERT INTO inbound_unowned
       SELECT gen_random_uuid(), 7, 'a', n::text, '', false, now(), NULL FROM generate_series(1, {rows}) AS n""",
    """INSERT INTO stray_receipt SELECT id, received_at FROM receipt""",
    """INSERT INTO sender_pool (account_id, name, created_at)
       SELECT 1 + n % 50, n::text, now() FROM generate_series(1, {rows}) AS n""",
    """INSERT INTO pool_sender (pool_id, sender, value, recipients, added_at)
       SELECT id, 'a', 'a', 0, now() FROM sender_pool""",
    "ANALYZE",
)


async def read_lists(database: Database) -> None:
    """Each list once from its beginning and once from the middle, and what is looked up by the way."""
    accounts, numbers, pools = (
        AccountStore(database, utc_now),
        NumberStore(database, utc_now),
        PoolStore(database, utc_now),
    )
    opt_outs, webhooks, boxes = (
        OptOutStore(database, utc_now),
        WebhookStore(database, utc_now),
        BoxStore(database, utc_now),
    )
    conversations, id_ = ConversationStore(database), mint_id()
    for after in (0, 7):
        await accounts.page(after=after, count=10)
        await accounts.keys(1, after=after, count=10)
        await numbers.page(1, after=after, count=10)
        await webhooks.page(account_id=1, after=after, count=10)
        await opt_outs.history("1", account_id=1, after=after, count=10)
    for name in ("", "5"):
        await accounts.sender_ids(1, after=name, count=10)
        await boxes.logins(1, after=name, count=10)
        await pools.page(1, after=name, count=10)
        await opt_outs.page(1, after=(name, name), count=10)
        await conversations.numbers(1, after=name, count=10)
    for place in (None, Position(5, id_, Side.SENT)):
        await conversations.before(1, "1", place, count=10)
    for before in (None, id_):
        await webhooks.attempts(1, before=before, count=10)
    await webhooks.attempts(1, count=10, failed=True)
    await numbers.page(1, count=10, search="5", assigned=True)
    await boxes.exists(1, "1")
    await boxes.page(1, "1", after=START, count=10)
    await boxes.acked(1, "1")
    await boxes.delete(1, "1", [START])
    await EventStream(database).page(1, after=START, count=10)
    leftovers = LeftoverStore(database, utc_now)
    for place in (LATEST, ReceiptPlace(utc_now(), id_)):
        await leftovers.unowned(count=10, before=place.id)
        await leftovers.receipts(count=10, before=place)
        await leftovers.receipts(count=10, before=place, unmatched=True)
    for after in ("", str(id_)):
        await WordStore(database).doubtful(1, after=after, count=10)
    await webhooks.named(1, "https://example.com/")
    if not database.is_sqlite:  # which calls a walk a scan, though it ends at its first step: the newest event
        await webhooks.purge(utc_now())
    await UsageStore(database).days(1, [utc_now().date()])
    removal = RemovalStore(database, utc_now)
    await removal.redact(1, id_)
    await removal.delete(1, id_)


async def test_no_list_scans_a_table_that_grows(listened: Listened) -> None:
    database = listened.database
    await read_lists(database)
    statements = dict(listened.statements)
    assert len(statements) > 20
    if database.is_sqlite:
        async with database.read() as connection:
            plans = {
                statement: "\n".join(
                    row.detail
                    for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                )
                for statement, parameters in statements.items()
            }
    else:
        async with database.write() as connection:
            for statement in (*FILL[:-1], *MORE):
                await connection.execute(text(filling(statement)))
        async with database.driver() as driver:
            plans = {statement: await generic_plan(driver, statement) for statement in statements}
    found = {statement: plan for statement, plan in plans.items() if _scanned(plan)}
    assert found == {}


def _scanned(plan: str) -> list[str]:
    """The tables that a plan reads from end to end; an index that is walked from end to end counts as one."""
    return [name for name in GROWING if re.search(rf"Seq Scan on {name}\b|SCAN {name}\b", plan)]
