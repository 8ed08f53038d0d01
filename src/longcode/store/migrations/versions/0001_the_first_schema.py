"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from longcode.store.database import Instant

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Expand."""
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("name", name=op.f("uq_account_name")),
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("segment_index", sa.SmallInteger(), nullable=False),
        sa.Column("segment_total", sa.SmallInteger(), nullable=False),
        sa.Column("carrier_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    op.create_index("ix_attempt_message_id", "attempt", ["message_id", "segment_index"], unique=False)
    op.create_table(
        "carrier",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("driver", sa.String(length=32), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carrier")),
        sa.UniqueConstraint("name", name=op.f("uq_carrier_name")),
    )
    op.create_table(
        "carrier_status",
        sa.Column("carrier_id", sa.BigInteger(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("status", sa.JSON(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("carrier_id", "process", name=op.f("pk_carrier_status")),
    )
    op.create_table(
        "catalog_version",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_version")),
    )
    op.create_table(
        "idempotency",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(
        "ix_idempotency_delivery",
        "idempotency",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("account_id = 0"),
        sqlite_where=sa.text("account_id = 0"),
    )
    op.create_table(
        "inbound_part",
        sa.Column("carrier_id", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("set_id", sa.Uuid(), nullable=False),
        sa.Column("part_index", sa.SmallInteger(), nullable=False),
        sa.Column("encoding", sa.String(length=8), nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("carrier_id", "fingerprint", name=op.f("pk_inbound_part")),
        sa.UniqueConstraint("set_id", "part_index", name=op.f("uq_inbound_part_set_id_part_index")),
    )
    op.create_table(
        "inbound_set",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("carrier_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("reference", sa.Integer(), nullable=False),
        sa.Column("total", sa.SmallInteger(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("delivered_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_set")),
    )
    op.create_index("ix_inbound_set_delivered_at", "inbound_set", ["delivered_at"], unique=False)
    op.create_index(
        "ix_inbound_set_due",
        "inbound_set",
        ["started_at", "id"],
        unique=False,
        postgresql_where=sa.text("delivered_at IS NULL"),
        sqlite_where=sa.text("delivered_at IS NULL"),
    )
    op.create_index("ix_inbound_set_sender", "inbound_set", ["sender", "recipient", "reference"], unique=False)
    op.create_index(
        "uq_inbound_set_open",
        "inbound_set",
        ["carrier_id", "sender", "recipient", "reference", "total"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
        sqlite_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "inbound_unowned",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("carrier_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("partial", sa.Boolean(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("delivery", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_unowned")),
        sa.UniqueConstraint("delivery", name=op.f("uq_inbound_unowned_delivery")),
    )
    op.create_index(
        "ix_inbound_unowned_fresh",
        "inbound_unowned",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("delivery IS NOT NULL"),
        sqlite_where=sa.text("delivery IS NOT NULL"),
    )
    op.create_table(
        "mailbox",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("fetched_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "recipient", "sender", "at", name=op.f("pk_mailbox")),
    )
    op.create_index(
        "ix_mailbox_new",
        "mailbox",
        ["account_id", "recipient", "sender", "at"],
        unique=False,
        postgresql_where=sa.text("fetched_at IS NULL"),
        sqlite_where=sa.text("fetched_at IS NULL"),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("medium", sa.String(length=8), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sent_at_seconds", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("client_reference", sa.Text(), nullable=True),
        sa.Column("encoding", sa.String(length=8), nullable=False),
        sa.Column("segment_count", sa.SmallInteger(), nullable=False),
        sa.Column("error", sa.String(length=64), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        postgresql_with={"fillfactor": 60},
    )
    op.create_index("ix_message_account_id", "message", ["account_id", "id"], unique=False)
    op.create_index(
        "ix_message_recipient",
        "message",
        ["account_id", "recipient", "sent_at_seconds", "id"],
        unique=False,
        postgresql_where=sa.text("medium = 'sms'"),
        sqlite_where=sa.text("medium = 'sms'"),
    )
    op.create_index(
        "ix_message_sender",
        "message",
        ["account_id", "sender", "sent_at_seconds", "id"],
        unique=False,
        postgresql_where=sa.text("medium = 'sms'"),
        sqlite_where=sa.text("medium = 'sms'"),
    )
    op.create_table(
        "outbox",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("carrier_id", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("deferrals", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_outbox")),
        postgresql_with={"autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_threshold": 1000},
    )
    op.create_index(
        "ix_outbox_claim", "outbox", ["carrier_id", "priority", "account_id", "due_at", "message_id"], unique=False
    )
    op.create_table(
        "outcome",
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("segment_index", sa.SmallInteger(), nullable=False),
        sa.Column("segment_total", sa.SmallInteger(), nullable=False),
        sa.Column("carrier_id", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("ended_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", "kind", name=op.f("pk_outcome")),
    )
    op.create_index("ix_outcome_message_id", "outcome", ["message_id", "segment_index"], unique=False)
    op.create_index(
        "ix_outcome_reference",
        "outcome",
        ["reference", "carrier_id"],
        unique=False,
        postgresql_where=sa.text("reference IS NOT NULL"),
        sqlite_where=sa.text("reference IS NOT NULL"),
    )
    op.create_index(
        "ix_outcome_unconfirmed",
        "outcome",
        ["carrier_id", "ended_at"],
        unique=False,
        postgresql_where=sa.text("kind = 'unconfirmed'"),
        sqlite_where=sa.text("kind = 'unconfirmed'"),
    )
    op.create_table(
        "pace_bucket",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("full_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_pace_bucket")),
    )
    op.create_table(
        "receipt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("carrier_id", sa.BigInteger(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("whole_message", sa.Boolean(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
    )
    op.create_index("ix_receipt_received_at", "receipt", ["received_at", "id"], unique=False)
    op.create_index("ix_receipt_reference", "receipt", ["reference"], unique=False)
    op.create_table(
        "sender_window",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "sender", name=op.f("pk_sender_window")),
    )
    op.create_index("ix_sender_window_expires_at", "sender_window", ["expires_at"], unique=False)
    op.create_table(
        "simulator_message",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("segment_index", sa.SmallInteger(), nullable=False),
        sa.Column("carrier_id", sa.BigInteger(), nullable=False),
        sa.Column("refusals", sa.SmallInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("message_id", "segment_index", name=op.f("pk_simulator_message")),
    )
    op.create_table(
        "simulator_receipt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("carrier_id", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("due_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_simulator_receipt")),
    )
    op.create_index("ix_simulator_receipt_due_at", "simulator_receipt", ["due_at", "id"], unique=False)
    op.create_table(
        "stop_pair",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "sender", "recipient", name=op.f("pk_stop_pair")),
    )
    op.create_index("ix_stop_pair_expires_at", "stop_pair", ["expires_at"], unique=False)
    op.create_table(
        "stop_request",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("requested_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_stop_request")),
    )
    op.create_index("ix_stop_request_requested_at", "stop_request", ["requested_at"], unique=False)
    op.create_table(
        "stray_receipt",
        sa.Column("receipt_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("receipt_id", name=op.f("pk_stray_receipt")),
    )
    op.create_index("ix_stray_receipt_received_at", "stray_receipt", ["received_at", "receipt_id"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_api_key_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_key_key_hash")),
    )
    op.create_index("ix_api_key_account_id", "api_key", ["account_id", "id"], unique=False)
    op.create_table(
        "login",
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("login", sa.String(length=128), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_login_account_id")),
        sa.PrimaryKeyConstraint("account_id", "login", name=op.f("pk_login")),
    )
    op.create_table(
        "number",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.Column("digits", sa.String(length=20), nullable=False),
        sa.Column("monthly_price", sa.Numeric(precision=10, scale=2), nullable=False),
        sa.Column("setup_price", sa.Numeric(precision=10, scale=2), nullable=False),
        sa.Column("currency", sa.String(length=8), nullable=False),
        sa.Column("assigned", sa.Boolean(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_number_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number")),
        sa.UniqueConstraint("account_id", "digits", name=op.f("uq_number_account_id_digits")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_number_account_id_id", "number", ["account_id", "id"], unique=False)
    op.create_index("ix_number_account_id_value", "number", ["account_id", "value", "id"], unique=False)
    op.create_index(
        "uq_number_digits_assigned",
        "number",
        ["digits"],
        unique=True,
        postgresql_where=sa.text("assigned"),
        sqlite_where=sa.text("assigned"),
    )
    op.create_table(
        "opt_out",
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("recipient", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_opt_out_account_id")),
        sa.PrimaryKeyConstraint("account_id", "recipient", name=op.f("pk_opt_out")),
    )
    op.create_table(
        "pace",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("segments_per_second", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_pace_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pace")),
        sa.UniqueConstraint("account_id", "sender", name=op.f("uq_pace_account_id_sender")),
    )
    op.create_table(
        "route",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("carrier_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_route_account_id")),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_route_carrier_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_route")),
    )
    op.create_table(
        "sender_id",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_sender_id_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sender_id")),
        sa.UniqueConstraint("account_id", "value", name=op.f("uq_sender_id_account_id_value")),
    )
    op.execute("INSERT INTO catalog_version (id, version) VALUES (1, 1)")
