"""How carriers stand, whether their settings work, and where a message would go."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

from longcode.api.caller import Admitted
from longcode.api.desk import Desk
from longcode.api.fields import AccountName, Body, Clean, chars
from longcode.api.ids import NameInPath
from longcode.api.problems import invalid
from longcode.api.routing import Routes
from longcode.carriers.check import CheckFailed
from longcode.domain.phone import digits_of
from longcode.domain.scopes import OPERATOR
from longcode.domain.timestamps import format_milli
from longcode.errors import ConfigurationError
from longcode.flow import carrier_trial
from longcode.flow.carrier_standing import Standing, callback_urls, links_of, read_standing
from longcode.flow.route_explanation import ANYBODY, explained
from longcode.flow.routing import NO_MESSAGE, Parcel
from longcode.store.carrier_status import COUNTED


class CircuitShown(BaseModel):
    """Why and until when a carrier is left alone. openings: how often in a row."""

    cause: str
    opened_at: str
    until: str
    openings: int


class CarrierState(BaseModel):
    """How a carrier stands. last_error: the latest of a bind. callbacks: addresses to be entered at the carrier.

    links: what processes say of the binds that they hold.
    """

    name: str
    driver: str
    paused: bool
    waiting: Annotated[int, Field(description=f"Messages; counted up to {COUNTED + 1}.")]
    oldest_due_at: str | None
    last_error: str | None
    circuit: CircuitShown | None
    callbacks: dict[str, str]
    links: list[dict[str, Any]]


class CarrierTrial(BaseModel):
    """What came of a try. steps: what went well, in its order. error: what did not; null where all did."""

    works: bool
    steps: list[str]
    error: str | None


class RouteQuestion(Body):
    """A message as routes see it. account, sender: without them only routes for all."""

    recipient: Annotated[Clean, chars(1, 32)]
    account: AccountName | None = None
    sender: Annotated[Clean, chars(0, 64)] = ""


class WayShown(BaseModel):
    """A carrier that the message would be tried with. place: from 1. now: whether the carrier takes messages now."""

    place: int
    carrier: str
    route_id: int
    why: str
    now: str


class Ways(BaseModel):
    """Carriers in the order in which they would be tried; empty where no route fits, and a message would wait."""

    items: list[WayShown]


def add_carrier_states(app: FastAPI, desk: Desk) -> None:
    """The routes of how carriers stand."""
    routes = Routes(app, "Native: operator", OPERATOR)

    @routes.get("/carriers/{name}/status", "getCarrierStatus", scope_as=OPERATOR)
    async def status(name: NameInPath, caller: Admitted) -> CarrierState:
        """How a carrier stands: what waits for it, its binds, and whether it is left alone."""
        catalog = await desk.catalog.now()
        return _state(await read_standing(catalog, desk.carrier_status, catalog.carrier(name)), desk)

    @routes.post("/carriers/{name}/test", "testCarrier", scope_as=OPERATOR)
    async def try_(name: NameInPath, caller: Admitted) -> CarrierTrial:
        """Try a carrier's settings: connect, and ask what sends nothing."""
        row, went_well = (await desk.catalog.now()).carrier(name), []
        try:
            async with aclosing(carrier_trial.steps(row, desk.settings, desk.clock)) as steps:
                async for step in steps:
                    went_well.append(step)
        except (CheckFailed, ConfigurationError) as error:
            return CarrierTrial(works=False, steps=went_well, error=str(error))
        return CarrierTrial(works=True, steps=went_well, error=None)

    @routes.post("/routes/test", "testRoutes", scope_as=OPERATOR)
    async def explain(body: RouteQuestion, caller: Admitted) -> Ways:
        """Tell which carriers a message would be tried with, in which order, and why. Nothing is sent."""
        if not digits_of(body.recipient):
            raise invalid("it has no digits", pointer="/recipient")
        account_id = ANYBODY if body.account is None else (await desk.accounts.by_name(body.account)).id
        parcel = Parcel(account_id, body.sender, body.recipient, NO_MESSAGE)
        ways = explained(await desk.catalog.now(), parcel, desk.clock())
        return Ways(
            items=[
                WayShown(place=way.place, carrier=way.carrier, route_id=way.route_id, why=way.why, now=way.now)
                for way in ways
            ]
        )


def _state(standing: Standing, desk: Desk) -> CarrierState:
    row, oldest, circuit = standing.row, standing.depth.oldest_due_at, standing.circuit
    return CarrierState(
        name=row.name,
        driver=row.driver,
        paused=row.paused,
        waiting=standing.depth.waiting,
        oldest_due_at=None if oldest is None else format_milli(oldest),
        last_error=standing.last_error,
        circuit=None
        if circuit is None
        else CircuitShown(
            cause=circuit.cause,
            opened_at=format_milli(circuit.opened_at),
            until=format_milli(circuit.until),
            openings=circuit.openings,
        ),
        callbacks=callback_urls(row, desk.settings),
        links=links_of(standing, desk.clock()),
    )
