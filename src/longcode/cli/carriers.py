"""Commands about carriers: adding, changing, looking, pausing, trying, removing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import click

from longcode.bootstrap import Product
from longcode.carriers.check import CheckFailed
from longcode.carriers.registry import KINDS
from longcode.cli.product import json_option, with_product
from longcode.cli.routes import print_routes
from longcode.cli.session import data_option
from longcode.cli.standing import details, print_links, standing_of, summary
from longcode.cli.tables import Table, clean, echo_json, show_fields
from longcode.domain.timestamps import format_milli
from longcode.errors import ConfigurationError
from longcode.flow.carrier_setup import changed_settings, check, sealed
from longcode.flow.carrier_standing import Standing, callback_urls, shown_settings, tell_circuit
from longcode.flow.carrier_trial import steps
from longcode.store.catalog import RouteRow

NAME_CHARACTERS = 64


@click.group()
def carrier() -> None:
    """Carriers."""


@carrier.command("add")
@click.argument("name")
@click.option("--driver", required=True, type=click.Choice(list(KINDS)))
@click.argument("settings", nargs=-1, metavar="[key=value]…")
@data_option
def add_carrier(name: str, driver: str, settings: tuple[str, ...], data: Path | None) -> None:
    """Add a carrier; passwords among its settings are stored encrypted."""
    if not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise ConfigurationError([f"a carrier's name is 1 to {NAME_CHARACTERS} printable characters"])
    given, faults = _read(settings)
    check(driver, given, faults)

    async def add(product: Product) -> None:
        await product.catalog_store.add_carrier(name, driver, sealed(driver, given, product.settings))

    with_product(data, add)
    click.echo(f"carrier {name}")


@carrier.command("set")
@click.argument("name")
@click.argument("settings", nargs=-1, metavar="[key=value]…")
@click.option("--unset", "unset", multiple=True, metavar="KEY", help="Back to its default; may be repeated.")
@data_option
def change_carrier(name: str, settings: tuple[str, ...], unset: tuple[str, ...], data: Path | None) -> None:
    """Change some of a carrier's settings; a running link connects anew with them within seconds.

    What is in flight on the old connection is answered first, for a few seconds.
    """
    given, faults = _read(settings)
    if not given and not unset and not faults:
        raise ConfigurationError(["nothing to change: give key=value, or --unset KEY"])

    async def change(product: Product) -> bool:
        return await product.catalog_store.change_settings(
            name, lambda row: changed_settings(row, given, unset, list(faults), product.settings)
        )

    changed = with_product(data, change)
    click.echo(f"carrier {name} {'changed' if changed else 'is set so already'}")


def _read(settings: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The settings by key, and the faults of their form."""
    given: dict[str, str] = {}
    faults = []
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            faults.append(f"{setting}: expected key=value")
        elif key in given:
            faults.append(f"{key}: given twice")
        else:
            given[key] = value
    return given, faults


@carrier.command("remove")
@click.argument("name")
@data_option
def remove_carrier(name: str, data: Path | None) -> None:
    """Remove a carrier to which no route leads and for which no message waits.

    Its receipts come over its own connection: those that are still to come are lost.
    """
    with_product(data, lambda product: product.catalog_store.remove_carrier(name))
    click.echo(f"carrier {name} removed")


@carrier.command("list")
@json_option
@data_option
def list_carriers(as_json: bool, data: Path | None) -> None:
    """List carriers with what waits for them."""

    async def read(product: Product) -> list[Standing]:
        catalog = await product.catalog.now()
        return [await standing_of(product, row) for row in catalog.carriers.values()]

    standings = with_product(data, read)
    if as_json:
        for one in standings:
            echo_json(summary(one))
    elif standings:
        rows = [
            (one.row.name, one.row.driver, one.state, one.waiting, one.last_error, one.circuit and one.circuit.cause)
            for one in standings
        ]
        Table("name", "driver", "state", "waiting", "last error", "left alone for").add(rows)


@carrier.command("show")
@click.argument("name")
@json_option
@data_option
def show_carrier(name: str, as_json: bool, data: Path | None) -> None:
    """Show a carrier: settings, routes, queue, and its binds as the processes that hold them report.

    Of one that is reached by HTTP also the addresses for its callbacks, to be entered at the carrier.
    """

    async def read(product: Product) -> tuple[Standing, list[RouteRow], dict[int, str], datetime, dict[str, str]]:
        catalog = await product.catalog.now()
        row = catalog.carrier(name)
        routes = [route for route in catalog.routes if route.carrier_id == row.id]
        standing, accounts = await standing_of(product, row), await product.accounts.names()
        return standing, routes, accounts, product.clock(), callback_urls(row, product.settings)

    standing, routes, accounts, now, callbacks = with_product(data, read)
    if as_json:
        echo_json(details(standing, routes, accounts, now) | {"callbacks": callbacks})
        return
    oldest = standing.depth.oldest_due_at
    fields = {
        "driver": standing.row.driver,
        "state": standing.state,
        **({} if standing.circuit is None else {"circuit": tell_circuit(standing.circuit, now)}),
        "waiting": standing.waiting if oldest is None else f"{standing.waiting}, the oldest due {format_milli(oldest)}",
        **{f"setting {key}": value for key, value in shown_settings(standing.row).items()},
        **{f"{kind} callbacks": url for kind, url in callbacks.items()},
    }
    show_fields(f"carrier {standing.row.name}", fields)
    if any(url.startswith("/") for url in callbacks.values()):
        click.echo("no receipts are asked for: say how the carrier reaches us by LONGCODE_PUBLIC_URL, or by callbacks=")
    click.echo()
    if routes:
        print_routes(routes, accounts)
    else:
        click.echo(f"no route leads to it: `longcode route add --carrier {shlex.quote(standing.row.name)}`")
    print_links(standing, now)


@carrier.command("pause")
@click.argument("name")
@data_option
def pause_carrier(name: str, data: Path | None) -> None:
    """Hand nothing more to a carrier; its messages wait. What is in flight is still answered."""
    changed = with_product(data, lambda product: product.catalog_store.set_paused(name, True))
    click.echo(f"carrier {name} {'paused' if changed else 'was paused already'}")


@carrier.command("resume")
@click.argument("name")
@data_option
def resume_carrier(name: str, data: Path | None) -> None:
    """Let a paused carrier go on."""
    changed = with_product(data, lambda product: product.catalog_store.set_paused(name, False))
    click.echo(f"carrier {name} {'resumed' if changed else 'was running already'}")


@carrier.command("test")
@click.argument("name")
@json_option
@data_option
def check_carrier(name: str, as_json: bool, data: Path | None) -> None:
    """Try a carrier's settings: connect, and ask what sends nothing. Exit 1 if it fails."""

    def tell(step: str, *, ok: bool) -> None:
        if as_json:
            echo_json({"ok": ok, "step": step})
        else:
            click.echo(f"{'✓' if ok else '✗'} {clean(step)}")

    async def try_(product: Product) -> None:
        row = (await product.catalog.now()).carrier(name)
        async with aclosing(steps(row, product.settings, product.clock)) as tried:
            async for step in tried:
                tell(step, ok=True)

    try:
        with_product(data, try_)
    except CheckFailed as error:
        tell(str(error), ok=False)
        raise SystemExit(1) from error
