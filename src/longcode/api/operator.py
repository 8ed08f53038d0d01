"""What only the operator does: carriers, routes and accounts."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import FastAPI, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from longcode.api.caller import Admitted
from longcode.api.cursors import Page, PageQuery, after_id, encode, page
from longcode.api.desk import Desk
from longcode.api.fields import (
    DESTINATION,
    WHOLE,
    AccountName,
    Body,
    Clean,
    OneOf,
    Printable,
    Sender,
    ShownOnce,
    Whole,
    chars,
)
from longcode.api.ids import NameInPath, SerialInPath, serial_of
from longcode.api.problems import invalid, refuse, settings_told_together
from longcode.api.routing import Routes
from longcode.carriers.registry import KINDS
from longcode.domain.account import NAME_RULE, is_account_name
from longcode.domain.money import parse_amount
from longcode.domain.phone import canonical
from longcode.domain.scopes import OPERATOR
from longcode.domain.timestamps import format_milli
from longcode.errors import InvalidField, NotFound, OfField
from longcode.flow.caps import day_of
from longcode.flow.carrier_setup import changed_settings, check, sealed
from longcode.flow.carrier_standing import shown_settings
from longcode.flow.catalog import Catalog
from longcode.flow.identity import new_secret
from longcode.flow.route_check import RouteDraft, currency_of, faults_of
from longcode.store.accounts import ListedAccount
from longcode.store.catalog import CarrierRow, RouteRow
from longcode.store.limits import AccountLimits, Usage

MOST: Final = 2**31 - 1

Settings = Annotated[
    dict[str, Annotated[Clean, chars(0, 4096)]],
    Field(description="By the driver's own names; see the pages of carriers."),
]


class CarrierDraft(Body):
    """A carrier. Secrets among its settings are stored encrypted and never shown."""

    name: Printable
    driver: Annotated[str, OneOf(tuple(KINDS))]
    settings: Settings = Field(default_factory=dict)


class CarrierChange(Body):
    """Settings to be given; null takes one away."""

    settings: dict[str, Annotated[Clean, chars(0, 4096)] | None]


class CarrierShown(BaseModel):
    """A carrier. left_alone_for: why nothing is handed to it for a while; null: it is not left alone."""

    name: str
    driver: str
    settings: dict[str, str]
    paused: bool
    left_alone_for: str | None


class Carriers(BaseModel):
    """All carriers."""

    items: list[CarrierShown]


class NewRoute(Body):
    """A route: recipients of the prefix go to the carrier. The longest prefix wins, then the highest priority."""

    carrier: Printable
    prefix: Annotated[Annotated[Clean, chars(0, 16)], Field(description="Digits; empty for all recipients.")] = ""
    account: AccountName | None = None
    sender: Sender | None = None
    priority: Annotated[int, Field(ge=-MOST, le=MOST), WHOLE] = 0
    weight: Whole | None = None
    cost: Annotated[Annotated[Clean, chars(1, 20)] | None, Field(description="Of a segment, such as 0.0075.")] = None
    currency: Annotated[Clean, chars(3, 3)] | None = None


class RouteShown(BaseModel):
    """A route. account, sender: null for all."""

    id: int
    carrier: str
    prefix: str
    account: str | None
    sender: str | None
    priority: int
    weight: int | None
    cost: str | None
    currency: str | None


class RouteList(BaseModel):
    """Routes in the order in which they are tried."""

    items: list[RouteShown]


class AccountDraft(Body):
    """A new account. secret: without one a random one is made."""

    name: AccountName
    secret: Annotated[Clean, chars(1, 255)] | None = None


class NewSecret(Body):
    """Another secret; without one a random one is made."""

    secret: Annotated[Clean, chars(1, 255)] | None = None


class AccountShown(BaseModel):
    """An account."""

    id: int
    name: str
    created_at: str


class AccountSecret(BaseModel):
    """An account's new secret; null where it was given."""

    name: str
    secret: ShownOnce


def _amount(value: str) -> str:
    try:
        parse_amount(value, field="")
    except InvalidField as error:
        raise ValueError("it must be an amount such as 12.50") from error
    return value


Amount = Annotated[Clean, chars(1, 20), AfterValidator(_amount), Field(examples=["12.50"])]
Destination = Annotated[str, StringConstraints(strict=True, pattern=DESTINATION), Field(examples=["44"])]


class Limits(Body):
    """What an account may send at most; null: without a bound. destinations: prefixes; empty: everywhere."""

    segments_per_day: Annotated[int, Field(ge=0, le=2**62), WHOLE] | None = None
    spend_per_day: Annotated[Amount | None, Field(description="In the currency of the routes' costs.")] = None
    destinations: Annotated[list[Destination], Field(max_length=1000)] = Field(default_factory=list)


class LimitsShown(BaseModel):
    """An account's limits, and what was used of them today (UTC)."""

    segments_per_day: int | None
    segments_today: int
    spend_per_day: str | None
    spend_today: str
    currency: str | None
    destinations: list[str]


