"""Paces: how fast accounts and their senders may send."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import BaseModel, Field

from longcode.api.caller import Admitted
from longcode.api.desk import Desk
from longcode.api.fields import Body, Sender
from longcode.api.fields import Query as Asked
from longcode.api.ids import NameInPath
from longcode.api.problems import invalid
from longcode.api.routing import Routes
from longcode.domain.phone import canonical
from longcode.domain.scopes import OPERATOR
from longcode.errors import NotFound

Whose = Annotated[Sender | None, Field(description="Only this sender; without it the account altogether.")]


class PaceDraft(Body):
    """At most so many segments a second, over all processes."""

    segments_per_second: Annotated[float, Field(ge=0.01, le=100_000)]
    sender: Whose = None


class PaceQuery(Asked):
    """Whose pace."""

    sender: Whose = None


class PaceShown(BaseModel):
    """A pace. sender: in its canonical form; null: of the account altogether."""

    account: str
    sender: str | None
    segments_per_second: float


class Paces(BaseModel):
    """Paces; what is not among them sends as fast as its carrier takes it."""

    items: list[PaceShown]


def add_paces(app: FastAPI, desk: Desk) -> None:
    """The routes of paces."""
    routes = Routes(app, "Native: operator", OPERATOR)

    @routes.get("/paces", "listPaces", scope_as=OPERATOR)
    async def list_paces(caller: Admitted) -> Paces:
        """List the paces of all accounts."""
        names, paces = await desk.accounts.names(), (await desk.catalog.now()).paces
        return Paces(
            items=[
                PaceShown(
                    account=names.get(account_id, str(account_id)), sender=sender or None, segments_per_second=rate
                )
                for (account_id, sender), rate in paces.items()
            ]
        )

    @routes.put("/accounts/{name}/pace", "setPace", scope_as=OPERATOR)
    async def set_pace(name: NameInPath, body: PaceDraft, caller: Admitted) -> PaceShown:
        """Let an account, or one of its senders, send at most so fast.

        A sender is a number or a sender ID of the account.
        """
        account = await desk.accounts.by_name(name)
        if body.sender is not None and not await desk.pools.owns(account.id, body.sender):
            raise invalid("it is no number and no sender ID of the account", pointer="/sender")
        sender = canonical(body.sender or "")
        await desk.catalog_store.set_pace(account.id, sender, body.segments_per_second)
        return PaceShown(account=account.name, sender=sender or None, segments_per_second=body.segments_per_second)

    @routes.delete("/accounts/{name}/pace", "removePace", scope_as=OPERATOR)
    async def remove(name: NameInPath, query: Annotated[PaceQuery, Query()], caller: Admitted) -> None:
        """Let an account, or one of its senders, send as fast as its carrier takes it."""
        account = await desk.accounts.by_name(name)
        if not await desk.catalog_store.remove_pace(account.id, canonical(query.sender or "")):
            raise NotFound("there is no such pace")
