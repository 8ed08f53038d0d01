"""Commands about routes: which recipients go to which carrier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from longcode.bootstrap import Product
from longcode.cli.product import json_option, with_product
from longcode.cli.session import data_option
from longcode.cli.tables import Table, echo_json
from longcode.domain.phone import digits_of
from longcode.errors import ConfigurationError, NotFound
from longcode.store.catalog import RouteRow

ALL = "all"
HEADINGS = ("id", "prefix", "account", "priority")


@click.group()
def route() -> None:
    """Routes."""


@route.command("add")
@click.option("--carrier", "carrier_name", required=True, metavar="NAME")
@click.option("--prefix", default="", metavar="DIGITS", help="Recipients that begin so. Default: all.")
@click.option("--account", "account_name", metavar="NAME", help="Only this account's messages.")
@click.option("--priority", default=0, show_default=True, help="The higher wins among equal prefixes.")
@data_option
def add_route(carrier_name: str, prefix: str, account_name: str | None, priority: int, data: Path | None) -> None:
    """Send recipients to a carrier: the longest prefix wins, then the highest priority."""
    digits = digits_of(prefix)
    if prefix.removeprefix("+") != digits or len(digits) > 15:
        raise ConfigurationError(["a prefix is at most 15 digits"])

    async def add(product: Product) -> None:
        account_id = None if account_name is None else (await product.accounts.by_name(account_name)).id
        await product.catalog_store.add_route(carrier_name, prefix=digits, account_id=account_id, priority=priority)

    with_product(data, add)
    click.echo(f"route {digits or 'all'} → {carrier_name}")


@route.command("list")
@json_option
@data_option
def list_routes(as_json: bool, data: Path | None) -> None:
    """List routes in the order in which they are tried."""
    headings = (*HEADINGS, "carrier")

    async def read(product: Product) -> list[tuple[object, ...]]:
        catalog, accounts = await product.catalog.now(), await product.accounts.names()
        return [(*_cells(one, accounts), catalog.carriers[one.carrier_id].name) for one in catalog.routes]

    rows = with_product(data, read)
    if as_json:
        for row in rows:
            echo_json(dict(zip(headings, row, strict=True)))
    elif rows:
        Table(*headings).add([(row[0], row[1] or ALL, row[2] or ALL, *row[3:]) for row in rows])


@route.command("remove")
@click.argument("route_id", metavar="ID", type=int)
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
    cells = [_cells(route, accounts) for route in routes]
    Table("route", *HEADINGS[1:]).add([(id_, prefix or ALL, name or ALL, rank) for id_, prefix, name, rank in cells])


def _cells(route: RouteRow, accounts: Mapping[int, str]) -> tuple[int, str, str | None, int]:
    """Under HEADINGS; prefix "" and account None stand for all."""
    account = None if route.account_id is None else accounts.get(route.account_id, str(route.account_id))
    return route.id, route.prefix, account, route.priority
