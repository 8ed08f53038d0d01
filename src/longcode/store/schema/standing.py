"""Opt-outs, and the state that expires."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    Uuid,
)

from longcode.store.database import Instant
from longcode.store.schema.metadata import metadata

# Permanent opt-outs; the recipient in its canonical form.
opt_out = Table(
    "opt_out",
    metadata,
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("recipient", String(64), primary_key=True),
    Column("source", String(32), nullable=False),
    Column("created_at", Instant, nullable=False),
)

# Append-only: each STOP that was taken, from which the expiring pairs are rebuilt.
stop_request = Table(
    "stop_request",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("sender", Text, nullable=False),  # may no longer write …
    Column("recipient", Text, nullable=False),  # … to this one, who said STOP
    Column("requested_at", Instant, nullable=False),
    Index("ix_stop_request_requested_at", "requested_at"),
)

# The expiring state where there is no Redis.
stop_pair = Table(
    "stop_pair",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("expires_at", Instant, nullable=False),
    Index("ix_stop_pair_expires_at", "expires_at"),
)

sender_window = Table(
    "sender_window",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_sender_window_expires_at", "expires_at"),
)

# A row for each pace that was ever asked for; its bucket is full from full_at on.
pace_bucket = Table(
    "pace_bucket",
    metadata,
    Column("name", Text, primary_key=True),
    Column("full_at", Instant, nullable=False),
)
