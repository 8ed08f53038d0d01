"""Commands about paces: how fast accounts and their senders may send."""

from __future__ import annotations

from pathlib import Path

import click

from longcode.bootstrap import Product
from longcode.cli.product import account_option, json_option, must_be_ours, with_product
from longcode.cli.session import data_option
from longcode.cli.tables import Table, echo_json
from longcode.domain.phone import canonical
from longcode.errors import NotFound

ALL = "all"
HEADINGS = ("account", "sender", "segments_per_second")

sender_option = click.option("--sender", metavar="SENDER", help="Only this sender. Default: the account altogether.")


@click.group()
def pace() -> None:
    """Paces."""


@pace.command("set")
@account_option
@sender_option
@click.argument("segments_per_second", type=click.FloatRange(0.01, 100_000))
@data_option
def set_pace(account_name: str, sender: str | None, segments_per_second: float, data: Path | None) -> None:
    """Let an account, or one of its senders, send at most so many segments a second, over all processes."""

    async def act(product: Product) -> None:
        account = await product.accounts.by_name(account_name)
        if sender is not None:
            await must_be_ours(product, account, sender)
        await product.catalog_store.set_pace(account.id, canonical(sender or ""), segments_per_second)

    with_product(data, act)
    click.echo(f"pace of {_whose(account_name, sender)}: {segments_per_second:g} segments a second")


@pace.command("list")
@json_option
@data_option
def list_paces(as_json: bool, data: Path | None) -> None:
    """List paces. What is not listed sends as fast as its carrier takes it."""

    async def read(product: Product) -> list[tuple[str, str | None, float]]:
        names = await product.accounts.names()
        paces = (await product.catalog.now()).paces
        return [(names[account_id], sender or None, rate) for (account_id, sender), rate in paces.items()]

    rows = with_product(data, read)
    if as_json:
        for row in rows:
            echo_json(dict(zip(HEADINGS, row, strict=True)))
    elif rows:
        Table(*HEADINGS).add([(account, sender or ALL, f"{rate:g}") for account, sender, rate in rows])


@pace.command("remove")
@account_option
@sender_option
@data_option
def remove_pace(account_name: str, sender: str | None, data: Path | None) -> None:
    """Let an account, or one of its senders, send as fast as its carrier takes it."""

    async def act(product: Product) -> bool:
        account = await product.accounts.by_name(account_name)
        return await product.catalog_store.remove_pace(account.id, canonical(sender or ""))

    if not with_product(data, act):
        raise NotFound(f"{_whose(account_name, sender)} has no pace")
    click.echo(f"pace of {_whose(account_name, sender)} removed")


def _whose(account_name: str, sender: str | None) -> str:
    return f"{sender} of {account_name}" if sender else account_name
