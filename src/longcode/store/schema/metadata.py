"""What all tables share: their names' forms and their keys."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData

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


def account_column() -> Column[int]:
    """The account that a row is of."""
    return Column("account_id", ForeignKey("account.id"), nullable=False)
