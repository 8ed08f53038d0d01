"""Commands that look at messages: one with its timeline, lists, stray receipts, and what nobody owns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from uuid import UUID

import click

from longcode.bootstrap import Product
from longcode.cli.message_rows import HEADINGS, record, row
from longcode.cli.product import account_option, json_option, limit_option, with_product
from longcode.cli.session import data_option
from longcode.cli.tables import Table, clean, echo_json, paint, show_fields
from longcode.domain.message import Direction, Status, is_final
from longcode.domain.public import public_message
from longcode.domain.timestamps import format_milli
from longcode.errors import ConfigurationError, NotFound, Refused
from longcode.flow.story import Stories, Story
from longcode.flow.timeline import Event
from longcode.store.cancel import CancelStore
from longcode.store.following import FollowStore
from longcode.store.leftovers import LeftoverStore
from longcode.store.message_lists import MessageLists, Place, Wanted
from longcode.store.timeline import History, Listed, TimelineStore

PAGE = 500
ALL = 1_000_000_000


@click.group()
def message() -> None:
    """Messages."""


@message.command("show")
@click.argument("message_id", metavar="ID")
@json_option
@data_option
def show_message(message_id: str, as_json: bool, data: Path | None) -> None:
    """Show a message with its timeline: what happened to it, why, and what happens next."""
    wanted = _parse_id(message_id)

    async def read(product: Product) -> Story:
        story = await Stories(_timeline(product), product.catalog, product.clock).of(wanted)
        if story is None:
            raise _unknown(message_id)
        return story

    story = with_product(data, read)
    if as_json:
        echo_json(_shown(story.history, story.carrier, story.events))
    else:
        _print(story.history, story.carrier, story.events)


@message.command("list")
@account_option
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only these.")
@click.option("--direction", type=click.Choice([direction.value for direction in Direction]), help="Only these.")
@limit_option
@json_option
@data_option
def list_messages(
    account_name: str, status: str | None, direction: str | None, limit: int, as_json: bool, data: Path | None
) -> None:
    """List an account's messages, the newest first."""
    table = Table(*HEADINGS)

    async def read(product: Product) -> None:
        account = await product.accounts.by_name(account_name)
        pages = _pages(
            product,
            account.id,
            limit or ALL,
            status=None if status is None else Status(status),
            direction=None if direction is None else Direction(direction),
        )
        async for page in pages:
            if as_json:
                for listed in page:
                    echo_json(record(listed.message, listed.attempts))
            else:
                table.add([row(listed) for listed in page])

    with_product(data, read)


@message.command("cancel")
@click.argument("message_id", metavar="ID")
@data_option
def cancel_message(message_id: str, data: Path | None) -> None:
    """Take a message back that no carrier was given."""
    wanted = _parse_id(message_id)

    async def cancel(product: Product) -> None:
        if await CancelStore(product.database, product.clock).cancel(wanted):
            return
        history = await _timeline(product).history(wanted)
        if history is None:
            raise _unknown(message_id)
        status = history.message.status
        why = "it is at its end" if is_final(status) else "a carrier may have it"
        raise Refused(f"message {wanted} is {status.value} and cannot be canceled: {why}")

    with_product(data, cancel)
    click.echo(f"message {wanted} canceled")


@click.group()
def receipt() -> None:
    """Receipts of carriers."""


@receipt.command("list")
@click.option("--unmatched", is_flag=True, help="Only those that fit no message so far.")
@limit_option
@json_option
@data_option
def list_receipts(unmatched: bool, limit: int, as_json: bool, data: Path | None) -> None:
    """List receipts, the latest first."""
    headings = ("id", "at", "carrier", "reference", "status", "error", "from", "to")

    async def read(product: Product) -> list[tuple[object, ...]]:
        carrier = await _carrier_names(product)
        return [
            (
                str(one.id),
                format_milli(one.received_at),
                carrier(one.carrier_id),
                one.reference,
                one.status,
                one.error_code,
                one.sender,
                one.recipient,
            )
            for one in await _leftovers(product).receipts(count=limit or ALL, unmatched=unmatched)
        ]

    _show(headings, with_product(data, read), as_json=as_json)


