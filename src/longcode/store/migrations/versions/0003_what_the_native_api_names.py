"""What the native API names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Expand."""
    op.create_table(
        "message_webhook",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_message_webhook")),
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
