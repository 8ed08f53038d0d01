"""How carriers stand, as commands show it to people and to programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import click

from longcode.bootstrap import Product
from longcode.carriers.registry import SMPP
from longcode.cli.routes import route_records
from longcode.cli.tables import clean
from longcode.domain.timestamps import format_milli
from longcode.flow.carrier_standing import Standing, links_of, read_standing, shown_bind, shown_settings
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.catalog import CarrierRow, RouteRow


async def standing_of(product: Product, row: CarrierRow) -> Standing:
    """How a carrier stands now."""
    return await read_standing(await product.catalog.now(), CarrierStatusStore(product.database), row)


def summary(standing: Standing) -> dict[str, object]:
    """What programs read in a list; keys are added, and never change their meaning."""
    circuit = standing.circuit
    return {
        "name": standing.row.name,
        "driver": standing.row.driver,
        "state": standing.state,
        "waiting": standing.depth.waiting,
        "last_error": standing.last_error,
        "circuit": None
        if circuit is None
        else {
            "cause": circuit.cause,
            "opened_at": format_milli(circuit.opened_at),
            "until": format_milli(circuit.until),
            "openings": circuit.openings,
        },
    }


def details(
    standing: Standing, routes: Sequence[RouteRow], accounts: Mapping[int, str], now: datetime
) -> dict[str, object]:
    """What programs read of one carrier. accounts: names by id."""
    oldest = standing.depth.oldest_due_at
    return {
        **summary(standing),
        "oldest_due_at": None if oldest is None else format_milli(oldest),
        "settings": shown_settings(standing.row),
        "routes": route_records(routes, accounts),
        "links": links_of(standing, now),
    }


def print_links(standing: Standing, now: datetime) -> None:
    """Each bind on a line, under the process that holds it; nothing for a driver without binds."""
    if standing.row.driver != SMPP:
        return
    click.echo()
    if not standing.processes:
        click.echo("no process has reported on its binds: is `longcode link` running?")
    for process in standing.processes:
        stale = process.is_stale(now)
        heard = f"stale, last heard {format_milli(process.updated_at)}" if stale else "reporting"
        click.echo(f"process {clean(process.process)}: {heard}")
        for bind in map(shown_bind, process.binds):
            rest = " ".join(f"{key}={value}" for key, value in bind.items() if key not in ("name", "state") and value)
            state = f"was {bind.get('state')}" if stale else bind.get("state")
            click.echo(f"  {clean(bind.get('name'))}  {clean(state)}  {clean(rest)}")
