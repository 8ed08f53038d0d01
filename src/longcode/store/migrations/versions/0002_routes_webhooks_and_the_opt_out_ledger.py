"""Routes, webhooks and the opt-out ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from longcode.store.database import Instant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Expand."""
    op.create_table(
        "account_usage",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("segments", sa.BigInteger(), nullable=False),
        sa.Column("spend_micros", sa.BigInteger(), nullable=False),
        sa.Column("segments_cap", sa.BigInteger(), nullable=True),
        sa.Column("spend_cap_micros", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("segments <= segments_cap", name=op.f("ck_account_usage_segments")),
        sa.CheckConstraint("spend_micros <= spend_cap_micros", name=op.f("ck_account_usage_spend")),
        sa.PrimaryKeyConstraint("account_id", "day", name=op.f("pk_account_usage")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "auto_reply",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("inbound_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("despite_opt_out", sa.Boolean(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_auto_reply")),
    )
    with op.batch_alter_table("auto_reply", schema=None) as batch_op:
        batch_op.create_index("ix_auto_reply_inbound_id", ["inbound_id"], unique=False)
        batch_op.create_index(
            "ix_auto_reply_pair", ["account_id", "sender", "recipient", "kind", "created_at"], unique=False
        )

    op.create_table(
        "carrier_circuit",
        sa.Column("carrier_id", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(length=64), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("probe_until", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("carrier_id", name=op.f("pk_carrier_circuit")),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=24), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("error", sa.String(length=64), nullable=True),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("xact", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index("ix_event_account_id", ["account_id", "xact", "id"], unique=False)

    op.create_table(
        "inbound_word",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("meaning", sa.String(length=16), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_inbound_word")),
    )
    with op.batch_alter_table("inbound_word", schema=None) as batch_op:
        batch_op.create_index(
            "ix_inbound_word_doubtful",
            ["account_id", "message_id"],
            unique=False,
            postgresql_where=sa.text("meaning = 'doubtful'"),
            sqlite_where=sa.text("meaning = 'doubtful'"),
        )

    op.create_table(
        "mailbox_ack",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("xact", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("acked_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "recipient", name=op.f("pk_mailbox_ack")),
    )
    op.create_table(
        "operator_key",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_key")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_operator_key_key_hash")),
    )
    op.create_table(
        "opt_out_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("change", sa.String(length=8), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("keyword", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opt_out_event")),
    )
    with op.batch_alter_table("opt_out_event", schema=None) as batch_op:
        batch_op.create_index("ix_opt_out_event_recipient", ["recipient", "account_id", "id"], unique=False)

    op.create_table(
        "removed_carrier",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("driver", sa.String(length=32), nullable=False),
        sa.Column("removed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removed_carrier")),
    )
    op.create_table(
        "webhook_attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_attempt")),
    )
    with op.batch_alter_table("webhook_attempt", schema=None) as batch_op:
        batch_op.create_index("ix_webhook_attempt_endpoint_id", ["endpoint_id", "id"], unique=False)

    op.create_table(
        "webhook_queue",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "endpoint_id", name=op.f("pk_webhook_queue")),
        postgresql_with={"fillfactor": 60, "autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_threshold": 1000},
    )
    with op.batch_alter_table("webhook_queue", schema=None) as batch_op:
        batch_op.create_index("ix_webhook_queue_claim", ["endpoint_id", "due_at"], unique=False)

    op.create_table(
        "webhook_subscription",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=24), nullable=False),
        sa.Column("endpoint_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "type", "endpoint_id", name=op.f("pk_webhook_subscription")),
    )
    op.create_table(
        "account_limit",
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("segments_per_day", sa.BigInteger(), nullable=True),
        sa.Column("spend_per_day_micros", sa.BigInteger(), nullable=True),
        sa.Column("destinations", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_account_limit_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_limit")),
    )
    op.create_table(
        "event_listener",
        sa.Column(
            "account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_event_listener_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_event_listener")),
    )
    op.create_table(
        "inbound_route",
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("webhook_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_inbound_route_account_id")),
        sa.PrimaryKeyConstraint("account_id", "number", name=op.f("pk_inbound_route")),
    )
    op.create_table(
        "keyword",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("meaning", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_keyword_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keyword")),
        sa.UniqueConstraint("account_id", "number", "word", name=op.f("uq_keyword_account_id_number_word")),
    )
    op.create_table(
        "keyword_reply",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("meaning", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_keyword_reply_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keyword_reply")),
        sa.UniqueConstraint(
            "account_id",
            "number",
            "meaning",
            "language",
            name=op.f("uq_keyword_reply_account_id_number_meaning_language"),
        ),
    )
    op.create_table(
        "number_opt_out",
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_number_opt_out_account_id")),
        sa.PrimaryKeyConstraint("account_id", "recipient", "sender", name=op.f("pk_number_opt_out")),
    )
    op.create_table(
        "sender_pool",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_sender_pool_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sender_pool")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_sender_pool_account_id_name")),
    )
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("types", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_until", Instant(), nullable=True),
        sa.Column("allow_private", sa.Boolean(), nullable=False),
        sa.Column("disabled_at", Instant(), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_webhook_endpoint_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoint")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("webhook_endpoint", schema=None) as batch_op:
        batch_op.create_index("ix_webhook_endpoint_account_id", ["account_id", "id"], unique=False)

    op.create_table(
        "pool_recipient",
        sa.Column("pool_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("sender", sa.String(length=64), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["pool_id"], ["sender_pool.id"], name=op.f("fk_pool_recipient_pool_id")),
        sa.PrimaryKeyConstraint("pool_id", "recipient", name=op.f("pk_pool_recipient")),
    )
    op.create_table(
        "pool_sender",
        sa.Column("pool_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sender", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.Column("recipients", sa.BigInteger(), nullable=False),
        sa.Column("added_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["pool_id"], ["sender_pool.id"], name=op.f("fk_pool_sender_pool_id")),
        sa.PrimaryKeyConstraint("pool_id", "sender", name=op.f("pk_pool_sender")),
    )
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.add_column(sa.Column("scopes", sa.Text(), nullable=True))

    with op.batch_alter_table("mailbox", schema=None) as batch_op:
        batch_op.add_column(sa.Column("xact", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.create_index("ix_mailbox_order", ["account_id", "recipient", "xact", "message_id"], unique=False)

    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.create_index(
            "ix_message_client_reference",
            ["account_id", "client_reference", "id"],
            unique=False,
            postgresql_where=sa.text("client_reference IS NOT NULL"),
            sqlite_where=sa.text("client_reference IS NOT NULL"),
        )

    with op.batch_alter_table("route", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sender", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("weight", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("cost_micros", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("currency", sa.String(length=8), nullable=True))
