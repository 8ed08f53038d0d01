"""Commands about routes: which recipients go to which carrier, and in which order carriers are tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from longcode.bootstrap import Product
from longcode.cli.product import json_option, row_id, with_product
from longcode.cli.session import data_option
from longcode.cli.tables import Table, echo_json, show_fields
from longcode.domain.phone import canonical, digits_of
from longcode.errors import ConfigurationError, NotFound
from longcode.flow.route_check import RouteDraft, currency_of, faults_of
from longcode.flow.route_explanation import ANYBODY, Way, explained
from longcode.flow.routing import NO_MESSAGE, Parcel
from longcode.store.catalog import RouteRow

ALL = "all"
# Keys are added, and never change their meaning.
HEADINGS = ("id", "prefix", "account", "priority", "sender", "weight", "cost", "currency")
WAY = ("try", "carrier", "route", "why", "now")


@click.group()
def route() -> None:
    """Routes."""


@route.command("add")
@click.option("--carrier", "carrier_name", required=True, metavar="NAME")
@click.option("--prefix", default="", metavar="DIGITS", help="Recipients that begin so. Default: all.")
@click.option("--account", "account_name", metavar="NAME", help="Only this account's messages.")
@click.option("--sender", metavar="SENDER", help="Only what is sent as this number or sender ID.")
@click.option("--priority", default=0, show_default=True, help="The higher wins among equal prefixes.")
@click.option("--weight", type=int, metavar="N", help="Its share among equals. Default: the cheapest of them is first.")
@click.option("--cost", metavar="AMOUNT", help="What a segment costs, such as 0.0075.")
@click.option("--currency", metavar="CODE", help="Of the cost. Default: that of the other routes, or USD.")
@data_option
def add_route(
    carrier_name: str,
    prefix: str,
    account_name: str | None,
    sender: str | None,
    priority: int,
    weight: int | None,
    cost: str | None,
    currency: str | None,
    data: Path | None,
) -> None:
    """Send recipients to a carrier: the longest prefix wins, then the highest priority.

    The other routes that fit are tried when the first one's carrier faults.
    """

    async def add(product: Product) -> int:
        faults = []
        account_id = None
        if account_name is not None:
            try:
                account_id = (await product.accounts.by_name(account_name)).id
            except NotFound as error:
                faults.append(str(error))
        owns = account_id is None or not sender or await product.pool_store.owns(account_id, sender)
        draft = RouteDraft(
            carrier=carrier_name,
            prefix=prefix,
            account_id=account_id,
            sender=sender,
            owns_sender=owns,
            priority=priority,
            weight=weight,
            cost=cost,
            currency=currency,
        )
        catalog = await product.catalog.now()
        faults += faults_of(draft, catalog)
        if faults:
            raise ConfigurationError(faults)
        return await product.catalog_store.add_route(
            carrier_name,
            prefix=draft.digits,
            account_id=account_id,
            priority=priority,
            sender=None if sender is None else canonical(sender),
            weight=weight,
            cost=draft.amount,
            currency=currency_of(draft, catalog),
        )

    route_id = with_product(data, add)
    click.echo(f"route {route_id}: {digits_of(prefix) or ALL} → {carrier_name}")


@route.command("list")
@json_option
@data_option
def list_routes(as_json: bool, data: Path | None) -> None:
    """List routes in the order in which they are tried."""

    async def read(product: Product) -> list[tuple[dict[str, object], str]]:
        catalog, accounts = await product.catalog.now(), await product.accounts.names()
        return [
            (record, catalog.carriers[one.carrier_id].name)
            for one, record in zip(catalog.routes, route_records(catalog.routes, accounts), strict=True)
        ]

    rows = with_product(data, read)
    if as_json:
        for record, carrier in rows:
            echo_json({**record, "carrier": carrier})
    elif rows:
        first, rest = HEADINGS[:4], HEADINGS[4:]
        cells = [(_shown(record), carrier) for record, carrier in rows]
        Table(*first, "carrier", *rest).add([(*shown[:4], carrier, *shown[4:]) for shown, carrier in cells])


@route.command("show")
@click.argument("route_id", metavar="ID", type=row_id)
@json_option
@data_option
def show_route(route_id: int, as_json: bool, data: Path | None) -> None:
    """Show one route by its id in `route list`."""

    async def read(product: Product) -> tuple[dict[str, object], str]:
        catalog, accounts = await product.catalog.now(), await product.accounts.names()
        for one in catalog.routes:
            if one.id == route_id:
                return route_records([one], accounts)[0], catalog.carriers[one.carrier_id].name
        raise NotFound(f"there is no route {route_id}")

    record, carrier = with_product(data, read)
    if as_json:
        echo_json({**record, "carrier": carrier})
    else:
        fields = dict(zip(HEADINGS[1:], _shown(record)[1:], strict=True))
        show_fields(f"route {route_id} → {carrier}", fields)


@route.command("test")
@click.argument("number")
@click.option("--account", "account_name", metavar="NAME", help="As this account. Default: routes of all accounts.")
@click.option("--sender", default="", metavar="SENDER", help="Sent as this. Default: routes of all senders.")
@json_option
@data_option
def explain_routes(number: str, account_name: str | None, sender: str, as_json: bool, data: Path | None) -> None:
    """Tell which carriers a message to NUMBER would be tried with, in which order, and why. Nothing is sent."""

    if not digits_of(number):
        raise ConfigurationError([f"{number} is no number: it has no digits"])

    async def read(product: Product) -> list[Way]:
        account_id = ANYBODY if account_name is None else (await product.accounts.by_name(account_name)).id
        parcel = Parcel(account_id, sender, number, NO_MESSAGE)
        return explained(await product.catalog.now(), parcel, product.clock())

    ways = with_product(data, read)
    if as_json:
        for way in ways:
            echo_json(dict(zip(WAY, _way(way), strict=True)))
    elif ways:
        Table(*WAY).add([_way(way) for way in ways])
    if not ways:
        raise NotFound(f"no route fits {number}; a message would wait for one until its validity ends")


@route.command("remove")
@click.argument("route_id", metavar="ID", type=row_id)
@data_option
def remove_route(route_id: int, data: Path | None) -> None:
    """Remove a route by its id in `route list`. What waits for its carrier already still goes there."""
    if not with_product(data, lambda product: product.catalog_store.remove_route(route_id)):
        raise NotFound(f"there is no route {route_id}")
    click.echo(f"route {route_id} removed")


def route_records(routes: Iterable[RouteRow], accounts: Mapping[int, str]) -> list[dict[str, object]]:
    """Routes as JSON has them. accounts: names by id."""
    return [dict(zip(HEADINGS, _cells(route, accounts), strict=True)) for route in routes]


def print_routes(routes: Iterable[RouteRow], accounts: Mapping[int, str]) -> None:
    """The routes of one carrier as a table."""
    Table("route", *HEADINGS[1:]).add([_shown(record) for record in route_records(routes, accounts)])


def _cells(route: RouteRow, accounts: Mapping[int, str]) -> tuple[object, ...]:
    """Under HEADINGS; prefix "", account None and sender None stand for all."""
    account = None if route.account_id is None else accounts.get(route.account_id, str(route.account_id))
    cost = None if route.cost is None else f"{route.cost:f}"
    return route.id, route.prefix, account, route.priority, route.sender, route.weight, cost, route.currency


def _shown(record: Mapping[str, object]) -> tuple[object, ...]:
    """A record for people: what is not narrowed down is for all."""
    return tuple(value or ALL if name in ("prefix", "account", "sender") else value for name, value in record.items())


def _way(way: Way) -> tuple[object, ...]:
    """Under WAY."""
    return way.place, way.carrier, way.route_id, way.why, way.now
