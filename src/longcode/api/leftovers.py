"""What the operator looks at where something is wrong: receipts, messages to nobody's numbers, and what is amiss."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field

from longcode.api.caller import Admitted
from longcode.api.cursors import Page, PageQuery, decode, encode, page
from longcode.api.desk import Desk
from longcode.api.problems import invalid
from longcode.api.routing import Routes
from longcode.domain.scopes import OPERATOR
from longcode.domain.timestamps import format_milli
from longcode.store.database import from_micros, to_micros
from longcode.store.leftovers import Unowned
from longcode.store.receipt_order import LATEST, ReceiptPlace
from longcode.store.timeline import Reported


class ReceiptQuery(PageQuery):
    """Which receipts."""

    unmatched: Annotated[bool, Field(description="Only those that fit no message so far.")] = False


class ReceiptShown(BaseModel):
    """A carrier's report on a message, as it was taken in. carrier: null where its door names none."""

    id: str
    received_at: str
    carrier: str | None
    provider_reference: str
    status: str
    error: str | None
    sender: str | None
    recipient: str | None


class UnownedShown(BaseModel):
    """What came to a number that no account owns. complete: false where parts of it never came."""

    id: str
    received_at: str
    carrier: str
    sender: str
    recipient: str
    text: str
    complete: bool


class DiagnosisShown(BaseModel):
    """What is wrong, a sentence each."""

    faults: list[str]


def add_leftovers(app: FastAPI, desk: Desk) -> None:
    """The routes of what the operator looks at."""
    routes = Routes(app, "Native: operator", OPERATOR)

    @routes.get("/receipts", "listReceipts", scope_as=OPERATOR)
    async def receipts(
        query: Annotated[ReceiptQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[ReceiptShown]:
        """List the receipts of carriers, the latest first."""
        before = LATEST if query.cursor is None else _place(query.cursor)
        rows = await desk.leftovers.receipts(count=query.limit + 1, unmatched=query.unmatched, before=before)
        names = await carriers()
        return page(
            request,
            response,
            rows,
            query.limit,
            show=lambda row: _receipt(row, names),
            cursor=lambda row: encode("receipts", to_micros(row.received_at), str(row.id)),
        )

    @routes.get("/inbound/unowned", "listUnowned", scope_as=OPERATOR)
    async def unowned(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[UnownedShown]:
        """List what came in and belongs to no account, the latest first."""
        before = LATEST.id if query.cursor is None else _id(decode("unowned", query.cursor, str)[0])
        rows = await desk.leftovers.unowned(count=query.limit + 1, before=before)
        names = await carriers()
        return page(
            request,
            response,
            rows,
            query.limit,
            show=lambda row: _unowned(row, names),
            cursor=lambda row: encode("unowned", str(row.id)),
        )

    @routes.get("/diagnosis", "getDiagnosis", scope_as=OPERATOR)
    async def diagnose(caller: Admitted) -> DiagnosisShown:
        """Look for what keeps messages from being sent, as `longcode doctor` does.

        Whether the broker, workers and beat are up, only that command asks.
        """
        return DiagnosisShown(faults=await desk.diagnosis.faults())

    async def carriers() -> dict[int, str]:
        return {row.id: row.name for row in (await desk.catalog.now()).carriers.values()}


def _receipt(row: Reported, names: dict[int, str]) -> ReceiptShown:
    return ReceiptShown(
        id=str(row.id),
        received_at=format_milli(row.received_at),
        carrier=None if row.carrier_id is None else names.get(row.carrier_id, str(row.carrier_id)),
        provider_reference=row.reference,
        status=row.status,
        error=row.error_code,
        sender=row.sender,
        recipient=row.recipient,
    )


def _unowned(row: Unowned, names: dict[int, str]) -> UnownedShown:
    return UnownedShown(
        id=str(row.id),
        received_at=format_milli(row.received_at),
        carrier=names.get(row.carrier_id, str(row.carrier_id)),
        sender=row.sender,
        recipient=row.recipient,
        text=row.text,
        complete=not row.partial,
    )


def _place(cursor: str) -> ReceiptPlace:
    micros, id_ = decode("receipts", cursor, int, str)
    try:
        return ReceiptPlace(from_micros(micros), _id(id_))
    except OverflowError as error:
        raise invalid("it is not one that this list gave", field="cursor") from error


def _id(text_: str) -> UUID:
    try:
        return UUID(text_)
    except ValueError as error:
        raise invalid("it is not one that this list gave", field="cursor") from error
