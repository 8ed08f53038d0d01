"""Commands about opt-outs: the ledger, its history, and files of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from longcode.bootstrap import Product
from longcode.cli.listing import PAGE, Listing, pages
from longcode.cli.product import account_option, json_option, must_be_ours, report_option, with_product
from longcode.cli.progress import progress_bar
from longcode.cli.session import data_option
from longcode.cli.tables import echo_json
from longcode.domain.phone import canonical
from longcode.domain.timestamps import format_milli
from longcode.encoding.csv_cells import lines_of
from longcode.errors import NotFound
from longcode.flow.opt_out_files import COLUMNS, cells, party_of, read_opt_outs, scope_of
from longcode.store.opt_outs import OPERATOR, OptOut

sender_option = click.option(
    "--sender", metavar="NUMBER", help="Only from this number or sender ID; without it from the whole account."
)


@click.group()
def optout() -> None:
    """Recipients who are not to be written to, for good."""


@optout.command("add")
@click.argument("recipient")
@account_option
@sender_option
@data_option
def add_optout(recipient: str, account_name: str, sender: str | None, data: Path | None) -> None:
    """Keep an opt-out, of a whole account or of one of its senders."""
    party = party_of(recipient)

    async def add(product: Product) -> bool:
        owner = await product.accounts.by_name(account_name)
        if sender is not None:
            await must_be_ours(product, owner, sender)
        return await product.opt_outs.add(owner.id, party, source=OPERATOR, sender=_canonical(sender))

    added = with_product(data, add)
    whom = account_name if sender is None else f"{sender} of {account_name}"
    click.echo(f"{recipient} {'opted out of' if added else 'had opted out already of'} {whom}")


@optout.command("list")
@account_option
@json_option
@data_option
def list_optouts(account_name: str, as_json: bool, data: Path | None) -> None:
    """List an account's opt-outs. What a STOP by /inbound/sms/ keeps is kept apart and ends by itself."""
    listing = Listing("recipient", "scope", "sender", "source", "created_at", as_json=as_json)

    async def read(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        async for page in _all(product, owner.id):
            listing.add(
                [
                    (one.recipient, scope_of(one.sender), one.sender, one.source, format_milli(one.created_at))
                    for one in page
                ]
            )

    with_product(data, read)


@optout.command("remove")
@click.argument("recipient")
@account_option
@sender_option
@data_option
def remove_optout(recipient: str, account_name: str, sender: str | None, data: Path | None) -> None:
    """Let a recipient be written to again, who must have asked for it.

    With --sender only the opt-out from that sender is lifted, without it every one from the account and its numbers.
    What a STOP by /inbound/sms/ keeps is not lifted.
    """

    async def remove(product: Product) -> int:
        owner = await product.accounts.by_name(account_name)
        return await product.opt_outs.remove(owner.id, canonical(recipient), source=OPERATOR, sender=_canonical(sender))

    whom = account_name if sender is None else f"{sender} of {account_name}"
    if not with_product(data, remove):
        raise NotFound(f"{recipient} has not opted out of {whom}")
    click.echo(f"{recipient} may be written to by {whom} again")


@optout.command("history")
@click.argument("recipient")
@click.option("--account", "account_name", metavar="NAME", help="Only of this account.")
@json_option
@data_option
def show_history(recipient: str, account_name: str | None, as_json: bool, data: Path | None) -> None:
    """List when a recipient opted out and came back, of whom, and by what; the oldest first."""
    listing = Listing(
        "at", "account", "change", "scope", "sender", "recipient", "source", "keyword", "message_id", as_json=as_json
    )

    async def read(product: Product) -> None:
        owner = None if account_name is None else (await product.accounts.by_name(account_name)).id
        names = await product.accounts.names()
        history = partial(product.opt_outs.history, canonical(recipient), account_id=owner)
        async for page in pages(history, lambda event: event.id, 0):
            listing.add(
                [
                    (
                        format_milli(event.at),
                        names.get(event.account_id, str(event.account_id)),
                        event.change,
                        scope_of(event.sender),
                        event.sender,
                        event.recipient,
                        event.source,
                        event.keyword,
                        None if event.message_id is None else str(event.message_id),
                    )
                    for event in page
                ]
            )

    with_product(data, read)


@optout.command("doubtful")
@account_option
@json_option
@data_option
def list_doubtful(account_name: str, as_json: bool, data: Path | None) -> None:
    """List inbound messages that may be meant as an opt-out, such as `please stop`, and stopped nothing."""
    listing = Listing("id", "at", "from", "to", "text", as_json=as_json)

    async def read(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        async for page in pages(partial(product.words.doubtful, owner.id), lambda one: str(one.id), ""):
            listing.add(
                [(str(one.id), format_milli(one.created_at), one.sender, one.recipient, one.text) for one in page]
            )

    with_product(data, read)


@optout.command("export")
@account_option
@data_option
def export_optouts(account_name: str, data: Path | None) -> None:
    """Write an account's opt-outs as CSV, as `optout import` reads them."""

    async def write(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        click.echo(lines_of([COLUMNS]), nl=False)
        async for page in _all(product, owner.id):
            click.echo(lines_of(map(cells, page)), nl=False)

    with_product(data, write)


@optout.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@account_option
@report_option
@data_option
def import_optouts(file: TextIO, account_name: str, as_json: bool, data: Path | None) -> None:
    """Keep the opt-outs of a CSV file: `recipient`, and if it has them the columns `scope`, `sender`, `source`, `time`.

    A file with a faulty line changes nothing. The same file may be imported again.
    """
    rows = read_opt_outs(file)

    async def bring(product: Product) -> int:
        owner = await product.accounts.by_name(account_name)
        wanted = [
            OptOut(account_id=owner.id, sender=sender, recipient=recipient, source=source, created_at=at)
            for sender, recipient, source, at in rows
        ]
        added = 0
        with progress_bar("opt-outs", len(wanted)) as advance:
            for start in range(0, len(wanted), PAGE):
                some = wanted[start : start + PAGE]
                added += await product.opt_outs.add_many(some)
                advance(len(some))
        return added

    added = with_product(data, bring)
    if as_json:
        echo_json({"added": added, "unchanged": len(rows) - added})
    else:
        click.echo(f"opt-outs: {added} added, {len(rows) - added} unchanged")


def _all(product: Product, account_id: int) -> AsyncIterator[Sequence[OptOut]]:
    return pages(partial(product.opt_outs.page, account_id), lambda one: (one.recipient, one.sender or ""), ("", ""))


def _canonical(sender: str | None) -> str | None:
    return None if sender is None else canonical(sender)
