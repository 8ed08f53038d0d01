"""Receipts in the order in which they came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, literal, tuple_

from longcode.store.uuids import LAST_ID


@dataclass(frozen=True, slots=True, order=True)
class ReceiptPlace:
    """Where a receipt stands among all."""

    received_at: datetime
    id: UUID


# Behind every receipt.
LATEST: Final = ReceiptPlace(datetime.max.replace(tzinfo=UTC), LAST_ID)


def before(place: ReceiptPlace, received_at: ColumnElement[datetime], id_: ColumnElement[UUID]) -> ColumnElement[bool]:
    """That a row comes before a place."""
    here = tuple_(literal(place.received_at, received_at.type), literal(place.id, id_.type))
    return tuple_(received_at, id_) < here
