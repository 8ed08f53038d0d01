"""Opt-outs: who is not to be written to, and how that came."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Final
from uuid import UUID

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from longcode.api.caller import Admitted
from longcode.api.csv_files import CSV, CSV_BODY, CSV_BYTES, CSV_RESPONSE, Imported
from longcode.api.cursors import MOST, Page, PageQuery, after_id, decode, encode, page
from longcode.api.desk import Desk
from longcode.api.fields import Body, Printable, Sender
from longcode.api.fields import Query as Asked
from longcode.api.ids import NameInPath
from longcode.api.problems import invalid, told_together
from longcode.api.routing import Routes
from longcode.domain.phone import canonical
from longcode.domain.public import PublicMessage, public_message
from longcode.domain.timestamps import format_milli
from longcode.encoding.csv_cells import lines_of
from longcode.errors import NotFound
from longcode.flow.opt_out_files import COLUMNS, cells, party_of, read_opt_outs, scope_of
from longcode.store.opt_outs import API, Event, OptOut

PART: Final = 500


class OptOutDraft(Body):
    """Somebody who is not to be written to. sender: only by this number or sender ID; without one by nobody."""

    recipient: Printable
    sender: Sender | None = None


class OptOutShown(BaseModel):
    """An opt-out. Parties without separators. scope: account, or number where it is from one sender alone."""

    recipient: str
    sender: str | None
    scope: Annotated[str, Field(json_schema_extra={"enum": ["account", "number"]})]
    source: str
    created_at: str


class OptOutChangeShown(BaseModel):
    """A change of an opt-out."""

    at: str
    change: Annotated[str, Field(json_schema_extra={"enum": ["created", "removed"]})]
    recipient: str
    sender: str | None
    source: str
    keyword: str | None
    message_id: str | None


class WhichQuery(Asked):
    """Of whom an opt-out is."""

    sender: Annotated[Sender | None, Field(description="Only that from this sender; without it every one.")] = None


def add_optouts(app: FastAPI, desk: Desk) -> None:
    """The routes of opt-outs."""
    routes = Routes(app, "Native: opt-outs", "optouts")

    @routes.get("/optouts", "listOptOuts")
    async def list_optouts(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[OptOutShown]:
        """List opt-outs, by recipient."""
        after = ("", "") if query.cursor is None else tuple(decode("optouts", query.cursor, str, str))
        rows = await desk.opt_outs.page(caller.account.id, after=(after[0], after[1]), count=query.limit + 1)
        return page(
            request,
            response,
            rows,
            query.limit,
            show=_shown,
            cursor=lambda one: encode("optouts", one.recipient, one.sender or ""),
        )

    @routes.get("/optouts/doubtful", "listDoubtful")
    async def doubtful(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[PublicMessage]:
        """List what came in that may be meant as an opt-out, such as `please stop`, and stopped nothing.

        The first first. Who reads it as one says so with `POST /v1/optouts`.
        """
        after = "" if query.cursor is None else str(_message_id(query.cursor))
        rows = await desk.words.doubtful(caller.account.id, after=after, count=query.limit + 1)
        return page(
            request,
            response,
            rows,
            query.limit,
            show=public_message,
            cursor=lambda one: encode("doubtful", str(one.id)),
        )

    @routes.post("/optouts", "addOptOut", status=201)
    async def add(body: OptOutDraft, caller: Admitted) -> OptOutShown:
        """Keep somebody from being written to, for good.

        What is there already stays as it is.
        """
        with told_together("/recipient"):
            party = party_of(body.recipient)
        sender = None if body.sender is None else canonical(body.sender)
        if body.sender is not None and not await desk.pools.owns(caller.account.id, body.sender):
            raise invalid("it is no number and no sender ID of the account", pointer="/sender")
        await desk.opt_outs.add(caller.account.id, party, source=API, sender=sender)
        found = await desk.opt_outs.get(caller.account.id, party, sender)
        if found is None:  # somebody lifted it at once
            found = OptOut(
                account_id=caller.account.id, sender=sender, recipient=party, source=API, created_at=desk.clock()
            )
        return _shown(found)

    @routes.delete("/optouts/{recipient}", "removeOptOut")
    async def remove(recipient: NameInPath, query: Annotated[WhichQuery, Query()], caller: Admitted) -> None:
        """Let somebody be written to again, who must have asked for it."""
        sender = None if query.sender is None else canonical(query.sender)
        party = canonical(recipient)
        if not await desk.opt_outs.remove(caller.account.id, party, source=API, sender=sender):
            raise NotFound("there is no such opt-out")

    @routes.get("/optouts/{recipient}/history", "getOptOutHistory")
    async def history(
        recipient: NameInPath,
        query: Annotated[PageQuery, Query()],
        caller: Admitted,
        request: Request,
        response: Response,
    ) -> Page[OptOutChangeShown]:
        """List when somebody opted out and came back, and by what; the first first."""
        rows = await desk.opt_outs.history(
            canonical(recipient),
            account_id=caller.account.id,
            after=after_id("optout-history", query.cursor),
            count=query.limit + 1,
        )
        return page(
            request,
            response,
            rows,
            query.limit,
            show=_change,
            cursor=lambda event: encode("optout-history", event.id),
        )

    @routes.get("/optouts.csv", "exportOptOuts", response_class=Response, responses=CSV_RESPONSE)
    async def export(caller: Admitted) -> Response:
        """All opt-outs as CSV."""

        async def chunks() -> AsyncIterator[str]:
            yield lines_of([COLUMNS])
            after = ("", "")
            while found := await desk.opt_outs.page(caller.account.id, after=after, count=MOST):
                yield lines_of([cells(one) for one in found])
                after = (found[-1].recipient, found[-1].sender or "")

        return StreamingResponse(chunks(), media_type=CSV)

    @routes.post(
        "/optouts/import", "importOptOuts", once=True, body_type=CSV, body_limit_bytes=CSV_BYTES, openapi_extra=CSV_BODY
    )
    async def bring_in(request: Request, caller: Admitted) -> Imported:
        """Bring opt-outs in from CSV.

        Columns: `recipient`, and if you like `scope`, `sender`, `source` and `time`. A file with a faulty line changes
        nothing; the same file may be brought in again.
        """
        with told_together():
            rows = read_opt_outs(_lines(await request.body()))
        wanted = [
            OptOut(account_id=caller.account.id, sender=sender, recipient=recipient, source=source, created_at=at)
            for sender, recipient, source, at in rows
        ]
        parts = [wanted[start : start + PART] for start in range(0, len(wanted), PART)]
        added = sum([await desk.opt_outs.add_many(part) for part in parts])
        return Imported(added=added, unchanged=len(wanted) - added)


def _lines(body: bytes) -> Iterable[str]:
    try:
        return io.StringIO(body.decode("utf-8-sig"), newline="")  # splitlines knows ends of lines that CSV does not
    except UnicodeDecodeError as error:
        raise invalid("the file is not UTF-8", pointer="") from error


def _shown(one: OptOut) -> OptOutShown:
    return OptOutShown(
        recipient=one.recipient,
        sender=one.sender,
        scope=scope_of(one.sender),
        source=one.source,
        created_at=format_milli(one.created_at),
    )


def _change(event: Event) -> OptOutChangeShown:
    return OptOutChangeShown(
        at=format_milli(event.at),
        change=event.change,
        recipient=event.recipient,
        sender=event.sender,
        source=event.source,
        keyword=event.keyword,
        message_id=None if event.message_id is None else str(event.message_id),
    )


def _message_id(cursor: str) -> UUID:
    try:
        return UUID(decode("doubtful", cursor, str)[0])
    except ValueError as error:
        raise invalid("it is not one that this list gave", field="cursor") from error
