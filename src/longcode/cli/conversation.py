"""The command that shows a conversation: both sides, as a chat on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from longcode.bootstrap import Product
from longcode.cli.product import json_option, limit_option, with_product
from longcode.cli.session import data_option
from longcode.cli.tables import COLORS, Table, clean, echo_json
from longcode.domain.account import Account
from longcode.domain.message import Direction, Message
from longcode.domain.phone import canonical, digits_of
from longcode.domain.timestamps import format_milli
from longcode.errors import ConfigurationError, NotFound
from longcode.store.conversations import Line
from longcode.store.following import FollowStore

if TYPE_CHECKING:
    from rich.console import Console

ALL = 1_000_000
LEAST_WIDTH = 24
MANY_IDS = 500


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a conversation. at: as the conversation orders it; the client's own, where it gave one."""

    at: datetime
    message: Message

    @property
    def ours(self) -> bool:
        return self.message.direction is Direction.OUTBOUND


@click.command()
@click.argument("number")
@click.option("--account", "account_name", metavar="NAME", help="Whose conversation; needed where several have one.")
@limit_option
@json_option
@data_option
def conversation(number: str, account_name: str | None, limit: int, as_json: bool, data: Path | None) -> None:
    """Show what NUMBER sent and received, the newest last. NUMBER: one of the account's, or whom it wrote to."""

    async def read(product: Product) -> list[Said]:
        spellings = _spellings(number)
        account = await _account(product, account_name, number, spellings)
        return await _read(product, account, spellings, limit or ALL)

    found = with_product(data, read)
    if as_json:
        for said in found:
            echo_json(_record(said))
    elif sys.stdout.isatty():
        from rich.console import Console  # slow to load

        draw(found, Console())
    else:
        table = Table("at", "from", "to", "status", "text")
        table.add([(format_milli(one.at), *_parties(one), one.message.status.value, one.message.text) for one in found])


def _spellings(number: str) -> list[str]:
    """The ways in which messages may have a number."""
    digits = digits_of(number) if canonical(number) == digits_of(number) else ""
    return list(dict.fromkeys([number, digits, f"+{digits}"] if digits else [number]))


async def _account(product: Product, name: str | None, number: str, spellings: Sequence[str]) -> Account:
    """Whose conversation it is. Raises NotFound; ConfigurationError where it may be of several."""
    if name is not None:
        account = await product.accounts.by_name(name)
        if not await product.conversations.accounts_of(spellings, only=account.id):
            raise NotFound(f"{name} has no conversation of {number}")
        return account
    ids = await product.conversations.accounts_of(spellings)
    if not ids:
        raise NotFound(f"there is no conversation of {number}")
    names = await product.accounts.names()
    if len(ids) > 1:
        told = ", ".join(sorted(names.get(one, str(one)) for one in ids))
        raise ConfigurationError([f"several accounts have a conversation of {number}; choose with --account: {told}"])
    return Account(ids[0], names.get(ids[0], str(ids[0])))


async def _read(product: Product, account: Account, spellings: Sequence[str], limit: int) -> list[Said]:
    """The last messages, the oldest first; one that both sides of the account have is there once."""
    lines: dict[object, Line] = {}
    for spelling in spellings:
        for line in await product.conversations.before(account.id, spelling, None, count=limit):
            lines[line.position.message_id] = line
    ordered = sorted(lines.values(), key=lambda line: line.position)[-limit:]
    ids = [line.position.message_id for line in ordered]
    store = FollowStore(product.database)
    messages = {
        listed.message.id: listed.message
        for start in range(0, len(ids), MANY_IDS)
        for listed in await store.listed(ids[start : start + MANY_IDS])
    }
    return [
        Said(_instant(line.position.sent_at_seconds), messages[line.position.message_id])
        for line in ordered
        if line.position.message_id in messages
    ]


def _instant(seconds: int) -> datetime:
    """A client may have said a time that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC)


def _parties(said: Said) -> tuple[str, str]:
    return said.message.sender, said.message.recipient


def _record(said: Said) -> dict[str, object]:
    message = said.message
    return {
        "id": str(message.id),
        "at": format_milli(said.at),
        "direction": message.direction.value,
        "sender": message.sender,
        "recipient": message.recipient,
        "status": message.status.value,
        "error": message.error,
        "text": message.text,
    }


def draw(found: Sequence[Said], console: Console) -> None:
    """Theirs on the left, ours on the right, a rule for each day, the parties where they change."""
    from rich.align import Align
    from rich.constrain import Constrain
    from rich.panel import Panel
    from rich.rule import Rule
    from rich.text import Text

    width = max(LEAST_WIDTH, console.width * 2 // 3)
    for day, of_day in groupby(found, key=lambda said: said.at.date()):
        console.print(Rule(str(day), style="dim"))
        for parties, together in groupby(of_day, key=_parties):
            some = list(together)
            side = Align.right if some[0].ours else Align.left
            console.print(side(Text(" → ".join(map(clean, parties)), style="dim")))
            for said in some:
                text = Text("\n").join(Text(clean(line)) if line else Text() for line in _lines(said.message.text))
                bubble = Panel(Text.assemble(text, "\n", *_footer(said)), expand=False)
                console.print(side(Constrain(bubble, width)))


def _lines(text: str) -> Iterator[str]:
    yield from text.replace("\r\n", "\n").split("\n")


def _footer(said: Said) -> Iterator[tuple[str, str]]:
    """The time; of ours how it stands, and why."""
    yield f"{said.at:%H:%M}", "dim"
    if said.ours:
        status = said.message.status.value
        yield f" {status}", COLORS.get(status, "dim")
    if said.message.error:
        yield f" {clean(said.message.error)}", "dim"
