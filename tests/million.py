"""A database as it is after ten days and a million messages, on either engine. Free of pytest: benchmarks use it too.

Each table is filled by one INSERT … SELECT, written with words that both engines know; what they say differently is
in Words. One account has most of everything, one has a part, some nine hundred have a little each, one has nothing but
a thousand of the oldest messages, and some have nothing at all.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy.engine import make_url

from longcode.store.database import to_micros

MESSAGES: Final = 1_000_000
DAYS: Final = 10
STEP: Final = timedelta(days=DAYS) / MESSAGES

HUGE, BIG, SMALL, EARLY, EMPTY = 1, 2, 403, 999, 1000

OURS: Final = "'+120255501' || (10 + n % 90)"
THEIRS: Final = "'+4477009' || (10000 + n % 50000)"
# A fifth of the messages is between two numbers of the huge account.
HOT_NUMBER: Final = "+12025550110"
HOT_PARTY: Final = "+447700910000"
_HOT: Final = "n % 10 < 2"
ACCOUNT: Final = (
    f"CASE WHEN n <= 1000 THEN {EARLY} WHEN n % 10 < 6 THEN {HUGE} WHEN n % 10 < 8 THEN {BIG} ELSE 3 + n / 10 % 900 END"
)
_INBOUND: Final = "n % 5 = 0"
_BOXED: Final = "n % 20 IN (9, 15)"
_WAITS: Final = "n > 900000 AND n % 5 IN (2, 3)"
_TRIED: Final = "n > 800000 AND n % 5 IN (1, 4)"
OWNER: Final = f"CASE WHEN n % 10 < 6 THEN {HUGE} ELSE 3 + n % 900 END"


@dataclass(frozen=True, slots=True)
class Words:
    """What the two engines say differently.

    id: of a UUIDv7 of the n-th instant: a kind of four hexadecimal digits, and n. at: the n-th instant. octets:
    of a text.
    """

    series: str
    id: str
    at: str
    octets: str


POSTGRESQL: Final = Words(
    series="generate_series({first}::bigint, {last}, {every}) AS s(n)",
    id="(lpad(to_hex({first_milli} + n * {step_milli}), 12, '0') || '{kind}8' || lpad(to_hex(n), 15, '0'))::uuid",
    at="to_timestamp(({first_micro} + n * {step_micro})::float8 / 1000000)",
    octets="convert_to({text}, 'UTF8')",
)
SQLITE: Final = Words(
    series=(
        "(WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + {every} FROM s WHERE n + {every} <= {last})"
        " SELECT n FROM s)"
    ),
    id="printf('%012x{kind}8%015x', {first_milli} + n * {step_milli}, n)",
    at="({first_micro} + n * {step_micro})",
    octets="CAST({text} AS BLOB)",
)


@dataclass(frozen=True, slots=True)
class Filling:
    """The rows of one table: for each n from `first` to `last`, in steps of `every`, of which `only` holds.

    columns: an expression of n each.
    """

    table: str
    columns: Mapping[str, str]
    last: int = MESSAGES
    first: int = 1
    every: int = 1
    only: str = ""


FILLINGS: Final = (
    Filling("account", {"id": "n", "name": "'account ' || n", "secret_hash": "''", "created_at": "{now}"}, 1000),
    Filling(
        "message",
        {
            "id": "{id:7000}",
            "account_id": ACCOUNT,
            "direction": f"CASE WHEN {_INBOUND} THEN 'inbound' ELSE 'outbound' END",
            "medium": f"CASE WHEN {_BOXED} THEN 'mailbox' ELSE 'sms' END",
            "sender": (
                f"CASE WHEN n % 40 = 15 THEN 'bob' WHEN {_BOXED} THEN 's' || n % 1000"
                f" WHEN n % 10 = 0 THEN '{HOT_PARTY}' WHEN n % 10 = 1 THEN '{HOT_NUMBER}'"
                f" WHEN {_INBOUND} THEN {THEIRS} ELSE {OURS} END"
            ),
            "recipient": (
                f"CASE WHEN {_BOXED} THEN 'alice' WHEN n % 10 = 0 THEN '{HOT_NUMBER}'"
                f" WHEN n % 10 = 1 THEN '{HOT_PARTY}' WHEN {_INBOUND} THEN {OURS} ELSE {THEIRS} END"
            ),
            "text": "'Your code is ' || n",
            "sent_at_seconds": "{first_milli} / 1000 + n * {step_milli} / 1000",
            "status": (
                f"CASE WHEN {_INBOUND} THEN 'received'"
                f" WHEN {_WAITS} THEN CASE n % 5 WHEN 2 THEN 'queued' ELSE 'scheduled' END"
                " WHEN n < 200000 AND n % 10007 = 0 THEN 'failed' ELSE 'delivered' END"
            ),
            "client_reference": "CASE WHEN n % 30 = 1 THEN 'campaign' WHEN n % 3 = 0 THEN 'r-' || n END",
            "encoding": "'gsm7'",
            "segment_count": "1 + n % 2",
            "created_at": "{at}",
            "updated_at": "{at}",
        },
    ),
    Filling(
        "mailbox",
        {
            "account_id": ACCOUNT,
            "recipient": "'alice'",
            "sender": "CASE WHEN n % 40 = 15 THEN 'bob' ELSE 's' || n % 1000 END",
            "at": "{at}",
            "message_id": "{id:7000}",
            "fetched_at": "CASE WHEN n < 990000 AND n % 7 > 0 THEN {at} END",
            "xact": "n / 4000",
        },
        only=_BOXED,
    ),
    Filling(
        "outbox",
        {
            "message_id": "{id:7000}",
            "account_id": ACCOUNT,
            "carrier_id": "CASE WHEN n % 500 > 0 THEN 1 + n % 3 END",
            "priority": "n % 4",
            "due_at": "{at}",
            "leased_until": "CASE WHEN n % 51 = 0 THEN {now} END",
            "expires_at": "{later}",
            "deferrals": "0",
        },
        only=_WAITS,
    ),
    Filling(
        "attempt",
        {
            "id": "{id:7001}",
            "message_id": "{id:7000}",
            "segment_index": "0",
            "segment_total": "1",
            "carrier_id": "1 + n % 3",
            "started_at": "{at}",
        },
        only=_TRIED,
    ),
    Filling(
        "outcome",
        {
            "attempt_id": "{id:7001}",
            "kind": "CASE WHEN n % 100 = 4 THEN 'unconfirmed' ELSE 'accepted' END",
            "message_id": "{id:7000}",
            "segment_index": "0",
            "segment_total": "1",
            "carrier_id": "1 + n % 3",
            "reference": "CASE WHEN n % 100 <> 4 THEN 'ref-' || n END",
            "ended_at": "{at}",
        },
        only=_TRIED,
    ),
    Filling(
        "receipt",
        {
            "id": "{id:7002}",
            "carrier_id": "1 + n % 3",
            "reference": "'ref-' || n",
            "status": "'delivered'",
            "whole_message": "n < 0",
            "sender": "'a'",
            "recipient": "'+b'",
            "raw": "''",
            "received_at": "{at}",
        },
        only=f"{_TRIED} OR n % 40 = 2",
    ),
    Filling("stray_receipt", {"receipt_id": "{id:7002}", "received_at": "{at}"}, every=40, first=2),
    Filling(
        "idempotency",
        {
            "account_id": "CASE WHEN n % 20 = 0 THEN 0 ELSE 1 + n % 900 END",
            "key": "'send:r-' || n",
            "fingerprint": "{octets:''}",
            "message_id": "{id:7000}",
            "created_at": "{at}",
        },
        first=800_000,
        every=2,
    ),
    Filling("event_listener", {"account_id": "n"}, 100),
    Filling(
        "event",
        {
            "id": "{id:7003}",
            "account_id": ACCOUNT,
            "type": "'message.delivered'",
            "message_id": "{id:7000}",
            "occurred_at": "{at}",
            "xact": "n / 4000",
        },
        every=4,
        first=4,
    ),
    Filling(
        "webhook_endpoint",
        {
            "id": "n",
            "account_id": f"CASE WHEN n <= 25 THEN {HUGE} ELSE n % 900 + 1 END",
            "url": "'https://customer.example/' || n",
            "types": "'[\"message.delivered\"]'",
            "secret": "''",
            "allow_private": "n < 0",
            "created_at": "{now}",
        },
        500,
    ),
    Filling(
        "webhook_subscription",
        {
            "account_id": f"CASE WHEN n <= 25 THEN {HUGE} ELSE n % 900 + 1 END",
            "type": "'message.delivered'",
            "endpoint_id": "n",
        },
        500,
    ),
    Filling(
        "webhook_queue",
        {
            "event_id": "{id:7003}",
            "endpoint_id": "CASE WHEN n % 100 > 0 THEN 1 ELSE 1 + n / 100 % 400 END",
            "due_at": "{at}",
            "tries": "0",
        },
        first=800_000,
        every=4,
    ),
    Filling(
        "webhook_attempt",
        {
            "id": "{id:7004}",
            "endpoint_id": "CASE WHEN n % 16 > 0 THEN 1 ELSE 1 + n / 16 % 400 END",
            "event_id": "{id:7003}",
            "status": "200",
            "error": "CASE WHEN n < 800 THEN 'status 500' END",
            "milliseconds": "1",
            "ended_at": "{at}",
        },
        every=4,
        first=4,
    ),
    Filling(
        "opt_out",
        {"account_id": OWNER, "recipient": "'44' || (1000000 + n)", "source": "'import'", "created_at": "{at}"},
        100_000,
    ),
    Filling(
        "number_opt_out",
        {
            "account_id": OWNER,
            "recipient": "'44' || (1000000 + n)",
            "sender": "'120255501' || (10 + n % 90)",
            "source": "'keyword'",
            "created_at": "{at}",
        },
        50_000,
    ),
    Filling(
        "opt_out_event",
        {
            "account_id": OWNER,
            "recipient": "CASE WHEN n % 500 = 0 THEN '441000000' ELSE '44' || (1000000 + n) END",
            "change": "'created'",
            "source": "'import'",
            "created_at": "{at}",
        },
        100_000,
    ),
    Filling(
        "number",
        {
            "id": "n",
            "account_id": f"CASE WHEN n <= 3000 THEN {HUGE} ELSE n % 1000 + 1 END",
            "value": "'+1' || (1000000000 + n)",
            "digits": "'1' || (1000000000 + n)",
            "monthly_price": "n % 7",
            "setup_price": "n % 5",
            "currency": "'U$'",
            "assigned": "n % 100 > 0",
            "created_at": "{now}",
        },
        20_000,
    ),
    Filling("sender_id", {"account_id": "1 + n % 1000", "value": "'Sender' || n"}, 10_000),
    Filling("login", {"account_id": "1 + n % 100", "login": "'login' || n", "created_at": "{now}"}, 20_000),
    Filling(
        "api_key",
        {"account_id": "1 + n % 100", "key_hash": "{octets:'key' || n}", "hint": "''", "created_at": "{now}"},
        20_000,
    ),
    Filling("operator_key", {"key_hash": "{octets:'key' || n}", "hint": "''", "created_at": "{now}"}, 1000),
    Filling("sender_pool", {"account_id": "1 + n % 10", "name": "'pool' || n", "created_at": "{now}"}, 5000),
    Filling(
        "pool_sender",
        {
            "pool_id": "1 + n % 5000",
            "sender": "'1' || (1000000000 + n)",
            "value": "'+1' || (1000000000 + n)",
            "recipients": "1",
            "added_at": "{now}",
        },
        20_000,
    ),
    Filling(
        "pool_recipient",
        {"pool_id": "1 + n % 10", "recipient": "'44' || n", "sender": "'1' || n", "since": "{now}"},
        50_000,
    ),
    Filling(
        "stop_request",
        {
            "message_id": "{id:7000}",
            "account_id": ACCOUNT,
            "sender": THEIRS,
            "recipient": OURS,
            "requested_at": "{at}",
        },
        every=50,
        first=50,
    ),
    Filling(
        "stop_pair",
        {"account_id": OWNER, "sender": OURS, "recipient": "'44' || n", "expires_at": "{at}"},
        every=20,
        first=3,
    ),
    Filling(
        "sender_window",
        {"account_id": OWNER, "sender": "'1' || n", "calls": "1", "expires_at": "{at}"},
        every=50,
        first=3,
    ),
    Filling("pace_bucket", {"name": "'pace ' || n", "full_at": "{now}"}, 20_000),
    Filling(
        "inbound_word",
        {
            "message_id": "{id:7000}",
            "account_id": ACCOUNT,
            "meaning": "CASE WHEN n % 500 = 0 THEN 'doubtful' ELSE 'stop' END",
            "word": "'stop'",
        },
        every=50,
        first=50,
    ),
    Filling(
        "auto_reply",
        {
            "message_id": "{id:7005}",
            "inbound_id": "{id:7000}",
            "account_id": ACCOUNT,
            "sender": OURS,
            "recipient": THEIRS,
            "kind": "'stop'",
            "despite_opt_out": "n > 0",
            "created_at": "{at}",
        },
        every=50,
        first=50,
    ),
    Filling(
        "inbound_set",
        {
            "id": "{id:7006}",
            "carrier_id": "1",
            "sender": THEIRS,
            "recipient": OURS,
            "reference": "n % 256",
            "total": "2",
            "started_at": "{at}",
            "closed_at": "CASE WHEN n < 999000 THEN {at} END",
            "delivered_at": "CASE WHEN n < 999000 THEN {at} END",
        },
        every=50,
        first=50,
    ),
    Filling(
        "inbound_part",
        {
            "carrier_id": "1",
            "fingerprint": "{octets:'part' || n}",
            "set_id": "{id:7006}",
            "part_index": "0",
            "encoding": "'gsm7'",
            "octets": "{octets:'Hello'}",
            "received_at": "{at}",
        },
        every=50,
        first=50,
    ),
    Filling(
        "inbound_unowned",
        {
            "id": "{id:7007}",
            "carrier_id": "1",
            "sender": THEIRS,
            "recipient": OURS,
            "text": "'Hello'",
            "partial": "n < 0",
            "received_at": "{at}",
            "delivery": "CASE WHEN n > 990000 THEN 'delivery ' || n END",
        },
        every=50,
        first=50,
    ),
    Filling(
        "simulator_message",
        {"message_id": "{id:7000}", "segment_index": "0", "carrier_id": "1", "refusals": "0", "reference": "'r'"},
        every=50,
        first=1,
    ),
    Filling(
        "simulator_receipt",
        {
            "id": "{id:7008}",
            "carrier_id": "1",
            "reference": "'r'",
            "attempt_id": "{id:7001}",
            "status": "'delivered'",
            "due_at": "{at}",
        },
        every=50,
        first=1,
    ),
    Filling("message_webhook", {"message_id": "{id:7000}", "endpoint_id": "26"}, every=50, first=50),
    Filling(
        "keyed_call",
        {
            "account_id": ACCOUNT,
            "key": "'key ' || n",
            "fingerprint": "{octets:''}",
            "claimed_until": "{at}",
            "answer": "'{}'",
            "created_at": "{at}",
        },
        every=50,
        first=50,
    ),
    Filling(
        "mailbox_ack",
        {"account_id": "n", "recipient": "'alice'", "xact": "0", "message_id": "{id:7000}", "acked_at": "{now}"},
        900,
    ),
    Filling(
        "carrier",
        {
            "id": "n",
            "name": "'carrier ' || n",
            "driver": "'simulator'",
            "settings": "'{}'",
            "paused": "n < 0",
            "created_at": "{now}",
        },
        3,
    ),
    Filling("removed_carrier", {"id": "100 + n", "name": "'gone'", "driver": "'simulator'", "removed_at": "{now}"}, 20),
    Filling(
        "keyword",
        {
            "account_id": "1 + n % 100",
            "number": "''",
            "word": "'word' || n",
            "meaning": "'stop'",
            "language": "''",
        },
        1000,
    ),
)
_TABLES: Final = tuple(filling.table for filling in FILLINGS)
_INDEXES: Final = """
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), c.conname, pg_get_constraintdef(c.oid)
  FROM pg_index AS i LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid
 WHERE i.indrelid = $1::text::regclass