def add_operator(app: FastAPI, desk: Desk) -> None:
    """The routes of the operator."""
    routes = Routes(app, "Native: operator", OPERATOR)
    _add_carriers(routes, desk)
    _add_routes(routes, desk)
    _add_accounts(routes, desk)


def _add_carriers(routes: Routes, desk: Desk) -> None:
    @routes.get("/carriers", "listCarriers", scope_as=OPERATOR)
    async def list_carriers(caller: Admitted) -> Carriers:
        """List carriers."""
        catalog = await desk.catalog.now()
        return Carriers(items=[_carrier(row, catalog) for row in catalog.carriers.values()])

    @routes.post("/carriers", "addCarrier", status=201, scope_as=OPERATOR, errors=("duplicate",))
    async def add(body: CarrierDraft, caller: Admitted) -> CarrierShown:
        """Add a carrier."""
        with settings_told_together():
            check(body.driver, body.settings, [])
        await desk.catalog_store.add_carrier(body.name, body.driver, sealed(body.driver, body.settings, desk.settings))
        return await find(body.name)

    @routes.get("/carriers/{name}", "getCarrier", single=True, scope_as=OPERATOR)
    async def get(name: NameInPath, caller: Admitted) -> CarrierShown:
        """One carrier."""
        return await find(name)

    @routes.patch("/carriers/{name}", "changeCarrier", scope_as=OPERATOR)
    async def change(name: NameInPath, body: CarrierChange, caller: Admitted) -> CarrierShown:
        """Change some of a carrier's settings; a running link connects anew with them."""
        given = {key: value for key, value in body.settings.items() if value is not None}

        def changed(row: CarrierRow) -> dict[str, str]:
            # What is gone already stays so: a repeat is no fault.
            unset = [key for key, value in body.settings.items() if value is None and key in row.settings]
            return changed_settings(row, given, unset, [], desk.settings)

        with settings_told_together():
            await desk.catalog_store.change_settings(name, changed)
        return await find(name)

    @routes.delete("/carriers/{name}", "removeCarrier", scope_as=OPERATOR, errors=("refused",))
    async def remove(name: NameInPath, caller: Admitted) -> None:
        """Remove a carrier to which no route leads and for which no message waits."""
        await desk.catalog_store.remove_carrier(name)

    @routes.post("/carriers/{name}/pause", "pauseCarrier", scope_as=OPERATOR)
    async def pause(name: NameInPath, caller: Admitted) -> CarrierShown:
        """Hand nothing more to a carrier; its messages wait."""
        await desk.catalog_store.set_paused(name, True)
        return await find(name)

    @routes.post("/carriers/{name}/resume", "resumeCarrier", scope_as=OPERATOR)
    async def resume(name: NameInPath, caller: Admitted) -> CarrierShown:
        """Let a paused carrier go on."""
        await desk.catalog_store.set_paused(name, False)
        return await find(name)

    async def find(name: str) -> CarrierShown:
        catalog = await desk.catalog.now()
        return _carrier(catalog.carrier(name), catalog)


def _add_routes(routes: Routes, desk: Desk) -> None:
    @routes.get("/routes", "listRoutes", scope_as=OPERATOR)
    async def list_routes(caller: Admitted) -> RouteList:
        """List routes in the order in which they are tried."""
        catalog, names = await desk.catalog.now(), await desk.accounts.names()
        return RouteList(items=[_route(row, catalog, names) for row in catalog.routes])

    @routes.post("/routes", "addRoute", status=201, scope_as=OPERATOR)
    async def add(body: NewRoute, caller: Admitted) -> RouteShown:
        """Send recipients to a carrier."""
        account_id: int | None = None
        faults: list[str] = []
        if body.account is not None:
            try:
                account_id = (await desk.accounts.by_name(body.account)).id
            except NotFound as error:
                faults.append(OfField(str(error), "account"))
        owns = account_id is None or not body.sender or await desk.pools.owns(account_id, body.sender)
        draft = RouteDraft(
            carrier=body.carrier,
            prefix=body.prefix,
            account_id=account_id,
            sender=body.sender,
            owns_sender=owns,
            priority=body.priority,
            weight=body.weight,
            cost=body.cost,
            currency=body.currency,
        )
        catalog = await desk.catalog.now()
        refuse([*faults, *faults_of(draft, catalog)])
        route_id = await desk.catalog_store.add_route(
            body.carrier,
            prefix=draft.digits,
            account_id=account_id,
            priority=body.priority,
            sender=None if body.sender is None else canonical(body.sender),
            weight=body.weight,
            cost=draft.amount,
            currency=currency_of(draft, catalog),
        )
        return await find(route_id)

    @routes.get("/routes/{id}", "getRoute", single=True, scope_as=OPERATOR)
    async def get(id: SerialInPath, caller: Admitted) -> RouteShown:
        """One route."""
        return await find(serial_of(id))

    @routes.delete("/routes/{id}", "removeRoute", scope_as=OPERATOR)
    async def remove(id: SerialInPath, caller: Admitted) -> None:
        """Remove a route; what waits for its carrier already still goes there."""
        if not await desk.catalog_store.remove_route(serial_of(id)):
            raise NotFound("there is no such route")

    async def find(route_id: int) -> RouteShown:
        catalog, names = await desk.catalog.now(), await desk.accounts.names()
        for row in catalog.routes:
            if row.id == route_id:
                return _route(row, catalog, names)
        raise NotFound("there is no such route")


