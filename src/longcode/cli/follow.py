"""The command that watches messages come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import click

from longcode.bootstrap import Product
from longcode.cli.message_rows import record
from longcode.cli.product import json_option, with_product
from longcode.cli.session import data_option
from longcode.cli.tables import Feed, echo_json
from longcode.domain.message import Status, is_final
from longcode.domain.timestamps import format_milli
from longcode.store.following import FollowStore
from longcode.store.timeline import Listed

POLL_SECONDS: Final = 0.5
# How long a transaction may take to end that began before others, in milliseconds of the ids.
BEHIND_MILLISECONDS: Final = 10_000
MANY_NEW: Final = 5000
# Of so many of the latest that are not at their end the changes are shown.
MOST_OPEN: Final = 2000
NONE: Final = UUID(int=0)
COLUMNS: Final = {
    "at": 24,
    "account": 8,
    "direction": 9,
    "from": 13,
    "to": 13,
    "status": 11,
    "text": 32,
    "id": 36,
    "error": 0,
}


class Watch:
    """What is new since the last look; `account_id`: of this account alone."""

    def __init__(self, store: FollowStore, account_id: int | None) -> None:
        self._store = store
        self._account_id = account_id
        self._floor = NONE
        self._seen: set[UUID] = set()
        self._open: dict[UUID, Status] = {}

    async def latest(self, count: int) -> Sequence[Listed]:
        """The last messages, the oldest first; what comes after them is new."""
        # At least one, so that a watch that shows nothing yet knows where it begins.
        found = await self._store.latest(self._account_id, count=max(1, count))
        self._note(found)
        if found:
            self._raise_floor(found[-1].message.id)
            # What came at the same time and stands before the first was there already.
            self._seen.update(await self._store.ids_after(self._floor, account_id=self._account_id, count=MANY_NEW))
        return found[-count:] if count else []

    async def news(self) -> Sequence[Listed]:
        """Messages that came, and those whose status changed, by their ids."""
        ids = await self._store.ids_after(self._floor, account_id=self._account_id, count=MANY_NEW)
        new = [one for one in ids if one not in self._seen]
        statuses = await self._store.statuses(list(self._open))
        changed = [one for one, status in statuses.items() if status is not self._open[one]]
        for gone in self._open.keys() - statuses.keys():
            del self._open[gone]
        found = await self._store.listed([*changed, *new])
        self._note(found)
        self._seen.update(ids)
        if len(ids) == MANY_NEW:
            self._floor = ids[-1]
        elif ids:
            self._raise_floor(ids[-1])
        self._seen = {one for one in self._seen if one > self._floor}
        return found

    def _note(self, found: Sequence[Listed]) -> None:
        for listed in found:
            message = listed.message
            self._seen.add(message.id)
            self._open.pop(message.id, None)
            if not is_final(message.status):
                self._open[message.id] = message.status
        while len(self._open) > MOST_OPEN:
            del self._open[next(iter(self._open))]

    def _raise_floor(self, last: UUID) -> None:
        milliseconds = max(0, (last.int >> 80) - BEHIND_MILLISECONDS)
        self._floor = max(self._floor, UUID(int=milliseconds << 80))


@click.command()
@click.option("--account", "account_name", metavar="NAME", help="Only of this account.")
@click.option("--follow", is_flag=True, help="Go on, and show what comes and what changes, until Ctrl-C.")
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(0, 1000),
    help="How many of the latest to begin with.",
)
@json_option
@data_option
def messages(account_name: str | None, follow: bool, limit: int, as_json: bool, data: Path | None) -> None:
    """Show the latest messages with their texts, the newest last; with --follow what comes and what changes.

    A message whose status changes is shown again. Lists of any length: `longcode message list`.
    """
    feed = Feed(COLUMNS, cut="text")

    async def watch(product: Product) -> None:
        account_id = None if account_name is None else (await product.accounts.by_name(account_name)).id
        names = await product.accounts.names()
        watched = Watch(FollowStore(product.database), account_id)
        found = await watched.latest(limit)
        while True:
            if {one.message.account_id for one in found} - names.keys():
                names = await product.accounts.names()
            _show(feed, found, names, as_json=as_json)
            if not follow:
                return
            await asyncio.sleep(POLL_SECONDS)
            found = await watched.news()

    try:
        with_product(data, watch)
    except KeyboardInterrupt:
        return


def _show(feed: Feed, found: Sequence[Listed], names: Mapping[int, str], *, as_json: bool) -> None:
    for listed in found:
        message = listed.message
        account = names.get(message.account_id, str(message.account_id))
        if as_json:
            echo_json({**record(message, listed.attempts), "account": account, "text": message.text})
            continue
        feed.add(
            (
                format_milli(message.created_at),
                account,
                message.direction.value,
                message.sender,
                message.recipient,
                message.status.value,
                message.text,
                message.id,
                message.error,
            )
        )
