"""API keys of the account, and what it sent and received day by day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Final

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field

from longcode.api.caller import Admitted
from longcode.api.cursors import Page, PageQuery, after_id, encode, page
from longcode.api.desk import Desk
from longcode.api.fields import Body, Day, OneOf, ShownOnce
from longcode.api.fields import Query as Asked
from longcode.api.ids import SerialInPath, serial_of
from longcode.api.problems import ScopeMissing, invalid
from longcode.api.routing import Routes
from longcode.domain.scopes import SCOPES
from longcode.domain.timestamps import format_milli
from longcode.errors import NotFound
from longcode.flow.caps import day_of
from longcode.flow.identity import hash_key, new_key
from longcode.store.accounts import ApiKey
from longcode.store.usage import DayUsage

MOST_DAYS: Final = 31
USUAL_DAYS: Final = 7


class KeyDraft(Body):
    """A new API key. scopes: what it opens; without them everything of the account."""

    scopes: Annotated[list[Annotated[str, OneOf(SCOPES)]], Field(min_length=1)] | None = None


class KeyShown(BaseModel):
    """An API key. hint: its first characters. scopes: null for everything of the account."""

    id: int
    hint: str
    scopes: list[str] | None
    created_at: str
    revoked_at: str | None


class KeyMade(KeyShown):
    """A new API key. key: itself, shown this once."""

    key: ShownOnce


class UsageQuery(Asked):
    """Which days, in UTC, both ends inclusive."""

    since: Annotated[Day | None, Field(description=f"Default: {USUAL_DAYS - 1} days before until.")] = None
    until: Annotated[Day | None, Field(description="Default: today.")] = None


class DayShown(BaseModel):
    """One day. cost: of what was sent, by the routes' costs; null where no route has one."""

    day: str
    sent_messages: int
    sent_segments: int
    received_messages: int
    received_segments: int
    cost: str | None
    currency: str | None


class Usage(BaseModel):
    """Days, the first first."""

    items: list[DayShown]


def add_keys(app: FastAPI, desk: Desk) -> None:
    """The routes of API keys."""
    routes = Routes(app, "Native: keys", "keys")

    @routes.get("/keys", "listKeys")
    async def list_keys(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[KeyShown]:
        """List API keys, the revoked ones too."""
        after = after_id("keys", query.cursor)
        rows = await desk.accounts.keys(caller.account.id, after=after, count=query.limit + 1)
        return page(request, response, rows, query.limit, show=_shown, cursor=lambda key: encode("keys", key.id))

    @routes.post("/keys", "createKey", status=201)
    async def create(body: KeyDraft, caller: Admitted) -> KeyMade:
        """Make an API key, shown this once.

        A key that is limited to scopes can only make keys with the same or fewer.
        """
        scopes = None if body.scopes is None else frozenset(body.scopes)
        own = caller.account.scopes
        if own is not None and (scopes is None or not scopes <= own):
            raise ScopeMissing("a key can only be given scopes that yours has")
        key = new_key()
        kept = await desk.accounts.add_key(caller.account.id, hash_key(key), key[:8], scopes=scopes)
        return KeyMade(**_shown(kept).model_dump(), key=key)

    @routes.get("/keys/{id}", "getKey", single=True)
    async def get(id: SerialInPath, caller: Admitted) -> KeyShown:
        """One API key."""
        return _shown(await desk.accounts.key(caller.account.id, serial_of(id)))

    @routes.delete("/keys/{id}", "revokeKey")
    async def revoke(id: SerialInPath, caller: Admitted) -> None:
        """Let an API key open nothing any more; running servers may still take it for 15 seconds."""
        if not await desk.accounts.revoke_key(caller.account.id, serial_of(id)):
            raise NotFound("there is no such live API key")


def add_usage(app: FastAPI, desk: Desk) -> None:
    """The route of usage."""
    routes = Routes(app, "Native: usage", "usage")

    @routes.get("/usage", "getUsage")
    async def usage(query: Annotated[UsageQuery, Query()], caller: Admitted) -> Usage:
        """What was sent and received, day by day, with its segments and its cost."""
        until = query.until or day_of(desk.clock())
        since = query.since or max(date.min, until - timedelta(days=min(USUAL_DAYS - 1, until.toordinal() - 1)))
        length = (until - since).days + 1
        if not 1 <= length <= MOST_DAYS:
            raise invalid(f"the period is 1 to {MOST_DAYS} days", field="since")
        found = await desk.usage.days(caller.account.id, [since + timedelta(days=step) for step in range(length)])
        currency = (await desk.catalog.now()).currency
        return Usage(items=[_day(one, currency) for one in found])


def _shown(key: ApiKey) -> KeyShown:
    return KeyShown(
        id=key.id,
        hint=key.hint,
        scopes=None if key.scopes is None else sorted(key.scopes),
        created_at=format_milli(key.created_at),
        revoked_at=None if key.revoked_at is None else format_milli(key.revoked_at),
    )


def _day(one: DayUsage, currency: str | None) -> DayShown:
    return DayShown(
        day=one.day.isoformat(),
        sent_messages=one.sent_messages,
        sent_segments=one.sent_segments,
        received_messages=one.received_messages,
        received_segments=one.received_segments,
        cost=None if one.cost is None else f"{one.cost:f}",
        currency=None if one.cost is None else currency,
    )
