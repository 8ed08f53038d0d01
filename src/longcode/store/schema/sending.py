"""The queue, and everything that happened to a message on its way out."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)

from longcode.store.database import Instant
from longcode.store.schema.metadata import metadata

# One narrow row for each message that still has to reach a carrier; deleted at its end.
outbox = Table(
    "outbox",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("carrier_id", BigInteger),  # NULL: no route yet
    Column("priority", SmallInteger, nullable=False),  # 0 goes first
    Column("due_at", Instant, nullable=False),
    Column("leased_until", Instant),
    Column("expires_at", Instant, nullable=False),
    Column("deferrals", Integer, nullable=False),
    Index("ix_outbox_claim", "carrier_id", "priority", "account_id", "due_at", "message_id"),
    postgresql_with={"autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_threshold": 1000},
)

# Append-only: committed before a segment is handed to its carrier.
attempt = Table(
    "attempt",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("message_id", Uuid, nullable=False),
    Column("segment_index", SmallInteger, nullable=False),
    Column("segment_total", SmallInteger, nullable=False),  # as the carrier's segmentation has it
    Column("carrier_id", BigInteger, nullable=False),
    Column("started_at", Instant, nullable=False),
    Index("ix_attempt_message_id", "message_id", "segment_index"),
)

# Append-only: how an attempt ended. An attempt without one was cut, or is still in the air; one
# that was unconfirmed is accepted too once a receipt proves it.
outcome = Table(
    "outcome",
    metadata,
    Column("attempt_id", Uuid, primary_key=True),
    Column("kind", String(12), primary_key=True),  # accepted, rejected, deferred, unconfirmed, unwritten
    Column("message_id", Uuid, nullable=False),
    Column("segment_index", SmallInteger, nullable=False),
    Column("segment_total", SmallInteger, nullable=False),
    Column("carrier_id", BigInteger, nullable=False),
    Column("reference", Text),
    Column("code", String(64)),
    Column("reason", Text),
    Column("ended_at", Instant, nullable=False),
    Index("ix_outcome_message_id", "message_id", "segment_index"),
    Index(
        "ix_outcome_reference",
        "reference",
        "carrier_id",
        postgresql_where=text("reference IS NOT NULL"),
        sqlite_where=text("reference IS NOT NULL"),
    ),
    Index(
        "ix_outcome_unconfirmed",
        "carrier_id",
        "ended_at",
        postgresql_where=text("kind = 'unconfirmed'"),
        sqlite_where=text("kind = 'unconfirmed'"),
    ),
)

# Append-only: every receipt as it was received, known or not. `raw` keeps the reference as it came;
# `reference` takes the spelling of the answer that it belongs to.
receipt = Table(
    "receipt",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("carrier_id", BigInteger),  # NULL: the door names no carrier
    Column("reference", Text, nullable=False),
    Column("attempt_id", Uuid),
    Column("status", String(12), nullable=False),
    Column("error_code", String(64)),
    Column("whole_message", Boolean, nullable=False),
    Column("sender", Text),
    Column("recipient", Text),
    Column("raw", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Index("ix_receipt_reference", "reference"),
    Index("ix_receipt_received_at", "received_at", "id"),
)

# Receipts that fit no message so far: what the operator looks through, and what an unconfirmed
# attempt may still be proven by.
stray_receipt = Table(
    "stray_receipt",
    metadata,
    Column("receipt_id", Uuid, primary_key=True),
    Column("received_at", Instant, nullable=False),
    Index("ix_stray_receipt_received_at", "received_at", "receipt_id"),
)
