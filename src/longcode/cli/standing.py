"""How carriers stand, for people and for programs: settings, state, queue, and what is said of their binds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from longcode.bootstrap import Product
from longcode.carriers.http import TOKEN
from longcode.carriers.http_port import USUAL_TERMS, CallbackKind, HttpTerms, Site
from longcode.carriers.registry import KINDS, SMPP
from longcode.cli.routes import route_records
from longcode.cli.tables import clean
from longcode.domain.timestamps import format_milli, parse_instant
from longcode.errors import InvalidField
from longcode.store.carrier_status import COUNTED, CarrierStatusStore, ProcessStatus, QueueDepth
from longcode.store.catalog import CarrierRow, RouteRow
from longcode.store.circuits import Circuit

HIDDEN = "•••"
TOKEN_SETTING = "callback_token"  # noqa: S105 - its name


@dataclass(frozen=True, slots=True)
class Standing:
    """How one carrier is doing. last_error: the latest that a process reports of a bind, None where there is none.

    circuit: why it is left alone; None where it is not.
    """

    row: CarrierRow
    depth: QueueDepth
    processes: Sequence[ProcessStatus]
    circuit: Circuit | None = None

    @property
    def state(self) -> str:
        return "paused" if self.row.paused else "running"

    @property
    def waiting(self) -> str:
        """How much waits, as far as it is counted."""
        return counted(self.depth.waiting)

    @property
    def last_error(self) -> str | None:
        for process in sorted(self.processes, key=lambda process: process.updated_at, reverse=True):
            for bind in process.binds:
                if bind.get("last_error"):
                    return str(bind["last_error"])
        return None


def counted(waiting: int) -> str:
    """The length of a queue, as far as it is counted."""
    return f"over {COUNTED}" if waiting > COUNTED else str(waiting)


async def read_standing(product: Product, row: CarrierRow) -> Standing:
    """How a carrier stands now."""
    store = CarrierStatusStore(product.database)
    circuit = (await product.catalog.now()).circuits.get(row.id)
    return Standing(row, await store.depth(row.id), await store.processes(row.id), circuit)


def tell_circuit(circuit: Circuit, now: datetime) -> str:
    """Since when and why a carrier is left alone, and what comes next, for people."""
    times = f", {circuit.openings} times in a row" if circuit.openings > 1 else ""
    if circuit.is_open(now):
        after = f"one message tries it at {format_milli(circuit.until)}"
    else:
        after = "one message tries it now"
    return f"open since {format_milli(circuit.opened_at)} for {circuit.cause}{times}; {after}"


def shown_settings(row: CarrierRow) -> dict[str, str]:
    """The settings as they may be shown."""
    secret = KINDS[row.driver].secret_keys if row.driver in KINDS else row.settings.keys()
    return {key: HIDDEN if key in secret else value for key, value in row.settings.items()}


def site_of(row: CarrierRow, product: Product) -> Site:
    """A carrier's place on this server."""
    return Site(carrier_id=row.id, name=row.name, public_url=product.settings.public_url or "")


def callback_urls(row: CarrierRow, product: Product) -> dict[str, str]:
    """The addresses for a carrier's callbacks by their kinds; none for a carrier that makes none.

    A path alone while nobody has said how the carrier reaches this server. A token of ours is left out.
    """
    if row.driver not in KINDS or KINDS[row.driver].vendor is None:
        return {}
    site, base = site_of(row, product), row.settings.get("callbacks")
    terms = HttpTerms(callbacks=base.rstrip("/")) if base else USUAL_TERMS
    token = f"?{TOKEN}={HIDDEN}" if TOKEN_SETTING in row.settings else ""
    return {kind.value: (site.callback_url(kind, terms) or site.callback_path(kind)) + token for kind in CallbackKind}


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
        "links": [
            {
                "process": process.process,
                "updated_at": format_milli(process.updated_at),
                "stale": process.is_stale(now),
                **process.status,
                "binds": [_shown(bind) for bind in process.binds],
            }
            for process in standing.processes
        ],
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
        for bind in map(_shown, process.binds):
            rest = " ".join(f"{key}={value}" for key, value in bind.items() if key not in ("name", "state") and value)
            click.echo(f"  {clean(bind.get('name'))}  {clean(bind.get('state'))}  {clean(rest)}")


def _shown(bind: Mapping[str, Any]) -> dict[str, Any]:
    """A bind with its instant spelled as every other."""
    shown = dict(bind)
    # Another release may spell it in its own way.
    with suppress(InvalidField):
        shown["since"] = format_milli(parse_instant(bind.get("since"), field="since"))
    return shown
