"""Commands about carriers: settings, state, queue, binds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from longcode.bootstrap import Product
from longcode.carriers import smpp_check, smpp_settings
from longcode.carriers.registry import PARSERS, SMPP, Parser
from longcode.cli.product import json_option, with_product
from longcode.cli.routes import print_routes, route_records
from longcode.cli.session import data_option
from longcode.cli.tables import Table, clean, echo_json, show_fields
from longcode.domain.timestamps import format_milli
from longcode.errors import ConfigurationError, NotFound
from longcode.flow.catalog import Catalog
from longcode.store.carrier_status import COUNTED, CarrierStatusStore, ProcessStatus, QueueDepth
from longcode.store.catalog import CarrierRow, RouteRow
from longcode.vault import Vault

HIDDEN = "•••"
NAME_CHARACTERS = 64
STALE_AFTER = timedelta(seconds=10)


@click.group()
def carrier() -> None:
    """Carriers."""


@carrier.command("add")
@click.argument("name")
@click.option("--driver", required=True, type=click.Choice(list(PARSERS)))
@click.argument("settings", nargs=-1, metavar="[key=value]…")
@data_option
def add_carrier(name: str, driver: str, settings: tuple[str, ...], data: Path | None) -> None:
    """Add a carrier; passwords among its settings are stored encrypted."""
    if not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise ConfigurationError([f"a carrier's name is 1 to {NAME_CHARACTERS} printable characters"])
    parser = PARSERS[driver]
    given = _read(settings, parser)

    async def add(product: Product) -> None:
        secret = given.keys() & parser.secret_keys
        stored = dict(given)
        if secret:
            vault = Vault.open(product.settings)
            stored.update({key: vault.seal(given[key]) for key in secret})
        await product.catalog_store.add_carrier(name, driver, stored)

    with_product(data, add)
    click.echo(f"carrier {name}")


def _read(settings: Sequence[str], parser: Parser) -> dict[str, str]:
    """The settings by key. Raises ConfigurationError with every fault of their form and of their values."""
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
    try:
        parser.check(given)
    except ConfigurationError as error:
        faults += error.faults
    if faults:
        raise ConfigurationError(faults)
    return given


@dataclass(frozen=True, slots=True)
class Standing:
    """How one carrier is doing. last_error: the latest that a process reports of a bind, None where there is none."""

    row: CarrierRow
    depth: QueueDepth
    processes: Sequence[ProcessStatus]

    @property
    def state(self) -> str:
        return "paused" if self.row.paused else "running"

    @property
    def waiting(self) -> str:
        """How much waits, as far as it is counted."""
        return f"over {COUNTED}" if self.depth.waiting > COUNTED else str(self.depth.waiting)

    @property
    def last_error(self) -> str | None:
        for process in sorted(self.processes, key=lambda process: process.updated_at, reverse=True):
            for bind in _binds(process):
                if bind.get("last_error"):
                    return str(bind["last_error"])
        return None


@carrier.command("list")
@json_option
@data_option
def list_carriers(as_json: bool, data: Path | None) -> None:
    """List carriers with what waits for them."""

    async def read(product: Product) -> list[Standing]:
        catalog = await product.catalog.now()
        return [await _standing(product, row) for row in catalog.carriers.values()]

    standings = with_product(data, read)
    if as_json:
        for one in standings:
            echo_json(_summary(one))
    elif standings:
        rows = [(one.row.name, one.row.driver, one.state, one.waiting, one.last_error) for one in standings]
        Table("name", "driver", "state", "waiting", "last error").add(rows)


@carrier.command("show")
@click.argument("name")
@json_option
@data_option
def show_carrier(name: str, as_json: bool, data: Path | None) -> None:
    """Show a carrier: settings, routes, queue, and its binds as the processes that hold them report."""

    async def read(product: Product) -> tuple[Standing, list[RouteRow], dict[int, str], datetime]:
        catalog = await product.catalog.now()
        row = _find(catalog, name)
        routes = [route for route in catalog.routes if route.carrier_id == row.id]
        return await _standing(product, row), routes, await product.accounts.names(), product.clock()

    standing, routes, accounts, now = with_product(data, read)
    if as_json:
        echo_json(_details(standing, routes, accounts, now))
        return
    oldest = standing.depth.oldest_due_at
    fields = {
        "driver": standing.row.driver,
        "state": standing.state,
        "waiting": standing.waiting if oldest is None else f"{standing.waiting}, the oldest due {format_milli(oldest)}",
        **{f"setting {key}": value for key, value in _settings(standing.row).items()},
    }
    show_fields(f"carrier {standing.row.name}", fields)
    click.echo()
    if routes:
        print_routes(routes, accounts)
    else:
        click.echo("no route leads to it: `longcode route add --carrier NAME`")
    _print_links(standing, now)


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
@data_option
def check_carrier(name: str, data: Path | None) -> None:
    """Try a carrier's settings: connect, bind, enquire_link, unbind. Nothing is sent; exit 1 if it fails."""

    async def try_(product: Product) -> None:
        row = _find(await product.catalog.now(), name)
        if row.driver != SMPP:
            click.echo("✓ the simulator needs no connection")
            return
        settings = smpp_settings.parse(_unsealed(row, product))
        async with aclosing(smpp_check.check(settings)) as steps:
            async for step in steps:
                click.echo(f"✓ {step}")

    try:
        with_product(data, try_)
    except smpp_check.CheckFailed as error:
        click.echo(f"✗ {error}")
        raise SystemExit(1) from error


