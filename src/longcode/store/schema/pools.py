"""Pools of senders, and which sender a recipient knows."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text, UniqueConstraint

from longcode.store.database import Instant
from longcode.store.schema.metadata import Serial, account_column, metadata

sender_pool = Table(
    "sender_pool",
    metadata,
    Column("id", Serial, primary_key=True),
    account_column(),
    Column("name", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("account_id", "name"),
)

pool_sender = Table(
    "pool_sender",
    metadata,
    Column("pool_id", ForeignKey("sender_pool.id"), primary_key=True),
    Column("sender", String(64), primary_key=True),  # in its canonical form
    Column("value", String(64), nullable=False),  # as the operator wrote it
    Column("recipients", BigInteger, nullable=False),  # how many know it
    Column("added_at", Instant, nullable=False),
)

# Which of a pool's senders writes to a recipient.
pool_recipient = Table(
    "pool_recipient",
    metadata,
    Column("pool_id", ForeignKey("sender_pool.id"), primary_key=True),
    Column("recipient", Text, primary_key=True),  # in its canonical form
    Column("sender", String(64), nullable=False),
    Column("since", Instant, nullable=False),
)
