"""Carriers, the way to them, and the simulator's own books."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)

from longcode.store.database import Instant
from longcode.store.schema.metadata import Serial, metadata

carrier = Table(
    "carrier",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("driver", String(32), nullable=False),
    Column("settings", JSON, nullable=False),  # secrets in it are encrypted
    Column("paused", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)

route = Table(
    "route",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("carrier_id", ForeignKey("carrier.id"), nullable=False),
    Column("prefix", String(20), nullable=False),  # digits; "" fits every recipient
    Column("account_id", ForeignKey("account.id")),  # NULL: every account
    Column("priority", Integer, nullable=False),
    Column("sender", Text),  # in its canonical form; NULL: every sender
    Column("weight", Integer),  # its share among equals; NULL: it takes part in no sharing
    Column("cost_micros", BigInteger),  # millionths of the currency, a segment; NULL: not known
    Column("currency", String(8)),
)

# A carrier that faults is left alone for a while; one row while it is.
carrier_circuit = Table(
    "carrier_circuit",
    metadata,
    Column("carrier_id", BigInteger, primary_key=True),
    Column("cause", String(64), nullable=False),  # the code of the last fault
    Column("opened_at", Instant, nullable=False),
    Column("until", Instant, nullable=False),  # from then on one message may try it
    Column("openings", Integer, nullable=False),  # without a success between them
    Column("probe_until", Instant),  # one process tries it until then
)

# Carriers that were removed: what was queued for one in that very moment is found and sent another way.
removed_carrier = Table(
    "removed_carrier",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False),
    Column("driver", String(32), nullable=False),
    Column("removed_at", Instant, nullable=False),
)

# What a process that has a carrier's links said of them last; it says so every second.
carrier_status = Table(
    "carrier_status",
    metadata,
    Column("carrier_id", BigInteger, primary_key=True),
    Column("process", Text, primary_key=True),
    Column("status", JSON, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

# What the simulator carrier took, and the receipts that it still owes.
simulator_message = Table(
    "simulator_message",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("segment_index", SmallInteger, primary_key=True),
    Column("carrier_id", BigInteger, nullable=False),
    Column("refusals", SmallInteger, nullable=False),  # how often it was turned away before it was taken
    Column("reference", Text),  # NULL until it was taken
)

simulator_receipt = Table(
    "simulator_receipt",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("carrier_id", BigInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Column("attempt_id", Uuid, nullable=False),
    Column("status", String(12), nullable=False),
    Column("error_code", String(64)),
    Column("due_at", Instant, nullable=False),
    Index("ix_simulator_receipt_due_at", "due_at", "id"),
)
