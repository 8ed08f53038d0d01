"""The command that looks for what is wrong."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click

from longcode import log
from longcode.bootstrap import Product, running
from longcode.carriers import policy
from longcode.carriers.registry import KINDS, SMPP
from longcode.carriers.smpp_link import Kind, LinkState
from longcode.cli.embedded import is_embedded, settings_with
from longcode.cli.session import check_schema, data_option, run
from longcode.cli.standing import Standing, counted, read_standing, tell_circuit
from longcode.domain.timestamps import format_milli
from longcode.errors import ConfigurationError, LongcodeError, NotFound
from longcode.flow.catalog import Catalog
from longcode.flow.health import NOT_CONNECTED
from longcode.settings import Settings
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.catalog import CarrierRow
from longcode.vault import unsealed

# The simulator turns nothing away for long, so what is due for longer has nobody to send it.
UNSERVED_AFTER = timedelta(seconds=60)

# Jobs run every second, and beat says every few seconds that it lives.
UNSEEN_SECONDS = 30
PROCESSES = ("worker", "beat")


@dataclass(frozen=True, slots=True)
class Serving:
    """The commands whose processes serve carriers. link: those by SMPP. worker: all others."""

    worker: str
    link: str


EMBEDDED = Serving("longcode up", "longcode up")
SHARED = Serving("longcode worker", "longcode link")


@click.command()
@click.option(
    "--here", is_flag=True, help="Only database, schema, Redis and broker: what a process cannot run without."
)
@click.option("--process", type=click.Choice(PROCESSES), help="With --here: also this process, on this machine.")
@data_option
def doctor(here: bool, process: str | None, data: Path | None) -> None:
    """Look for what is wrong; exit 1 if there is something."""
    if process is not None and not here:
        raise click.UsageError("--process goes with --here")
    settings = settings_with(data)
    log.configure("error")
    faults = run(_faults(settings, here=here, process=process))
    for fault in faults:
        click.echo(f"✗ {fault}")
    if faults:
        raise SystemExit(1)
    click.echo("✓ nothing is wrong")


async def _faults(settings: Settings, *, here: bool, process: str | None) -> list[str]:
    """What stands in the way of sending, in plain words."""
    try:
        await check_schema(settings)
        async with running(settings) as product:
            faults = await _expiring_faults(product)
            if not is_embedded(settings):
                faults += await asyncio.to_thread(background_faults, settings, here=here, process=process)
            return faults if here else [*faults, *await _setup_faults(product), *await _carrier_faults(product)]
    except LongcodeError as error:
        return [str(error)]


async def _expiring_faults(product: Product) -> list[str]:
    if product.settings.redis_url is None:
        return []
    from longcode.expiring.redis import RedisExpiring  # only where there is Redis

    assert isinstance(product.expiring, RedisExpiring)
    try:
        return await product.expiring.faults()
    except LongcodeError as error:
        return [str(error)]


def background_faults(settings: Settings, *, here: bool, process: str | None) -> list[str]:
    """Whether the broker answers, and whether a worker and a beat ran something lately."""
    from longcode.engine.broker import Broker, url_of  # only where there is one

    url = url_of(settings)
    if url is None:
        return []
    broker = Broker(url)
    try:
        seen = broker.seen()
    except LongcodeError as error:
        return [str(error)]
    finally:
        broker.close()
    asked = [process] if process else [] if here else PROCESSES
    ours = socket.gethostname()
    lately = {name for (name, host), ago in seen.items() if ago < UNSEEN_SECONDS and (host == ours or not here)}
    return [
        f"no {name} has done anything for {UNSEEN_SECONDS} s: is `longcode {name}` running?"
        for name in asked
        if name not in lately
    ]


async def _setup_faults(product: Product) -> list[str]:
    faults = []
    if not (await product.catalog.now()).routes:
        faults.append("no route leads to a carrier: `longcode carrier add`, then `longcode route add`")
    name = product.settings.anonymous_account
    if name is not None:
        try:
            await product.accounts.by_name(name)
        except NotFound as error:
            faults.append(f"LONGCODE_ANONYMOUS_ACCOUNT: {error}")
    unrouted = await CarrierStatusStore(product.database).depth(None)
    if unrouted.waiting:
        faults.append(f"no route carries what waits: {counted(unrouted.waiting)} in all; `longcode route add`")
    return faults


async def _carrier_faults(product: Product) -> list[str]:
    catalog = await product.catalog.now()
    serving = EMBEDDED if is_embedded(product.settings) else SHARED
    now = product.clock()
    faults = []
    for row in catalog.carriers.values():
        standing, routed = await read_standing(product, row), _is_routed(catalog, row.id)
        fault = _fault(standing, now, routed=routed, serving=serving)
        if routed or standing.depth.waiting:
            faults += [f"carrier {row.name}: {one}" for one in _settings_faults(row, product.settings)]
        if fault is not None:
            faults.append(f"carrier {row.name}: {fault}")
    return faults


def _settings_faults(row: CarrierRow, settings: Settings) -> list[str]:
    """Why no process could open a carrier: what is wrong with its settings, or with the key of its secrets."""
    if row.driver not in KINDS:
        return [f"there is no driver {row.driver}"]
    own, _ = policy.split(row.settings)
    try:
        KINDS[row.driver].check(unsealed(own, settings))
    except ConfigurationError as error:
        return error.faults
    return []


def _is_routed(catalog: Catalog, carrier_id: int) -> bool:
    return any(route.carrier_id == carrier_id for route in catalog.routes)


def _fault(standing: Standing, now: datetime, *, routed: bool, serving: Serving) -> str | None:
    """What keeps a carrier from sending; None where nothing does, or it has nothing to send."""
    row, waiting = standing.row, standing.depth.waiting
    if row.paused:
        return f"is paused while {standing.waiting} wait for it; `longcode carrier resume`" if waiting else None
    if not routed and not waiting:
        return None
    if standing.circuit is not None and standing.circuit.cause != NOT_CONNECTED:
        return f"is left alone: {tell_circuit(standing.circuit, now)}"
    if row.driver == SMPP:
        return _bind_fault(standing, now, serving)
    oldest = standing.depth.oldest_due_at
    if oldest is not None and now - oldest > UNSERVED_AFTER:
        return f"{standing.waiting} wait for it, due since {format_milli(oldest)}: is `{serving.worker}` running?"
    return None


def _bind_fault(standing: Standing, now: datetime, serving: Serving) -> str | None:
    if not standing.processes:
        return f"no process has reported on its binds: is `{serving.link}` running?"
    heard = [process for process in standing.processes if not process.is_stale(now)]
    if not heard:
        last = max(process.updated_at for process in standing.processes)
        return f"no process reports on its binds since {format_milli(last)}: is `{serving.link}` running?"
    binds = [bind for process in heard for bind in process.binds if bind.get("state") == LinkState.BOUND]
    if not binds:
        return f"none of its binds is bound: {standing.last_error or 'no reason is known yet'}"
    if all(str(bind.get("name")).startswith(Kind.RECEIVER) for bind in binds):
        return f"only receivers are bound, which do not send: {standing.last_error or 'no reason is known yet'}"
    return None
