"""Messages, and what finds them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)

from longcode.store.database import Instant
from longcode.store.schema.metadata import metadata

# The wide row. Its updates (status, error) touch no index; the carrier's reference is in `outcome`.
message = Table(
    "message",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("direction", String(8), nullable=False),
    Column("medium", String(8), nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("sent_at_seconds", BigInteger, nullable=False),
    Column("status", String(12), nullable=False),
    Column("client_reference", Text),
    Column("encoding", String(8), nullable=False),
    Column("segment_count", SmallInteger, nullable=False),
    Column("error", String(64)),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    # Newest first, for whoever lists an account's messages: every insert goes to the account's last page of it.
    Index("ix_message_account_id", "account_id", "id"),
    Index(
        "ix_message_client_reference",
        "account_id",
        "client_reference",
        "id",
        postgresql_where=text("client_reference IS NOT NULL"),
        sqlite_where=text("client_reference IS NOT NULL"),
    ),
    # A conversation is read from both sides; mailbox messages are in none.
    Index(
        "ix_message_sender",
        "account_id",
        "sender",
        "sent_at_seconds",
        "id",
        postgresql_where=text("medium = 'sms'"),
        sqlite_where=text("medium = 'sms'"),
    ),
    Index(
        "ix_message_recipient",
        "account_id",
        "recipient",
        "sent_at_seconds",
        "id",
        postgresql_where=text("medium = 'sms'"),
        sqlite_where=text("medium = 'sms'"),
    ),
    postgresql_with={"fillfactor": 60},
)

# Kept for as long as the key must be remembered. Account 0 is nobody's: under it, for a while, are the carriers'
# deliveries, because a repeated one must be known even if its number has changed hands.
idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(
        "ix_idempotency_delivery",
        "created_at",
        postgresql_where=text("account_id = 0"),
        sqlite_where=text("account_id = 0"),
    ),
)

# What may be fetched, by whom, and whether it was. (sender, recipient, at) names one message.
mailbox = Table(
    "mailbox",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("message_id", Uuid, nullable=False),
    Column("fetched_at", Instant),
    # The order in which readers follow a box by (xact, message_id): see `event`. 0: from before there was an order.
    Column("xact", BigInteger, nullable=False, server_default="0"),
    Index("ix_mailbox_order", "account_id", "recipient", "xact", "message_id"),
    Index(
        "ix_mailbox_new",
        "account_id",
        "recipient",
        "sender",
        "at",
        postgresql_where=text("fetched_at IS NULL"),
        sqlite_where=text("fetched_at IS NULL"),
    ),
)

# How far whoever owns a box has read it; it only moves forward.
mailbox_ack = Table(
    "mailbox_ack",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("xact", BigInteger, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("acked_at", Instant, nullable=False),
)
