"""Every table, once, for both databases. Migrations follow it; a test holds them together.

Hot tables (message, outbox, attempt, outcome, receipt, idempotency, mailbox, inbound_*) have no foreign
keys among themselves: they are written together in one transaction, and each check would cost
an index look-up a row. What is append-only says so.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from longcode.store.database import Instant

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# BIGINT on PostgreSQL; SQLite only counts up by itself in an INTEGER key.
Serial = BigInteger().with_variant(Integer(), "sqlite")


def _account() -> Column[int]:
    return Column("account_id", ForeignKey("account.id"), nullable=False)


# Bumped with every change to accounts, numbers, senders, carriers, routes and paces; caches are keyed by it.
catalog_version = Table(
    "catalog_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("version", BigInteger, nullable=False),
)

account = Table(
    "account",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("secret_hash", Text, nullable=False),  # argon2
    Column("created_at", Instant, nullable=False),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Serial, primary_key=True),
    _account(),
    Column("key_hash", LargeBinary, nullable=False, unique=True),  # SHA-256 of 256 random bits
    Column("hint", String(16), nullable=False),  # its first characters, to tell keys apart
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Index("ix_api_key_account_id", "account_id", "id"),
)

number = Table(
    "number",
    metadata,
    Column("id", Serial, primary_key=True),
    _account(),
    Column("value", String(64), nullable=False),  # verbatim
    Column("digits", String(20), nullable=False),
    Column("monthly_price", Numeric(10, 2), nullable=False),
    Column("setup_price", Numeric(10, 2), nullable=False),
    Column("currency", String(8), nullable=False),
    Column("assigned", Boolean, nullable=False),  # by the operator; only then does it route
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("account_id", "digits"),
    Index("ix_number_account_id_id", "account_id", "id"),
    Index("ix_number_account_id_value", "account_id", "value", "id"),
    Index(
        "uq_number_digits_assigned",
        "digits",
        unique=True,
        postgresql_where=text("assigned"),
        sqlite_where=text("assigned"),
    ),
    sqlite_autoincrement=True,  # an id, once deleted, never names another number
)

sender_id = Table(
    "sender_id",
    metadata,
    Column("id", Serial, primary_key=True),
    _account(),
    Column("value", String(64), nullable=False),  # exact case
    UniqueConstraint("account_id", "value"),
)

login = Table(
    "login",
    metadata,
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("login", String(128), primary_key=True),
    Column("created_at", Instant, nullable=False),
)

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
)

# How fast an account may send, or one of its senders.
pace = Table(
    "pace",
    metadata,
    Column("id", Serial, primary_key=True),
    _account(),
    Column("sender", Text, nullable=False),  # in its canonical form; "": all of the account together
    Column("segments_per_second", Float, nullable=False),
    UniqueConstraint("account_id", "sender"),
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
    Column("kind", String(12), primary_key=True),  # accepted, rejected, deferred, unconfirmed
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

# The parts of one message that a carrier delivers one by one. Open while some are missing; closed for ever once
# they are all there or time is over; delivered once it is a message. Kept a while, so that a repeated part is known.
inbound_set = Table(
    "inbound_set",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("carrier_id", BigInteger, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("reference", Integer, nullable=False),
    Column("total", SmallInteger, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("delivered_at", Instant),
    Index(
        "uq_inbound_set_open",
        "carrier_id",
        "sender",
        "recipient",
        "reference",
        "total",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
    Index(
        "ix_inbound_set_due",
        "started_at",
        "id",
        postgresql_where=text("delivered_at IS NULL"),
        sqlite_where=text("delivered_at IS NULL"),
    ),
    Index("ix_inbound_set_delivered_at", "delivered_at"),
    Index("ix_inbound_set_sender", "sender", "recipient", "reference"),
)

inbound_part = Table(
    "inbound_part",
    metadata,
    Column("carrier_id", BigInteger, primary_key=True),
    Column("fingerprint", LargeBinary, primary_key=True),  # of the delivery: a repeat is no second row
    Column("set_id", Uuid, nullable=False),
    Column("part_index", SmallInteger, nullable=False),  # from 0
    Column("encoding", String(8), nullable=False),
    Column("octets", LargeBinary, nullable=False),  # a part may begin or end within a character
    Column("received_at", Instant, nullable=False),
    UniqueConstraint("set_id", "part_index"),
)

# What came to a number that nobody owns, for the operator to see.
inbound_unowned = Table(
    "inbound_unowned",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("carrier_id", BigInteger, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("partial", Boolean, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("delivery", Text, unique=True),  # tells a repeat; NULL once none is to be expected
    Index(
        "ix_inbound_unowned_fresh",
        "received_at",
        postgresql_where=text("delivery IS NOT NULL"),
        sqlite_where=text("delivery IS NOT NULL"),
    ),
)

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
