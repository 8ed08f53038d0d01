"""Commands about pools of senders."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from longcode.bootstrap import Product
from longcode.cli.listing import Listing, pages
from longcode.cli.product import account_option, json_option, with_product
from longcode.cli.session import data_option
from longcode.errors import ConfigurationError

NAME_CHARACTERS = 64


@click.group()
def pool() -> None:
    """Pools of senders."""


@pool.command("create")
@click.argument("name")
@account_option
@data_option
def create_pool(name: str, account_name: str, data: Path | None) -> None:
    """Make an empty pool of an account's numbers and sender IDs."""
    if not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise ConfigurationError([f"a pool's name is 1 to {NAME_CHARACTERS} printable characters"])

    async def create(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        await product.pool_store.create(owner.id, name)

    with_product(data, create)
    click.echo(f"pool {name} of {account_name}")


@pool.command("add")
@click.argument("name")
@click.argument("senders", nargs=-1, required=True, metavar="SENDER…")
@account_option
@data_option
def add_senders(name: str, senders: tuple[str, ...], account_name: str, data: Path | None) -> None:
    """Add numbers or sender IDs of the account to a pool."""

    async def add(product: Product) -> int:
        owner = await product.accounts.by_name(account_name)
        return await product.pool_store.add(owner.id, name, senders)

    added = with_product(data, add)
    click.echo(f"pool {name}: {added} added{'' if added == len(senders) else ', the others were in it already'}")


@pool.command("remove")
@click.argument("name")
@click.argument("senders", nargs=-1, metavar="[SENDER]…")
@account_option
@data_option
def remove_senders(name: str, senders: tuple[str, ...], account_name: str, data: Path | None) -> None:
    """Remove senders from a pool; without SENDER, the pool itself, and which sender its recipients know."""

    async def remove(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        if not senders:
            await product.pool_store.remove(owner.id, name)
        else:
            await product.pool_store.drop(owner.id, name, senders)

    with_product(data, remove)
    click.echo(f"pool {name}: {', '.join(senders)} removed" if senders else f"pool {name} removed")


@pool.command("list")
@account_option
@json_option
@data_option
def list_pools(account_name: str, as_json: bool, data: Path | None) -> None:
    """List an account's pools."""
    listing = Listing("name", "senders", "recipients", as_json=as_json)

    async def read(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        async for page in pages(partial(product.pool_store.page, owner.id), lambda one: one.name, ""):
            listing.add([(one.name, one.senders, one.recipients) for one in page])

    with_product(data, read)


@pool.command("show")
@click.argument("name")
@account_option
@json_option
@data_option
def show_pool(name: str, account_name: str, as_json: bool, data: Path | None) -> None:
    """List a pool's senders: how many recipients know each, and whether it is still the account's."""
    listing = Listing("sender", "kind", "recipients", "owned", as_json=as_json)

    async def read(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        senders = await product.pool_store.senders(owner.id, name)
        listing.add(
            [(one.value, "number" if one.is_number else "sender ID", one.recipients, one.owned) for one in senders]
        )

    with_product(data, read)
