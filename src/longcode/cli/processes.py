"""The commands that run the product, and those that look after it."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from socket import socket
from typing import TypeVar

import click
from uvicorn.supervisors.multiprocess import Multiprocess

from longcode import log
from longcode.bootstrap import Product, open_database, running
from longcode.carriers.registry import SIMULATOR
from longcode.cli.embedded import is_embedded, make_folder, only_one, settings_with, shared_settings
from longcode.cli.server import Server, listen_on
from longcode.cli.session import check_schema, data_option, run
from longcode.cli.waiting import patiently, wait_option
from longcode.engine.jobs import LINK_DRIVERS, WORKER_DRIVERS, working
from longcode.engine.local import LocalRunner
from longcode.errors import Duplicate, StorageDown
from longcode.flow.identity import hash_secret, matches, new_secret
from longcode.settings import Settings
from longcode.store.migrate import migrate as migrate_database
from longcode.web.app import application
from longcode.web.server import config

T = TypeVar("T")

DEMO = "demo"
DEMO_SENDER = "MyCorp"
# Numbers reserved for fiction.
DEMO_NUMBERS = ("12025550101", "12025550102", "12025550103")
# Whatever else the operator sets up goes before it.
SIMULATOR_PRIORITY = -1000

NOT_STARTED = 3
# The umask of files that hold messages.
OWNER_ALONE = 0o077


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@data_option
def up(host: str, port: int, data: Path | None) -> None:
    """Run everything in one process, on an embedded database where no other is set."""
    settings = settings_with(data)
    implicit = settings.anonymous_account is None and _is_loopback(host)
    if implicit:
        settings = settings.model_copy(update={"anonymous_account": DEMO})
    log.configure(settings.log_level)
    os.umask(OWNER_ALONE)
    # The port first: a process that cannot listen must not touch the database or a carrier.
    with only_one(settings.data), listen_on(host, port) as listener:
        run(_up(settings, listener, implicit_anonymous=implicit))


async def _up(settings: Settings, listener: socket, *, implicit_anonymous: bool) -> None:
    database = open_database(settings, command_seconds=None)
    await migrate_database(database)
    await database.close()
    runner = LocalRunner()
    async with running(settings, kick=runner.kick) as product:
        secret = await _seed(product)
        if secret is not None:
            # At once: it is shown this once only, whatever happens next.
            click.echo(f"Account {DEMO}, secret {secret} (shown this once)", err=True)
        if is_embedded(settings):
            await product.outbox.release_leases()
            await product.webhook_queue.release_leases()
        # A database of its own has nobody else to run its links.
        drivers = WORKER_DRIVERS | LINK_DRIVERS if is_embedded(settings) else WORKER_DRIVERS
        async with working(product, runner, drivers=drivers):
            app = application(product, implicit_anonymous=implicit_anonymous)
            server = Server(config(app, lifespan="off"), greeting="Longcode listens on")
            await server.serve(sockets=[listener])
            if not server.started:
                raise SystemExit(NOT_STARTED)


async def _seed(product: Product) -> str | None:
    """What a first start finds: an account to try things with and a carrier to send by; the new secret."""
    await _seed_simulator(product)
    given = product.settings.demo_secret
    secret = given.get_secret_value() if given is not None else new_secret()
    try:
        account = await product.accounts.create(DEMO, hash_secret(secret))
    except Duplicate:
        if given is not None:
            await _warn_of_another_secret(product, secret)
        return None
    await product.accounts.add_sender_id(account.id, DEMO_SENDER)
    for number in DEMO_NUMBERS:
        try:
            await product.numbers.assign(account.id, number)
        except Duplicate:
            continue
    return secret


async def _warn_of_another_secret(product: Product, secret: str) -> None:
    found = await product.accounts.secret(DEMO)
    if found is not None and not matches(found.secret_hash, secret):
        click.echo(f"Account {DEMO} exists and has another secret; LONGCODE_DEMO_SECRET changes nothing", err=True)


async def _seed_simulator(product: Product) -> None:
    try:
        await product.catalog_store.add_carrier(SIMULATOR, SIMULATOR, {})
    except Duplicate:
        return
    await product.catalog_store.add_route(SIMULATOR, prefix="", account_id=None, priority=SIMULATOR_PRIORITY)


@click.command()
@wait_option
@data_option
def seed(wait_seconds: int, data: Path | None) -> None:
    """Make the account demo and the simulator carrier, as `up` does; what exists stays as it is."""
    settings = settings_with(data)
    log.configure("warning")

    async def make() -> str | None:
        await check_schema(settings, wait_seconds)
        async with running(settings) as product:
            return await _seed(product)

    secret = run(make())
    if secret is None:
        click.echo(f"account {DEMO} exists already; nothing of it was changed")
        return
    click.echo(f"account {DEMO}, sender {DEMO_SENDER}, numbers {', '.join(DEMO_NUMBERS)}")
    if settings.demo_secret is None:
        click.echo(f"secret {secret}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64))
@wait_option
def serve(host: str, port: int, workers: int, wait_seconds: int) -> None:
    """Serve HTTP, on PostgreSQL."""
    settings = shared_settings()
    log.configure(settings.log_level)
    run(check_schema(settings, wait_seconds))
    server = config("longcode.cli.serving:create", host=host, port=port, factory=True, workers=workers)
    with listen_on(host, port) as listener:
        if workers > 1:
            click.echo(f"Longcode serves on http://{host}:{port}, {workers} processes", err=True)
            Multiprocess(server, sockets=[listener]).run()
            return
        alone = Server(server, greeting="Longcode serves on")
        alone.run(sockets=[listener])
        if not alone.started:
            raise SystemExit(NOT_STARTED)


@click.command()
@wait_option
@data_option
def migrate(wait_seconds: int, data: Path | None) -> None:
    """Bring the database's schema to what this release needs."""
    settings = settings_with(data)
    log.configure(settings.log_level)
    if is_embedded(settings):
        os.umask(OWNER_ALONE)
        make_folder(settings.data)

    async def move() -> tuple[str | None, str]:
        database = open_database(settings, command_seconds=None)
        try:
            return await patiently(
                lambda: migrate_database(database), wait_seconds=wait_seconds, passing=(StorageDown,)
            )
        finally:
            await database.close()

    before, after = run(move())
    click.echo(f"schema {after}" if before == after else f"schema {before or 'none'} → {after}")
