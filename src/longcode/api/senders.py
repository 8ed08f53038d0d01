"""Sender IDs and pools of senders."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field

from longcode.api.caller import Admitted
from longcode.api.cursors import Page, PageQuery, after_name, encode, page
from longcode.api.desk import Desk
from longcode.api.fields import Body, Printable, Sender
from longcode.api.ids import NameInPath
from longcode.api.routing import Routes
from longcode.domain.scopes import OPERATOR
from longcode.errors import NotFound
from longcode.store.pools import ListedPool, PoolSender

MOST_SENDERS: Final = 1000


class SenderId(Body):
    """A sender ID, exact case."""

    sender: Printable


class SenderShown(BaseModel):
    """A sender ID that the account may send as."""

    sender: str


class PoolDraft(Body):
    """A pool of the account's numbers and sender IDs."""

    name: Printable
    senders: Annotated[list[Sender], Field(max_length=MOST_SENDERS)] = Field(default_factory=list)


class PoolSenders(Body):
    """Numbers and sender IDs of the account."""

    senders: Annotated[list[Sender], Field(min_length=1, max_length=MOST_SENDERS)]


class PoolShown(BaseModel):
    """A pool. senders: how many it has; recipients: how many know one of them."""

    name: str
    senders: int
    recipients: int


class PoolMember(BaseModel):
    """A sender of a pool. recipients: how many know it. owned: whether it is still the account's."""

    sender: str
    kind: Annotated[str, Field(json_schema_extra={"enum": ["number", "sender_id"]})]
    recipients: int
    owned: bool


class PoolDetails(BaseModel):
    """A pool with its senders, in the order in which they were added."""

    name: str
    senders: list[PoolMember]


def add_senders(app: FastAPI, desk: Desk) -> None:
    """The routes of sender IDs and pools."""
    _add_sender_ids(Routes(app, "Native: senders", "senders"), desk)
    _add_pools(Routes(app, "Native: senders", "pools"), desk)


def _add_sender_ids(routes: Routes, desk: Desk) -> None:
    @routes.get("/senders", "listSenders")
    async def list_senders(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[SenderShown]:
        """List the sender IDs that the account may send as, besides its numbers."""
        after = after_name("senders", query.cursor)
        rows = await desk.accounts.sender_ids(caller.account.id, after=after, count=query.limit + 1)
        return page(
            request,
            response,
            rows,
            query.limit,
            show=lambda value: SenderShown(sender=value),
            cursor=lambda value: encode("senders", value),
        )

    @routes.post("/senders", "addSender", status=201, scope_as=OPERATOR, for_account=True, errors=("duplicate",))
    async def add(body: SenderId, caller: Admitted) -> SenderShown:
        """Let the account send as a sender ID. For operators."""
        await desk.accounts.add_sender_id(caller.account.id, body.sender)
        return SenderShown(sender=body.sender)

    @routes.delete("/senders/{sender}", "removeSender", scope_as=OPERATOR, for_account=True)
    async def remove(sender: NameInPath, caller: Admitted) -> None:
        """Let the account send as a sender ID no more. For operators."""
        if not await desk.accounts.remove_sender_id(caller.account.id, sender):
            raise NotFound("the account has no such sender ID")


def _add_pools(routes: Routes, desk: Desk) -> None:
    @routes.get("/pools", "listPools")
    async def list_pools(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[PoolShown]:
        """List pools."""
        after = after_name("pools", query.cursor)
        rows = await desk.pools.page(caller.account.id, after=after, count=query.limit + 1)
        return page(request, response, rows, query.limit, show=_pool, cursor=lambda pool: encode("pools", pool.name))

    @routes.post("/pools", "createPool", status=201, errors=("duplicate", "refused"))
    async def create(body: PoolDraft, caller: Admitted) -> PoolDetails:
        """Make a pool.

        A message that names it is sent by the sender that its recipient knows, else by the one that the fewest know.
        """
        await desk.pools.create(caller.account.id, body.name, body.senders)
        return await details(caller, body.name)

    @routes.get("/pools/{name}", "getPool", single=True)
    async def show(name: NameInPath, caller: Admitted) -> PoolDetails:
        """One pool with its senders."""
        return await details(caller, name)

    @routes.post("/pools/{name}/senders", "addToPool", once=True, errors=("refused",))
    async def add(name: NameInPath, body: PoolSenders, caller: Admitted) -> PoolDetails:
        """Add senders to a pool."""
        await desk.pools.add(caller.account.id, name, body.senders)
        return await details(caller, name)

    @routes.delete("/pools/{name}/senders/{sender}", "removeFromPool")
    async def drop(name: NameInPath, sender: NameInPath, caller: Admitted) -> None:
        """Take a sender out of a pool.

        Its recipients get another one with their next message.
        """
        if not await desk.pools.drop(caller.account.id, name, [sender]):
            raise NotFound("the pool has no such sender")

    @routes.delete("/pools/{name}", "removePool")
    async def remove(name: NameInPath, caller: Admitted) -> None:
        """Remove a pool, and which sender its recipients know."""
        await desk.pools.remove(caller.account.id, name)

    async def details(caller: Admitted, name: str) -> PoolDetails:
        senders = await desk.pools.senders(caller.account.id, name)
        return PoolDetails(name=name, senders=[_member(one) for one in senders])


def _pool(pool: ListedPool) -> PoolShown:
    return PoolShown(name=pool.name, senders=pool.senders, recipients=pool.recipients)


def _member(one: PoolSender) -> PoolMember:
    kind = "number" if one.is_number else "sender_id"
    return PoolMember(sender=one.value, kind=kind, recipients=one.recipients, owned=one.owned)
