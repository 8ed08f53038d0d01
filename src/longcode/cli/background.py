"""The commands that run background work beside `serve`: workers, and the links of SMPP carriers."""

from __future__ import annotations

import asyncio
import os
import signal

import click

from longcode import log
from longcode.bootstrap import running
from longcode.cli.embedded import shared_settings
from longcode.cli.session import check_schema, run
from longcode.cli.waiting import wait_option
from longcode.engine.broker import needed_url
from longcode.engine.jobs import LINK_DRIVERS, working
from longcode.engine.kicks import forwarding
from longcode.engine.local import LocalRunner
from longcode.engine.wake import background, listen
from longcode.errors import ConfigurationError
from longcode.settings import Settings

# A job that is busy has a process for itself, so with fewer the jobs of busy carriers wait for each other.
LEAST_PROCESSES = 4


@click.command()
@click.option(
    "--concurrency",
    metavar="PROCESSES",
    type=click.IntRange(1, 64),
    help=f"How many jobs run at once. Default: one for each processor, at least {LEAST_PROCESSES}.",
)
@wait_option
def worker(concurrency: int | None, wait_seconds: int) -> None:
    """Run the background jobs as they are kicked, on PostgreSQL and Redis."""
    from longcode.engine.celery_worker import run_worker  # slow to load

    settings = shared_settings()
    needed_url(settings)
    log.configure(settings.log_level)
    run(check_schema(settings, wait_seconds))
    raise SystemExit(run_worker(settings, concurrency=concurrency or max(LEAST_PROCESSES, os.cpu_count() or 1)))


@click.command()
@click.option("--carrier", "carriers", multiple=True, metavar="NAME", help="Only this carrier; may be repeated.")
@wait_option
def link(carriers: tuple[str, ...], wait_seconds: int) -> None:
    """Hold the SMPP binds and send through them, on PostgreSQL."""
    settings = shared_settings()
    log.configure(settings.log_level)
    run(_link(settings, frozenset(carriers), wait_seconds))


async def _link(settings: Settings, names: frozenset[str], wait_seconds: int) -> None:
    """Run the jobs of links until a signal says stop; woken by the kicks of other processes where there is Redis."""
    await check_schema(settings, wait_seconds)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = LocalRunner()
    async with forwarding(settings) as forward, running(settings, kick=forward.kick, offer=forward.offer) as product:
        known = {carrier.name for carrier in (await product.catalog.now()).carriers.values()}
        unknown = sorted(names - known)
        if unknown:
            raise ConfigurationError([f"there is no carrier {name}" for name in unknown])
        forward.know(product.catalog)
        async with working(product, runner, drivers=LINK_DRIVERS, names=names or None) as jobs:
            listening = [] if settings.redis_url is None else [listen(settings.redis_url, runner.kick, jobs.offer)]
            async with background(*listening):
                click.echo("Longcode links", err=True)
                await stop.wait()