def _add_accounts(routes: Routes, desk: Desk) -> None:
    @routes.get("/accounts", "listAccounts", scope_as=OPERATOR)
    async def list_accounts(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[AccountShown]:
        """List accounts, the oldest first."""
        rows = await desk.accounts.page(after=after_id("accounts", query.cursor), count=query.limit + 1)
        return page(request, response, rows, query.limit, show=_account, cursor=lambda one: encode("accounts", one.id))

    @routes.post("/accounts", "createAccount", status=201, scope_as=OPERATOR, errors=("duplicate",))
    async def create(body: AccountDraft, caller: Admitted) -> AccountSecret:
        """Make an account. A random secret is shown this once."""
        if not is_account_name(body.name):
            raise invalid(NAME_RULE, pointer="/name")
        secret = body.secret or new_secret()
        await desk.accounts.create(body.name, await desk.hashed(secret))
        return AccountSecret(name=body.name, secret=None if body.secret else secret)

    @routes.get("/accounts/{name}", "getAccount", single=True, scope_as=OPERATOR)
    async def get(name: NameInPath, caller: Admitted) -> AccountShown:
        """One account."""
        account = await desk.accounts.by_name(name)
        (listed,) = await desk.accounts.page(after=account.id - 1, count=1)
        return _account(listed)

    @routes.post("/accounts/{name}/secret", "changeSecret", scope_as=OPERATOR, once=True)
    async def change_secret(name: NameInPath, body: NewSecret, caller: Admitted) -> AccountSecret:
        """Give an account another secret; running servers may still take the old one for 15 seconds."""
        account = await desk.accounts.by_name(name)
        secret = body.secret or new_secret()
        await desk.accounts.set_secret(account.id, await desk.hashed(secret))
        return AccountSecret(name=name, secret=None if body.secret else secret)

    @routes.get("/accounts/{name}/limits", "getLimits", single=True, scope_as=OPERATOR)
    async def get_limits(name: NameInPath, caller: Admitted) -> LimitsShown:
        """What an account may send at most, and what was used of that today."""
        return await limits_of(name)

    @routes.put("/accounts/{name}/limits", "setLimits", scope_as=OPERATOR)
    async def set_limits(name: NameInPath, body: Limits, caller: Admitted) -> LimitsShown:
        """Say what an account may send at most; what is not said is without a bound."""
        account = await desk.accounts.by_name(name)
        spend = None if body.spend_per_day is None else parse_amount(body.spend_per_day, field="spend_per_day")
        destinations = tuple(sorted({re.sub(r"^\+", "", prefix) for prefix in body.destinations}))
        await desk.limits.set(
            account.id,
            AccountLimits(segments_per_day=body.segments_per_day, spend_per_day=spend, destinations=destinations),
        )
        return await limits_of(name)

    async def limits_of(name: str) -> LimitsShown:
        account = await desk.accounts.by_name(name)
        catalog = await desk.catalog.now()
        used = (await desk.limits.usage([account.id], day_of(desk.clock()))).get(account.id, Usage())
        limits = catalog.limits_of(account.id)
        return LimitsShown(
            segments_per_day=limits.segments_per_day,
            segments_today=used.segments,
            spend_per_day=None if limits.spend_per_day is None else f"{limits.spend_per_day:f}",
            spend_today=f"{used.spend:f}",
            currency=catalog.currency,
            destinations=list(limits.destinations),
        )


def _carrier(row: CarrierRow, catalog: Catalog) -> CarrierShown:
    circuit = catalog.circuits.get(row.id)
    return CarrierShown(
        name=row.name,
        driver=row.driver,
        settings=shown_settings(row),
        paused=row.paused,
        left_alone_for=None if circuit is None else circuit.cause,
    )


def _route(row: RouteRow, catalog: Catalog, names: dict[int, str]) -> RouteShown:
    return RouteShown(
        id=row.id,
        carrier=catalog.carriers[row.carrier_id].name,
        prefix=row.prefix,
        account=None if row.account_id is None else names.get(row.account_id, str(row.account_id)),
        sender=row.sender,
        priority=row.priority,
        weight=row.weight,
        cost=None if row.cost is None else f"{row.cost:f}",
        currency=row.currency,
    )


def _account(one: ListedAccount) -> AccountShown:
    return AccountShown(id=one.id, name=one.name, created_at=format_milli(one.created_at))
