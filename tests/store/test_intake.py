"""The hot statements of accept: what they answer and what one insert keeps together, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from longcode.domain.clock import mint_id, utc_now
from longcode.domain.message import Direction, Medium, Message, Status
from longcode.store import schema
from longcode.store.accounts import AccountStore
from longcode.store.catalog import CatalogStore
from longcode.store.database import Database, is_taken_name
from longcode.store.intake import IntakeStore
from longcode.store.lookups import Known, Lookups, Owner, StoredKey
from longcode.store.mailbox import MailboxStore
from longcode.store.messages import MessageStore
from longcode.store.new_messages import KeyClaim, NewMessage
from longcode.store.numbers import NumberStore
from longcode.store.opt_outs import OptOutStore

NOW = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
TABLES = ("message", "outbox", "idempotency", "mailbox", "stop_request")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


def new(account_id: int = 1, *, columns: dict[str, Any] | None = None, **beside: Any) -> NewMessage:
    values: dict[str, Any] = {
        "id": mint_id(),
        "account_id": account_id,
        "direction": Direction.OUTBOUND,
        "medium": Medium.SMS,
        "sender": "MyCorp",
        "recipient": "+12025550101",
        "text": "Hello €🙂\nSTOP",
        "sent_at_seconds": 2**40,
        "status": Status.QUEUED,
        "client_reference": "mine",
        "provider_reference": None,
        "encoding": "ucs2",
        "segment_count": 1,
        "error": None,
        "created_at": NOW,
    }
    message = Message(**values | (columns or {}))
    return NewMessage(**{"message": message, "call_id": message.id} | beside)


def claim(message: NewMessage, key: str = "a", account_id: int = 1) -> KeyClaim:
    return KeyClaim(account_id, key, b"fingerprint", message.call_id, NOW)


async def counts(database: Database) -> dict[str, int]:
    found = {}
    async with database.read() as connection:
        for name in TABLES:
            query = select(func.count()).select_from(schema.metadata.tables[name])
            found[name] = (await connection.execute(query)).scalar_one()
    return {name: count for name, count in found.items() if count}


async def test_preflight_answers_what_is_asked_and_nothing_else(database: Database) -> None:
    store = IntakeStore(database)
    accounts, numbers = AccountStore(database, utc_now), NumberStore(database, utc_now)
    one, two = await accounts.create("one", ""), await accounts.create("two", "")
    await numbers.assign(one.id, "+1 202 555 0100")
    await accounts.add_sender_id(one.id, "MyCorp")
    await accounts.add_sender_id(two.id, "Other")
    await MailboxStore(database, utc_now).register(one.id, "anna")
    ledger = OptOutStore(database, utc_now)
    await ledger.add(one.id, "12025550101", source="operator")
    await ledger.add(one.id, "12025550102", source="operator", sender="MyCorp")
    message = new(one.id)
    await store.insert([message], [claim(message, account_id=one.id)])
    pairs = {(account.id, name) for account in (one, two) for name in ("MyCorp", "Other", "mycorp")}
    known = await store.preflight(
        Lookups(
            keys={(one.id, "a"), (two.id, "a"), (one.id, "b")},
            numbers={"12025550100", "12025550101"},
            sender_ids=pairs,
            logins={(one.id, "anna"), (two.id, "anna"), (one.id, "Anna")},
            parties={
                (account.id, sender, recipient)
                for account in (one, two)
                for sender in ("MyCorp", "Other")
                for recipient in ("12025550101", "12025550102", "12025550103")
            },
        )
    )
    assert known == Known(
        catalog_version=known.catalog_version,
        keys={(one.id, "a"): StoredKey(b"fingerprint", message.message.id)},
        owners={"12025550100": Owner(one.id, "+1 202 555 0100")},
        sender_ids={(one.id, "MyCorp"), (two.id, "Other")},
        logins={(one.id, "anna")},
        opted_out={
            (one.id, "MyCorp", "12025550101"),
            (one.id, "Other", "12025550101"),
            (one.id, "MyCorp", "12025550102"),
        },
    )
    assert await store.preflight(Lookups()) == Known(catalog_version=known.catalog_version)


async def test_every_change_of_the_catalogue_is_seen_by_the_next_preflight(database: Database) -> None:
    store, accounts = IntakeStore(database), AccountStore(database, utc_now)
    catalog = CatalogStore(database, utc_now)
    seen = [(await store.preflight(Lookups())).catalog_version]
    account = await accounts.create("one", "")
    seen.append((await store.preflight(Lookups())).catalog_version)
    for change in (
        accounts.add_sender_id(account.id, "MyCorp"),
        accounts.set_secret(account.id, "other"),
        NumberStore(database, utc_now).assign(account.id, "+12025550100"),
        catalog.add_carrier("sim", "simulator", {}),
        catalog.add_route("sim", prefix="1", account_id=None, priority=0),
    ):
        await change
        seen.append((await store.preflight(Lookups())).catalog_version)
    assert seen == sorted(set(seen))
    assert seen[-1] == await catalog.version()


async def test_what_is_inserted_is_read_back_as_it_was(database: Database) -> None:
    store = IntakeStore(database)
    messages = [new(), new(columns={"text": "", "client_reference": None, "sent_at_seconds": 0})]
    assert await store.insert(messages, []) == set()
    ids = [message.message.id for message in messages]
    assert await store.messages([*ids, mint_id()]) == {message.message.id: message.message for message in messages}
    assert await store.messages([]) == {}
    assert await MessageStore(database).get(1, ids[0]) == messages[0].message
    assert await MessageStore(database).get(2, ids[0]) is None


async def test_what_belongs_to_a_message_is_inserted_with_it(database: Database) -> None:
    store = IntakeStore(database)
    due, end = NOW + timedelta(hours=1), NOW + timedelta(days=1)
    queued = new(queued=True, carrier_id=7, priority=3, due_at=due, validity=end - due)
    unrouted = new(queued=True, due_at=due, validity=end - due)
    boxed, stop = new(boxed_at=NOW), new(stop=True)
    claimed = await store.insert([queued, unrouted, boxed, stop], [claim(queued), claim(boxed, "b")])
    assert claimed == {queued.call_id, boxed.call_id}
    assert await counts(database) == {"message": 4, "outbox": 2, "idempotency": 2, "mailbox": 1, "stop_request": 1}
    async with database.read() as connection:
        rows = {row.message_id: row for row in await connection.execute(select(schema.outbox))}
    row = rows[queued.message.id]
    assert (row.carrier_id, row.priority, row.due_at, row.expires_at) == (7, 3, due, end)
    assert rows[unrouted.message.id].carrier_id is None
    assert await store.stored_key(1, "a") == StoredKey(b"fingerprint", queued.message.id)
    assert await store.stored_key(1, "c") is None
    assert await store.stored_key(2, "a") is None


async def test_what_is_due_at_once_goes_by_the_clock_that_claims_go_by(database: Database) -> None:
    ahead = new(queued=True, carrier_id=7, validity=timedelta(minutes=5))
    ahead = replace(ahead, message=replace(ahead.message, created_at=utc_now() + timedelta(hours=1)))
    await IntakeStore(database).insert([ahead], [])
    async with database.read() as connection:
        row = (await connection.execute(select(schema.outbox))).one()
    assert row.expires_at - row.due_at == timedelta(minutes=5)
    assert database.is_sqlite or row.due_at < utc_now() + timedelta(minutes=1)


async def test_a_day_of_validity_has_24_hours_also_where_the_clocks_are_set(postgres_url: str) -> None:
    due = datetime(2027, 3, 27, 12, tzinfo=UTC)  # the day before
    name = f'"{make_url(postgres_url).database}"'
    database = Database(postgres_url)
    try:
        async with database.write() as connection:
            await connection.exec_driver_sql(f"ALTER DATABASE {name} SET timezone = 'Europe/Berlin'")
        await IntakeStore(database).insert([new(queued=True, due_at=due, validity=timedelta(days=1))], [])
        async with database.read() as connection:
            row = (await connection.execute(select(schema.outbox))).one()
        assert row.expires_at - row.due_at == timedelta(hours=24)
    finally:
        async with database.write() as connection:
            await connection.exec_driver_sql(f"ALTER DATABASE {name} RESET timezone")
        await database.close()


async def test_a_call_whose_key_is_taken_is_left_out_with_all_that_belongs_to_it(database: Database) -> None:
    store = IntakeStore(database)
    first = new(queued=True, carrier_id=7, due_at=NOW)
    await store.insert([first], [claim(first)])
    lost = new(queued=True, carrier_id=7, due_at=NOW, stop=True)
    second = new(2, call_id=lost.call_id, boxed_at=NOW)
    neighbour = new()
    assert await store.insert([lost, second, neighbour], [claim(lost), claim(neighbour, "b")]) == {neighbour.call_id}
    assert await counts(database) == {"message": 2, "outbox": 1, "idempotency": 2}
    assert await store.stored_key(1, "a") == StoredKey(b"fingerprint", first.message.id)


async def test_an_insert_that_is_run_again_changes_nothing(database: Database) -> None:
    store = IntakeStore(database)
    keyed = new(queued=True, carrier_id=7, due_at=NOW)
    free = new(queued=True, carrier_id=7, due_at=NOW, boxed_at=NOW, stop=True)
    assert await store.insert([keyed, free], [claim(keyed)]) == {keyed.call_id}
    before = await counts(database)
    assert await store.insert([keyed, free], [claim(keyed)]) == set()
    assert await counts(database) == before


async def test_an_insert_keeps_all_or_nothing(database: Database) -> None:
    store = IntakeStore(database)
    first = new(boxed_at=NOW)
    await store.insert([first], [])
    twin, neighbour = new(boxed_at=NOW), new(queued=True, carrier_id=7, due_at=NOW)
    with pytest.raises(Exception) as raised:
        await store.insert([neighbour, twin], [claim(neighbour)])
    assert is_taken_name(raised.value)
    assert await counts(database) == {"message": 1, "mailbox": 1}


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("y")])
def test_other_errors_are_no_taken_names(error: Exception) -> None:
    assert not is_taken_name(error)
