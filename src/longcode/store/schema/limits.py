"""What accounts may send at most, and what they have sent of it."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, Date, ForeignKey, Table

from longcode.store.schema.metadata import metadata

# An account without a row may send without a bound.
account_limit = Table(
    "account_limit",
    metadata,
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("segments_per_day", BigInteger),  # NULL: any number
    Column("spend_per_day_micros", BigInteger),  # millionths of the routes' currency; NULL: any amount
    Column("destinations", JSON, nullable=False),  # prefixes, as digits; []: everywhere
)

# What was accepted of accounts with a cap, a row for each day (UTC) on which they had one. The caps stand
# beside the sums so that the database itself refuses what goes over, in the transaction that stores the message.
account_usage = Table(
    "account_usage",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("segments", BigInteger, nullable=False),
    Column("spend_micros", BigInteger, nullable=False),
    Column("segments_cap", BigInteger),
    Column("spend_cap_micros", BigInteger),
    CheckConstraint("segments <= segments_cap", name="segments"),
    CheckConstraint("spend_micros <= spend_cap_micros", name="spend"),
    postgresql_with={"fillfactor": 50},
)