@click.group()
def inbound() -> None:
    """Messages that came in by carriers."""


@inbound.command("list")
@click.option("--unowned", is_flag=True, help="Those to numbers that no account owns.")
@limit_option
@json_option
@data_option
def list_inbound(unowned: bool, limit: int, as_json: bool, data: Path | None) -> None:
    """List what came in and belongs to no account, the latest first.

    An account's own are under `longcode message list --direction inbound`.
    """
    if not unowned:
        raise ConfigurationError(["an account's messages: `longcode message list --account NAME --direction inbound`"])
    headings = ("id", "at", "carrier", "from", "to", "complete", "text")

    async def read(product: Product) -> list[tuple[object, ...]]:
        carrier = await _carrier_names(product)
        return [
            (
                str(one.id),
                format_milli(one.received_at),
                carrier(one.carrier_id),
                one.sender,
                one.recipient,
                "no" if one.partial else "yes",
                one.text,
            )
            for one in await _leftovers(product).unowned(count=limit or ALL)
        ]

    _show(headings, with_product(data, read), as_json=as_json)


def _timeline(product: Product) -> TimelineStore:
    return TimelineStore(product.database)


def _leftovers(product: Product) -> LeftoverStore:
    return LeftoverStore(product.database, product.clock)


def _parse_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise _unknown(text) from error


def _unknown(message_id: str) -> NotFound:
    return NotFound(f"there is no message {message_id}")


async def _carrier_names(product: Product) -> Callable[[int | None], str | None]:
    """What to call a carrier by its id: its name, or its id where it is gone."""
    names = {row.id: row.name for row in (await product.catalog.now()).carriers.values()}
    return lambda carrier_id: None if carrier_id is None else names.get(carrier_id, str(carrier_id))


async def _pages(
    product: Product, account_id: int, limit: int, *, status: Status | None, direction: Direction | None
) -> AsyncIterator[list[Listed]]:
    """Up to `limit` messages, a page at a time, so that a list of any length takes little memory."""
    lists, wanted = MessageLists(product.database), Wanted(status=status, direction=direction)
    after: Place | None = None
    while limit > 0:
        found = await lists.page(account_id, wanted, after=after, count=min(PAGE, limit))
        if found.messages:
            yield (await FollowStore(product.database).listed([one.id for one in found.messages]))[::-1]
        if found.next is None:
            return
        after, limit = found.next, limit - len(found.messages)


def _shown(history: History, carrier: str | None, events: Sequence[Event]) -> dict[str, object]:
    return {
        **record(history.message, len(history.attempts)),
        "account": history.account,
        "carrier": carrier,
        "keyword": None if history.heard is None else history.heard.word or None,
        "meaning": None if history.heard is None else history.heard.meaning.value,
        "answers": None if history.answers is None else str(history.answers),
        "answer": None if history.answer is None else str(history.answer),
        "timeline": [{"at": format_milli(event.at), "event": event.event, "detail": event.detail} for event in events],
    }


def _print(history: History, carrier: str | None, events: Sequence[Event]) -> None:
    message = history.message
    fields = {
        "account": history.account,
        "direction": message.direction.value,
        "from": message.sender,
        "to": message.recipient,
        "status": message.status.value,
        "error": message.error,
        "carrier": carrier,
        "reference": message.provider_reference,
        "segments": message.segment_count,
        "attempts": len(history.attempts),
    }
    if message.schedule is not None:
        public = public_message(message)
        fields |= {"send at": public.send_at, "expires at": public.expires_at, "priority": public.priority}
    show_fields(f"message {message.id}", fields)
    click.echo()
    *happened, state = events
    for event in happened:
        click.echo(f"{format_milli(event.at)}  {paint(f'{event.event:<11}', bold=True)}  {clean(event.detail)}")
    # It happened at no time, so it looks like no line above.
    click.echo(f"\nnow {clean(state.detail)}")


def _show(headings: Sequence[str], rows: Sequence[Sequence[object]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            echo_json(dict(zip(headings, row, strict=True)))
    elif rows:
        Table(*headings).add(rows)
