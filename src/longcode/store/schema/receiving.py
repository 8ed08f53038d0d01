"""What carriers deliver in parts, or to nobody."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from longcode.store.database import Instant
from longcode.store.schema.metadata import metadata

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
