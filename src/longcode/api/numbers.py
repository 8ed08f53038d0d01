"""Numbers: an account's inventory, what the operator assigns, and where messages to a number go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from starlette.responses import StreamingResponse

from longcode.api.caller import Admitted
from longcode.api.csv_files import CSV, CSV_BODY, CSV_BYTES, CSV_RESPONSE, Imported, cell, rows_of
from longcode.api.cursors import MOST, Page, PageQuery, after_id, encode, page
from longcode.api.desk import Desk
from longcode.api.fields import MOST_WHOLE, PRICE, WHOLE, Body, Clean, Currency, MessageText, NumberValue, chars
from longcode.api.ids import SerialInPath, serial_of
from longcode.api.problems import FieldFault, InvalidRequest, refuse
from longcode.api.routing import Routes
from longcode.domain.money import MAX_PRICE, format_price, is_currency, parse_price
from longcode.domain.phone import canonical, parse_inventory_value
from longcode.domain.scopes import OPERATOR
from longcode.encoding.csv_cells import lines_of
from longcode.errors import Duplicate, InvalidField
from longcode.flow.word_check import route_faults
from longcode.store.numbers import OPERATOR_CURRENCY, OPERATOR_PRICE, Change, Draft, Number
from longcode.store.words import InboundRoute

COLUMNS: Final = ("value", "monthly_price", "setup_price", "currency", "assigned")


def _price(value: str) -> str:
    try:
        parse_price(value, field="")
    except InvalidField as error:
        raise ValueError(f"it must be 0 to {MAX_PRICE}, with at most two decimals") from error
    return value


Price = Annotated[str, StringConstraints(strict=True, pattern=PRICE), AfterValidator(_price), Field(examples=["3.40"])]


class NumberQuery(PageQuery):
    """Which numbers."""

    search: Annotated[Annotated[Clean, chars(1, 64)] | None, Field(description="A part of it, in any spelling.")] = None
    assigned: Annotated[bool | None, Field(description="Whether the operator assigned it.")] = None


class InventoryDraft(Body):
    """A number for the inventory. It routes nothing until the operator assigns it."""

    value: NumberValue
    monthly_price: Price = "0.00"
    setup_price: Price = "0.00"
    currency: Currency = OPERATOR_CURRENCY


class InventoryChange(Body):
    """What is to be changed of a number."""

    value: NumberValue = None  # type: ignore[assignment]
    monthly_price: Price = None  # type: ignore[assignment]
    setup_price: Price = None  # type: ignore[assignment]
    currency: Currency = None  # type: ignore[assignment]


class Assignment(Body):
    """A number that the operator assigns to the account, or takes back."""

    value: NumberValue


class InventoryNumber(BaseModel):
    """A number. value: as it was written. assigned: by the operator; only then does it send and receive."""

    id: int
    value: str
    monthly_price: str
    setup_price: str
    currency: str
    assigned: bool


class NumbersImported(Imported):
    """What became of a file. conflicts: numbers that another account has, a sentence each; only for operators."""

    conflicts: list[str]


class Inbound(Body):
    """Where messages to a number go besides its conversation.

    mailbox: a login. reply: what answers those that are no keyword. webhook_id: the one endpoint that is told of them.
    """

    mailbox: Annotated[Clean, chars(3, 128)] | None = None
    reply: MessageText | None = None
    webhook_id: Annotated[int, Field(ge=1, le=MOST_WHOLE), WHOLE] | None = None


def add_numbers(app: FastAPI, desk: Desk) -> None:
    """The routes of numbers."""
    routes = Routes(app, "Native: numbers", "numbers")
    _add_inventory(routes, desk)
    _add_assignment(routes, desk)
    _add_files(routes, desk)
    _add_inbound(routes, desk)


def _add_inventory(routes: Routes, desk: Desk) -> None:
    @routes.get("/numbers", "listNumbers")
    async def list_numbers(
        query: Annotated[NumberQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[InventoryNumber]:
        """List the account's numbers, or search them."""
        rows = await desk.numbers.page(
            caller.account.id,
            after=after_id("numbers", query.cursor),
            count=query.limit + 1,
            search=query.search or "",
            assigned=query.assigned,
        )
        return page(
            request, response, rows, query.limit, show=_shown, cursor=lambda number: encode("numbers", number.id)
        )

    @routes.post("/numbers", "addNumber", status=201, errors=("duplicate",))
    async def add(body: InventoryDraft, caller: Admitted) -> InventoryNumber:
        """Add a number to the inventory."""
        return _shown(await desk.numbers.add(caller.account.id, _draft(body)))

    @routes.get("/numbers/{id}", "getNumber", single=True)
    async def get(id: SerialInPath, caller: Admitted) -> InventoryNumber:
        """One number."""
        return _shown(await desk.numbers.get(caller.account.id, serial_of(id)))

    @routes.patch("/numbers/{id}", "changeNumber", errors=("duplicate",))
    async def change(id: SerialInPath, body: InventoryChange, caller: Admitted) -> InventoryNumber:
        """Change some of a number.

        An assigned number that gets other digits is assigned no more.
        """
        said = body.model_dump(exclude_unset=True)
        for name in ("monthly_price", "setup_price"):
            if name in said:
                said[name] = Decimal(said[name])
        return _shown(await desk.numbers.change(caller.account.id, serial_of(id), Change(**said)))

    @routes.delete("/numbers/{id}", "deleteNumber")
    async def delete(id: SerialInPath, caller: Admitted) -> None:
        """Delete a number; an assigned one is thereby released."""
        await desk.numbers.delete(caller.account.id, serial_of(id))


