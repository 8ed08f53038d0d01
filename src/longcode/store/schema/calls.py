"""Calls of the native API that were made under a key, and what they were answered."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from longcode.store.database import Instant
from longcode.store.schema.metadata import metadata

# Messages have their keys in `idempotency`, claimed by the statement that stores them. Account 0 is nobody's: under it
# are the operator's, each by the key that called.
keyed_call = Table(
    "keyed_call",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("claimed_until", Instant, nullable=False),  # while there is no answer, nobody else may work on it before
    Column("answer", Text),  # JSON, without secrets; NULL while it is worked on
    Column("created_at", Instant, nullable=False),
    Index("ix_keyed_call_created_at", "created_at"),
)
