"""How carriers stand: settings as they may be shown, state, queue, and what is said of their binds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from longcode.carriers.http import TOKEN
from longcode.carriers.http_port import USUAL_TERMS, CallbackKind, HttpTerms, Site
from longcode.carriers.registry import KINDS
from longcode.domain.timestamps import format_milli, parse_instant
from longcode.errors import InvalidField
from longcode.flow.catalog import Catalog
from longcode.settings import Settings
from longcode.store.carrier_status import COUNTED, CarrierStatusStore, ProcessStatus, QueueDepth
from longcode.store.catalog import CarrierRow
from longcode.store.circuits import Circuit

HIDDEN: Final = "•••"
TOKEN_SETTING: Final = "callback_token"  # noqa: S105 - its name


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
        """paused or running, as the operator said."""
        return "paused" if self.row.paused else "running"

    @property
    def waiting(self) -> str:
        """How much waits, as far as it is counted."""
        return counted(self.depth.waiting)

    @property
    def last_error(self) -> str | None:
        """The latest that a process reports of a bind."""
        for process in sorted(self.processes, key=lambda process: process.updated_at, reverse=True):
            for bind in process.binds:
                if bind.get("last_error"):
                    return str(bind["last_error"])
        return None


async def read_standing(catalog: Catalog, status: CarrierStatusStore, row: CarrierRow) -> Standing:
    """How a carrier stands now."""
    circuit = catalog.circuits.get(row.id)
    return Standing(row, await status.depth(row.id), await status.processes(row.id), circuit)


def counted(waiting: int) -> str:
    """The length of a queue, as far as it is counted."""
    return f"over {COUNTED}" if waiting > COUNTED else str(waiting)


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


def site_of(row: CarrierRow, settings: Settings) -> Site:
    """A carrier's place on this server."""
    return Site(carrier_id=row.id, name=row.name, public_url=settings.public_url or "")


def callback_urls(row: CarrierRow, settings: Settings) -> dict[str, str]:
    """The addresses for a carrier's callbacks by their kinds; none for a carrier that makes none.

    A path alone while nobody has said how the carrier reaches this server. A token of ours is left out.
    """
    if row.driver not in KINDS or KINDS[row.driver].vendor is None:
        return {}
    site, base = site_of(row, settings), row.settings.get("callbacks")
    terms = HttpTerms(callbacks=base.rstrip("/")) if base else USUAL_TERMS
    token = f"?{TOKEN}={HIDDEN}" if TOKEN_SETTING in row.settings else ""
    return {kind.value: (site.callback_url(kind, terms) or site.callback_path(kind)) + token for kind in CallbackKind}


def links_of(standing: Standing, now: datetime) -> list[dict[str, Any]]:
    """What processes say of the binds that they hold. Keys are added, and never change their meaning."""
    return [
        {
            "process": process.process,
            "updated_at": format_milli(process.updated_at),
            "stale": process.is_stale(now),
            **process.status,
            "binds": [shown_bind(bind) for bind in process.binds],
        }
        for process in standing.processes
    ]


def shown_bind(bind: Mapping[str, Any]) -> dict[str, Any]:
    """A bind with its instant spelled as every other."""
    shown = dict(bind)
    # Another release may spell it in its own way.
    with suppress(InvalidField):
        shown["since"] = format_milli(parse_instant(bind.get("since"), field="since"))
    return shown