def _add_assignment(routes: Routes, desk: Desk) -> None:
    @routes.post(
        "/numbers/assign", "assignNumber", once=True, scope_as=OPERATOR, for_account=True, errors=("duplicate",)
    )
    async def assign(body: Assignment, caller: Admitted) -> Assignment:
        """Assign a number to the account. For operators.

        It sends and receives from then on; one account of the server has it.
        """
        await desk.numbers.assign(caller.account.id, body.value)
        return body

    @routes.post("/numbers/release", "releaseNumber", once=True, scope_as=OPERATOR, for_account=True)
    async def release(body: Assignment, caller: Admitted) -> Assignment:
        """Take a number back from the account, so that another may have it. For operators.

        The account keeps it in its inventory.
        """
        await desk.numbers.release(caller.account.id, body.value)
        return body


def _add_files(routes: Routes, desk: Desk) -> None:
    @routes.get("/numbers.csv", "exportNumbers", response_class=Response, responses=CSV_RESPONSE)
    async def export(caller: Admitted) -> Response:
        """All numbers as CSV."""

        async def chunks() -> AsyncIterator[str]:
            yield lines_of([COLUMNS])
            after = 0
            while found := await desk.numbers.page(caller.account.id, after=after, count=MOST):
                yield lines_of([_cells(number) for number in found])
                after = found[-1].id

        return StreamingResponse(chunks(), media_type=CSV)

    @routes.post(
        "/numbers/import",
        "importNumbers",
        once=True,
        body_type=CSV,
        body_limit_bytes=CSV_BYTES,
        openapi_extra=CSV_BODY,
    )
    async def bring_in(request: Request, caller: Admitted) -> NumbersImported:
        """Bring numbers in from CSV.

        Columns: `value`, and if you like `monthly_price`, `setup_price` and `currency`. A file with a faulty line
        changes nothing. Numbers that are there already stay as they are. For an operator they are assigned too; one
        that another account has is told, and the rest is assigned.
        """
        drafts = _drafts(rows_of(await request.body(), required=("value",), known=COLUMNS))
        if caller.operator is None:
            added = sum([await _listed(draft, caller.account.id) for draft in drafts])
            return NumbersImported(added=added, unchanged=len(drafts) - added, conflicts=[])
        added, conflicts = 0, []
        for draft in drafts:
            try:
                added += await desk.numbers.assign(caller.account.id, draft.value, new=draft)
            except Duplicate as error:
                conflicts.append(f"{draft.value}: {error}")
        return NumbersImported(added=added, unchanged=len(drafts) - added - len(conflicts), conflicts=conflicts)

    async def _listed(draft: Draft, account_id: int) -> bool:
        try:
            await desk.numbers.add(account_id, draft)
        except Duplicate:
            return False
        return True


def _add_inbound(routes: Routes, desk: Desk) -> None:
    @routes.get("/numbers/{id}/inbound", "getInbound", single=True)
    async def show(id: SerialInPath, caller: Admitted) -> Inbound:
        """Where messages to a number go besides its conversation."""
        number = await desk.numbers.get(caller.account.id, serial_of(id))
        route = await desk.words.route(caller.account.id, canonical(number.value))
        if route is None:
            return Inbound()
        return Inbound(mailbox=route.login, reply=route.reply, webhook_id=route.webhook_id)

    @routes.put("/numbers/{id}/inbound", "setInbound")
    async def set_(id: SerialInPath, body: Inbound, caller: Admitted) -> Inbound:
        """Say where messages to a number go; what is not said is taken away."""
        number = await desk.numbers.get(caller.account.id, serial_of(id))
        route = InboundRoute(
            account_id=caller.account.id,
            number=canonical(number.value),
            login=body.mailbox,
            reply=body.reply,
            webhook_id=body.webhook_id,
        )
        if body == Inbound():
            await desk.words.remove_route(route.account_id, route.number)
            return body
        refuse(
            await route_faults(
                route, conversations=desk.conversations, mailbox=desk.mailbox_store, webhooks=desk.webhooks
            )
        )
        await desk.words.set_route(route)
        return body


def _drafts(rows: list[tuple[int, dict[str, str]]]) -> list[Draft]:
    """The numbers of a file. Raises InvalidRequest with every fault of every line."""
    drafts, faults = [], []
    for line, row in rows:
        found: dict[str, Any] = {"currency": row.get("currency") or OPERATOR_CURRENCY}
        try:
            found["value"] = parse_inventory_value(row["value"], field="value")
            for name in ("monthly_price", "setup_price"):
                found[name] = parse_price(row[name], field=name) if row.get(name) else OPERATOR_PRICE
        except InvalidField as error:
            faults.append(cell(line, error.field))
        if not is_currency(found["currency"]):
            faults.append(cell(line, "currency"))
        if len(found) == 4:
            drafts.append(Draft(**found))
    if faults:
        raise InvalidRequest(tuple(FieldFault(code="invalid", detail=fault, pointer="") for fault in faults))
    return drafts


def _draft(body: InventoryDraft) -> Draft:
    return Draft(
        value=body.value,
        monthly_price=parse_price(body.monthly_price, field="monthly_price"),
        setup_price=parse_price(body.setup_price, field="setup_price"),
        currency=body.currency,
    )


def _shown(number: Number) -> InventoryNumber:
    return InventoryNumber(
        id=number.id,
        value=number.value,
        monthly_price=format_price(number.monthly_price),
        setup_price=format_price(number.setup_price),
        currency=number.currency,
        assigned=number.assigned,
    )


def _cells(number: Number) -> tuple[str, ...]:
    prices = format_price(number.monthly_price), format_price(number.setup_price)
    return number.value, *prices, number.currency, "1" if number.assigned else "0"