"""


@dataclass(frozen=True, slots=True)
class Million:
    """Where things are in a filled database. now: the instant of the last message."""

    now: datetime

    def at(self, n: int) -> datetime:
        """The n-th instant."""
        return self._first + n * STEP

    def id(self, n: int, kind: str = "7000") -> UUID:
        """The n-th id; that of the n-th message unless `kind` says otherwise."""
        milli = to_micros(self._first) // 1000 + n * (STEP // timedelta(milliseconds=1))
        return UUID(f"{milli:012x}{kind}8{n:015x}")

    @property
    def _first(self) -> datetime:
        return self.now - MESSAGES * STEP


async def fill(url: str) -> Million:
    """Fill a migrated database that nobody uses."""
    now = datetime.now(UTC)
    place = Million(now.replace(microsecond=now.microsecond // 1000 * 1000))
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        _fill_sqlite(str(parsed.database), place)
    else:
        await _fill_postgresql(parsed.set(drivername="postgresql").render_as_string(hide_password=False), place)
    return place


def _fill_sqlite(path: str, place: Million) -> None:
    """Nothing is analyzed: Longcode never does, so that SQLite plans the same whatever a table holds."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -20000;"
            "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF"
        )
        found = connection.execute("SELECT name, sql, tbl_name FROM sqlite_master WHERE type = 'index'").fetchall()
        indexes = {name: made for name, made, table in found if made is not None and table in _TABLES}
        connection.execute("BEGIN")
        for statement in (
            *(f"DROP INDEX {name}" for name in indexes),
            *(_statement(filling, SQLITE, place) for filling in FILLINGS),
            *indexes.values(),
        ):
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


