"""The command that looks for what is wrong."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import click

from longcode import log
from longcode.bootstrap import Product, running
from longcode.cli.embedded import is_embedded, settings_with
from longcode.cli.product import json_option
from longcode.cli.session import check_schema, data_option, run
from longcode.cli.tables import echo_json
from longcode.errors import LongcodeError
from longcode.flow.diagnosis import EMBEDDED, SHARED, Diagnosis
from longcode.settings import Settings
from longcode.store.carrier_status import CarrierStatusStore

# Jobs run every second, and beat says every few seconds that it lives.
UNSEEN_SECONDS = 30
PROCESSES = ("worker", "beat")


@click.command()
@click.option(
    "--here", is_flag=True, help="Only database, schema, Redis and broker: what a process cannot run without."
)
@click.option("--process", type=click.Choice(PROCESSES), help="With --here: also this process, on this machine.")
@json_option
@data_option
def doctor(here: bool, process: str | None, as_json: bool, data: Path | None) -> None:
    """Look for what is wrong; exit 1 if there is something."""
    if process is not None and not here:
        raise click.UsageError("--process goes with --here")
    settings = settings_with(data)
    log.configure("error")
    faults = run(_faults(settings, here=here, process=process))
    for fault in faults:
        if as_json:
            echo_json({"fault": fault})
        else:
            click.echo(f"✗ {fault}")
    if faults:
        raise SystemExit(1)
    if not as_json:
        click.echo("✓ nothing is wrong")


async def _faults(settings: Settings, *, here: bool, process: str | None) -> list[str]:
    """What stands in the way of sending, in plain words."""
    try:
        await check_schema(settings)
        async with running(settings) as product:
            faults = await _expiring_faults(product)
            if not is_embedded(settings):
                faults += await asyncio.to_thread(background_faults, settings, here=here, process=process)
            return faults if here else [*faults, *await _diagnosis(product).faults()]
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


def _diagnosis(product: Product) -> Diagnosis:
    return Diagnosis(
        settings=product.settings,
        accounts=product.accounts,
        catalog=product.catalog,
        status=CarrierStatusStore(product.database),
        clock=product.clock,
        serving=EMBEDDED if is_embedded(product.settings) else SHARED,
    )
