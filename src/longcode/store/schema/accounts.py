"""Accounts, what they hold, and what they may do."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from longcode.store.database import Instant
from longcode.store.schema.metadata import Serial, account_column, metadata

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
    account_column(),
    Column("key_hash", LargeBinary, nullable=False, unique=True),  # SHA-256 of 256 random bits
    Column("hint", String(16), nullable=False),  # its first characters, to tell keys apart
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("scopes", Text),  # with blanks between; NULL: everything of the account
    Index("ix_api_key_account_id", "account_id", "id"),
)

# Who has one looks after all accounts, and is none.
operator_key = Table(
    "operator_key",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("key_hash", LargeBinary, nullable=False, unique=True),  # as those of accounts
    Column("hint", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

number = Table(
    "number",
    metadata,
    Column("id", Serial, primary_key=True),
    account_column(),
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
    account_column(),
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

# How fast an account may send, or one of its senders.
pace = Table(
    "pace",
    metadata,
    Column("id", Serial, primary_key=True),
    account_column(),
    Column("sender", Text, nullable=False),  # in its canonical form; "": all of the account together
    Column("segments_per_second", Float, nullable=False),
    UniqueConstraint("account_id", "sender"),
)
