"""What the native API names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from longcode.store.database import Instant

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Expand."""
    op.create_table(
        "keyed_call",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("claimed_until", Instant(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "key", name=op.f("pk_keyed_call")),
    )
    with op.batch_alter_table("keyed_call", schema=None) as batch_op:
        batch_op.create_index("ix_keyed_call_created_at", ["created_at"], unique=False)

    op.create_table(
        "message_webhook",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_message_webhook")),
    )
    with op.batch_alter_table("webhook_attempt", schema=None) as batch_op:
        batch_op.create_index(
            "ix_webhook_attempt_failed",
            ["endpoint_id", "id"],
            unique=False,
            postgresql_where=sa.text("error IS NOT NULL"),
            sqlite_where=sa.text("error IS NOT NULL"),
        )

    with op.batch_alter_table("webhook_endpoint", schema=None) as batch_op:
        batch_op.add_column(sa.Column("per_message", sa.Boolean(), server_default=sa.text("(false)"), nullable=False))
        batch_op.create_index(
            "uq_webhook_endpoint_per_message",
            ["account_id", "url"],
            unique=True,
            postgresql_where=sa.text("per_message"),
            sqlite_where=sa.text("per_message"),
        )
