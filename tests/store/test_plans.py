"""Hot statements reach tables that grow with traffic by an index, even while they are empty: a plan may outlive that.

PostgreSQL plans an empty table that was never vacuumed as one of ten pages, so that even there an index is cheaper at
the page price that our connections set. On full tables test_million looks at them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.domain.clock import mint_id, utc_now
from longcode.domain.message import Direction, Message, Status
from longcode.domain.words import Meaning
from longcode.flow.receipt import Receipts
from longcode.store import events, outbox_hot, receipts_hot, webhook_hot
from longcode.store.accounts import AccountStore
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.intake_hot import INSERT, PREFLIGHT
from longcode.store.limits import LimitStore
from longcode.store.lookups import Lookups
from longcode.store.messages import MessageStore
from longcode.store.new_messages import KeyClaim, NewMessage, Reply, Sequel
from longcode.store.opt_outs import OptOutStore
from longcode.store.outbox import Conclusion, NewAttempt, NewOutcome, OutboxStore
from longcode.store.pools import PoolStore
from longcode.store.receipts import ReceiptStore
from longcode.store.rerouting import ReroutingStore
from longcode.store.stops import StopStore
from longcode.store.strays import StrayStore
from longcode.store.timeline import TimelineStore
from longcode.store.words import WordStore
from tests.messages import text_message

BIG = (
    "account_usage",
    "pool_recipient",
    "message",
    "idempotency",
    "outcome",
    "receipt",
    "attempt",
    "outbox",
    "mailbox",
    "stop_request",
    "opt_out",
    "event",
    "message_webhook",
    "webhook_queue",
    "number_opt_out",
    "opt_out_event",
    "inbound_word",
    "auto_reply",
)
CARRIER = 7

HOT = {
    "what accept asks": PREFLIGHT,
    "what accept stores": INSERT[False, False],
    "what accept stores and counts": INSERT[True, False],
    "what accept stores that names webhooks": INSERT[False, True],
    "what accept stores and counts that names webhooks": INSERT[True, True],
    "what dispatch claims": outbox_hot.CLAIM,
    "what dispatch claims that was just stored": outbox_hot.CLAIM_FRESH,
    "what dispatch begins": outbox_hot.BEGIN,
    "what dispatch concludes": outbox_hot.CONCLUDE,
    "what receipts settle": receipts_hot.SETTLE,
    "what answers find of early receipts": receipts_hot.EARLY,
    "what webhooks claim": webhook_hot.CLAIM,
    "what webhooks end": webhook_hot.FINISH,
}


async def live_through(database: Database) -> None:
    """One message's life, so that every statement on its way is run once."""
    intake, outbox = IntakeStore(database), OutboxStore(database, utc_now)
    store, strays = ReceiptStore(database, utc_now, mint_id), StrayStore(database, utc_now)
    receipts = Receipts(store, strays)
    now = utc_now()
    account = await AccountStore(database, utc_now).create("acme", "")
    async with database.write() as connection:
        await events.listen(connection, account.id)
    message = text_message(created_at=now)
    new = NewMessage(message=message, call_id=message.id, queued=True, carrier_id=CARRIER, due_at=now, stop=True)
    pair = {(1, "a")}
    await intake.preflight(Lookups(keys=pair, numbers={"1"}, sender_ids=pair, logins=pair, parties={(1, "a", "b")}))
    await intake.insert([new], [KeyClaim(1, "a", b"", message.id, now)])
    await intake.stored_key(1, "a")
    await intake.messages([message.id])
    await MessageStore(database).get(1, message.id)
    attempt_id = mint_id()
    (claimed,) = await outbox.claim(CARRIER, 10, timedelta(0))
    attempts = [NewAttempt(attempt_id, message.id, 0, 1, CARRIER)]
    assert await outbox.begin(attempts, claimed.leased_until, -timedelta(hours=1))
    await outbox.claim(CARRIER, 10, timedelta(0))
    outcome = NewOutcome(
        attempt_id=attempt_id,
        message_id=message.id,
        segment_index=0,
        segment_total=1,
        carrier_id=CARRIER,
        kind="accepted",
        reference="r",
    )
    await outbox.conclude([Conclusion(message_id=message.id, outcomes=(outcome,), again_after=timedelta(0))])
    await outbox.conclude([Conclusion(message_id=message.id, outcomes=(outcome,), status=Status.SENT)])
    await receipts.take(
        [CarrierReceipt(carrier_id=CARRIER, reference="r", status=ReceiptStatus.DELIVERED, attempt_id=attempt_id)]
    )
    rerouting = ReroutingStore(database, utc_now)
    for carrier_id in (None, CARRIER):
        await rerouting.move(carrier_id, CARRIER, await rerouting.waiting(carrier_id, 10))
    await rerouting.orphaned()
    await keep_books(database)
    await hear_stop(database, message)


async def keep_books(database: Database) -> None:
    """What is asked of caps and pools."""
    pools = PoolStore(database, utc_now)
    await LimitStore(database).usage([1], utc_now().date())
    await AccountStore(database, utc_now).create("books", "")
    account = await AccountStore(database, utc_now).by_name("books")
    await pools.create(account.id, "p")
    known = await pools.known(account.id, "p", "1")
    for before in (None, "2"):
        await pools.introduce(known.pool_id, "1", "2", instead_of=before)


async def hear_stop(database: Database, message: Message) -> None:
    """A STOP with all that follows from it, and what people look up of it."""
    inbound = replace(message, id=mint_id(), direction=Direction.INBOUND, status=Status.RECEIVED)
    answer = NewMessage(message=replace(message, id=mint_id()), call_id=message.id)
    sequel = Sequel(
        number="1",
        party="2",
        meaning=Meaning.STOP,
        word="stop",
        reply=Reply("stop", (answer,)),
        login="a",
        webhook_id=1,
    )
    new = NewMessage(message=inbound, call_id=inbound.id, boxed_at=utc_now(), sequel=sequel)
    await IntakeStore(database).insert([new], [])
    await StopStore(database).despite_opt_out([answer.message.id])
    await TimelineStore(database).history(inbound.id)
    await WordStore(database).doubtful(1, after=str(message.id), count=10)
    ledger = OptOutStore(database, utc_now)
    await ledger.page(1, after=("1", "1"), count=10)
    await ledger.history("2", account_id=1, count=10)
    await ledger.remove(1, "2", source="operator")


async def generic_plan(driver: Any, statement: str) -> str:
    """How PostgreSQL runs a statement whose values it does not know."""
    values = max((int(number) for number in re.findall(r"\$(\d+)", statement)), default=0)
    await driver.execute("SET plan_cache_mode = force_generic_plan")
    await driver.execute(f"PREPARE hot AS {statement}")
    nulls = f"({', '.join(['NULL'] * values)})" if values else ""
    rows = await driver.fetch(f"EXPLAIN EXECUTE hot{nulls}")
    await driver.execute("DEALLOCATE hot")
    return "\n".join(row[0] for row in rows)


def scanned(plan: str) -> list[str]:
    """The big tables that a plan reads from end to end."""
    return [name for name in BIG if re.search(rf"Seq Scan on {name}\b", plan)]


@pytest.mark.untouched
async def test_hot_statements_scan_no_empty_table(postgres_url: str) -> None:
    database = Database(postgres_url)
    async with database.driver() as driver:
        plans = {name: await generic_plan(driver, statement) for name, statement in HOT.items()}
    await database.close()
    assert [(name, scanned(plan), plan) for name, plan in plans.items() if scanned(plan)] == []