async def _fill_postgresql(url: str, place: Million) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            # Emptied in the same transaction, so that what is written needs no log; and no foreign key is looked up.
            await connection.execute(f"TRUNCATE {', '.join(_TABLES)} CASCADE")
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
            made_again = await _drop_indexes(connection)
            for filling in FILLINGS:
                await connection.execute(_statement(filling, POSTGRESQL, place))
            for statement in made_again:
                await connection.execute(statement)
            for table in (filling.table for filling in FILLINGS if filling.columns.get("id") == "n"):
                if await connection.fetchval("SELECT pg_get_serial_sequence($1, 'id')", table):
                    await connection.execute(
                        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
                    )
        # As autovacuum does for whoever has so many rows.
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def _drop_indexes(connection: Any) -> list[str]:
    """Drop the big tables' indexes, which at the end are made in a tenth of the time; what makes them again."""
    made_again = []
    for table in (filling.table for filling in FILLINGS if filling.last == MESSAGES):
        for name, made, constraint, rule in await connection.fetch(_INDEXES, table):
            if constraint is None:
                await connection.execute(f"DROP INDEX {name}")
                made_again.append(made)
            else:
                await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
                made_again.append(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {rule}")
    return made_again


def _statement(filling: Filling, words: Words, place: Million) -> str:
    first = to_micros(place.at(0))
    figures = {
        "first": filling.first,
        "last": filling.last,
        "every": filling.every,
        "first_milli": first // 1000,
        "first_micro": first,
        "step_milli": STEP // timedelta(milliseconds=1),
        "step_micro": STEP // timedelta(microseconds=1),
    }
    query = f"SELECT {', '.join(filling.columns.values())} FROM {words.series}"
    if filling.only:
        query += f" WHERE {filling.only}"
    query = re.sub(r"\{id:(\w+)\}", lambda found: words.id.replace("{kind}", found[1]), query)
    query = re.sub(r"\{octets:([^}]*)\}", lambda found: words.octets.replace("{text}", found[1]), query)
    for name, n in (("at", "n"), ("now", f"CAST({MESSAGES} AS bigint)"), ("later", f"CAST({2 * MESSAGES} AS bigint)")):
        query = query.replace(f"{{{name}}}", re.sub(r"\bn\b", n, words.at))
    for name, figure in figures.items():
        query = query.replace(f"{{{name}}}", str(figure))
    return f"INSERT INTO {filling.table} ({', '.join(filling.columns)}) {query}"