def _unsealed(row: CarrierRow, product: Product) -> dict[str, str]:
    secret = row.settings.keys() & PARSERS[row.driver].secret_keys
    opened = dict(row.settings)
    if secret:
        vault = Vault.open(product.settings)
        opened.update({key: vault.unseal(row.settings[key]) for key in secret})
    return opened


def _find(catalog: Catalog, name: str) -> CarrierRow:
    for row in catalog.carriers.values():
        if row.name == name:
            return row
    raise NotFound(f"there is no carrier {name}")


async def _standing(product: Product, row: CarrierRow) -> Standing:
    store = CarrierStatusStore(product.database)
    return Standing(row, await store.depth(row.id), await store.processes(row.id))


def _settings(row: CarrierRow) -> dict[str, str]:
    """The settings as they may be shown."""
    secret = PARSERS[row.driver].secret_keys if row.driver in PARSERS else row.settings.keys()
    return {key: HIDDEN if key in secret else value for key, value in row.settings.items()}


def _binds(process: ProcessStatus) -> list[Mapping[str, Any]]:
    binds = process.status.get("binds")
    return [bind for bind in binds if isinstance(bind, Mapping)] if isinstance(binds, list) else []


def _summary(standing: Standing) -> dict[str, object]:
    return {
        "name": standing.row.name,
        "driver": standing.row.driver,
        "state": standing.state,
        "waiting": standing.depth.waiting,
        "last_error": standing.last_error,
    }


def _details(
    standing: Standing, routes: Sequence[RouteRow], accounts: Mapping[int, str], now: datetime
) -> dict[str, object]:
    oldest = standing.depth.oldest_due_at
    return {
        **_summary(standing),
        "oldest_due_at": None if oldest is None else format_milli(oldest),
        "settings": _settings(standing.row),
        "routes": route_records(routes, accounts),
        "links": [
            {
                "process": process.process,
                "updated_at": format_milli(process.updated_at),
                "stale": now - process.updated_at > STALE_AFTER,
                **process.status,
            }
            for process in standing.processes
        ],
    }


def _print_links(standing: Standing, now: datetime) -> None:
    if standing.row.driver != SMPP:
        return
    click.echo()
    if not standing.processes:
        click.echo("no process has reported on its binds: is `longcode link` running?")
    for process in standing.processes:
        stale = now - process.updated_at > STALE_AFTER
        heard = f"stale, last heard {format_milli(process.updated_at)}" if stale else "reporting"
        click.echo(f"process {clean(process.process)}: {heard}")
        for bind in _binds(process):
            rest = " ".join(f"{key}={value}" for key, value in bind.items() if key not in ("name", "state") and value)
            click.echo(f"  {clean(bind.get('name'))}  {clean(bind.get('state'))}  {clean(rest)}")
