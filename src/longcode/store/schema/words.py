"""What inbound messages ask for: opt-outs of single numbers, the ledger of all opt-outs, keywords, inbound routes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String, Table, Text, UniqueConstraint, Uuid, text

from longcode.store.database import Instant
from longcode.store.schema.metadata import Serial, account_column, metadata

# Permanent opt-outs from one sender alone; those from a whole account are in `opt_out`. Parties in canonical form.
number_opt_out = Table(
    "number_opt_out",
    metadata,
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("source", String(32), nullable=False),
    Column("created_at", Instant, nullable=False),
)

# Append-only: each opt-out and each return. It names no text, and outlives the message that it came by.
opt_out_event = Table(
    "opt_out_event",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("sender", Text),  # NULL: the whole account
    Column("recipient", Text, nullable=False),
    Column("change", String(8), nullable=False),  # created, removed
    Column("source", String(32), nullable=False),
    Column("keyword", Text),
    Column("message_id", Uuid),
    Column("created_at", Instant, nullable=False),
    Index("ix_opt_out_event_recipient", "recipient", "account_id", "id"),
)

# An account's own words, for all of its numbers ("") or one. They come before the standard ones.
keyword = Table(
    "keyword",
    metadata,
    Column("id", Serial, primary_key=True),
    account_column(),
    Column("number", Text, nullable=False),  # its digits
    Column("word", Text, nullable=False),  # folded
    Column("meaning", String(16), nullable=False),
    Column("language", String(16), nullable=False),
    Column("reply", Text),  # NULL: as its meaning is answered
    UniqueConstraint("account_id", "number", "word"),
)

# How a meaning is answered, instead of the standard text. "": not at all.
keyword_reply = Table(
    "keyword_reply",
    metadata,
    Column("id", Serial, primary_key=True),
    account_column(),
    Column("number", Text, nullable=False),
    Column("meaning", String(16), nullable=False),
    Column("language", String(16), nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("account_id", "number", "meaning", "language"),
)

# Where inbound messages of a number go besides its conversation.
inbound_route = Table(
    "inbound_route",
    metadata,
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("number", Text, primary_key=True),  # its digits
    Column("login", Text),
    Column("reply", Text),
    Column("webhook_id", BigInteger),
)

# Append-only: the keyword that an inbound message was, or nearly was (doubtful).
inbound_word = Table(
    "inbound_word",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("meaning", String(16), nullable=False),
    Column("word", Text, nullable=False),
    Index(
        "ix_inbound_word_doubtful",
        "account_id",
        "message_id",
        postgresql_where=text("meaning = 'doubtful'"),
        sqlite_where=text("meaning = 'doubtful'"),
    ),
)

# Append-only: the messages that nobody wrote, and what each of them answers.
auto_reply = Table(
    "auto_reply",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("inbound_id", Uuid, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("despite_opt_out", Boolean, nullable=False),  # sent although the recipient has opted out
    Column("created_at", Instant, nullable=False),
    Index("ix_auto_reply_pair", "account_id", "sender", "recipient", "kind", "created_at"),
    Index("ix_auto_reply_inbound_id", "inbound_id"),
)
