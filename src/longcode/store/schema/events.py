"""What happened, for the customers who listen, and the webhooks by which they hear of it."""

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
    text,
)

from longcode.store.database import Instant
from longcode.store.schema.metadata import Serial, account_column, metadata

# The accounts that somebody listens to. Events are written for these alone, so that they cost nothing elsewhere.
event_listener = Table(
    "event_listener",
    metadata,
    Column("account_id", ForeignKey("account.id"), primary_key=True, autoincrement=False),
)

# Append-only, written in the transaction of what happened; kept for the retention. Ids are UUIDv7: a period is a range.
# Readers that follow it go by (xact, id): xact is the transaction's id on PostgreSQL, so that who stops at the oldest
# running transaction misses none that commits late; on SQLite, where one commits after the other, a running number.
event = Table(
    "event",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("type", String(24), nullable=False),
    Column("message_id", Uuid),  # what it is about, if that is a message
    Column("error", String(64)),  # of the message, as it was then
    Column("data", JSON(none_as_null=True)),  # what it is about, if that is no message
    Column("occurred_at", Instant, nullable=False),
    Column("xact", BigInteger, nullable=False),
    Index("ix_event_account_id", "account_id", "xact", "id"),
)

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("id", Serial, primary_key=True),
    account_column(),
    Column("url", Text, nullable=False),
    Column("types", JSON, nullable=False),  # a list; what it is sent
    Column("secret", Text, nullable=False),  # sealed
    Column("old_secret", Text),  # sealed; signs too …
    Column("old_secret_until", Instant),  # … until then
    Column("allow_private", Boolean, nullable=False),
    Column("disabled_at", Instant),
    Column("disabled_reason", Text),
    Column("created_at", Instant, nullable=False),
    # It hears of those messages alone that name it; it is in no subscription.
    Column("per_message", Boolean, nullable=False, server_default=text("false")),
    Index("ix_webhook_endpoint_account_id", "account_id", "id"),
    Index(
        "uq_webhook_endpoint_per_message",
        "account_id",
        "url",
        unique=True,
        postgresql_where=text("per_message"),
        sqlite_where=text("per_message"),
    ),
    sqlite_autoincrement=True,  # an id, once removed, never names another endpoint
)

# What each endpoint that is not disabled is sent, a row a type: what the statements that write events ask.
webhook_subscription = Table(
    "webhook_subscription",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("type", String(24), primary_key=True),
    Column("endpoint_id", BigInteger, primary_key=True, autoincrement=False),
)

# The endpoint that a message named, beside those that subscribed. No column of `message`: few have one, and the
# statements that write events would read the wide row for it.
message_webhook = Table(
    "message_webhook",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("endpoint_id", BigInteger, nullable=False),
)

# One narrow row for each event that an endpoint has not taken yet; deleted when it has, or when it is given up.
webhook_queue = Table(
    "webhook_queue",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("endpoint_id", BigInteger, primary_key=True, autoincrement=False),
    Column("due_at", Instant, nullable=False),
    Column("leased_until", Instant),
    Column("tries", SmallInteger, nullable=False),
    # Without the event: the key finds that, and the planner must not look for it here.
    Index("ix_webhook_queue_claim", "endpoint_id", "due_at"),
    postgresql_with={"fillfactor": 60, "autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_threshold": 1000},
)

# Append-only: what came of each try. Kept for the retention; its ids are UUIDv7 too.
webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("endpoint_id", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("status", SmallInteger),  # of the answer; NULL where there was none
    Column("error", Text),  # why it does not count as delivered
    Column("milliseconds", Integer, nullable=False),
    Column("ended_at", Instant, nullable=False),
    Index("ix_webhook_attempt_endpoint_id", "endpoint_id", "id"),
    # The few that went wrong, for whoever asks for those alone.
    Index(
        "ix_webhook_attempt_failed",
        "endpoint_id",
        "id",
        postgresql_where=text("error IS NOT NULL"),
        sqlite_where=text("error IS NOT NULL"),
    ),
)
