"""Mailboxes: read as often as one likes, acknowledged once it is worked on, cleared when it is not needed any more."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Final

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field

from longcode.api.caller import Admitted
from longcode.api.cursors import Page, PageQuery, after_name, decode_place, encode, encode_place, page
from longcode.api.desk import Desk
from longcode.api.drafts import fingerprint, idempotency_key
from longcode.api.fields import Body, Clean, chars
from longcode.api.ids import NameInPath
from longcode.api.problems import InvalidRequest
from longcode.api.routing import Routes
from longcode.api.sent import SENT, KeyHeader, sent
from longcode.domain.public import PublicMessage, public_message
from longcode.errors import NotFound
from longcode.store.boxes import BoxedMessage
from longcode.store.commit_order import START, Place

MOST_AT_ONCE: Final = 500

Login = Annotated[Clean, chars(3, 128)]
Cursor = Annotated[Clean, chars(1, 512)]


class MailboxLogin(Body):
    """A mailbox of the account, by its login: 3 to 128 characters, kept as they are."""

    login: Login


class LoginShown(BaseModel):
    """A mailbox, by its login."""

    login: str


class Letter(Body):
    """A message from one login of the account to another."""

    sender: Login
    text: Annotated[Clean, chars(1, 10_000)]


class BoxItem(BaseModel):
    """A message in a mailbox. cursor: its place, for acknowledging and deleting."""

    cursor: str
    message: PublicMessage


class BoxQuery(PageQuery):
    """Which part of a mailbox."""

    all: Annotated[
        bool, Field(description="From its beginning; else behind what was acknowledged. A cursor comes first.")
    ] = False


class Ack(Body):
    """How far a mailbox is worked on: the cursor of the last message, or of a page."""

    cursor: Cursor


class AckShown(BaseModel):
    """How far a mailbox is acknowledged; null: not at all."""

    cursor: str | None


class Cursors(Body):
    """Messages that are to be deleted, by their cursors."""

    cursors: Annotated[list[Cursor], Field(min_length=1, max_length=MOST_AT_ONCE)]


class Deleted(BaseModel):
    """How many messages were there to be deleted."""

    deleted: int


def add_mailboxes(app: FastAPI, desk: Desk) -> None:
    """The routes of mailboxes."""
    routes = Routes(app, "Native: mailboxes", "mailboxes")

    @routes.get("/mailboxes", "listMailboxes")
    async def list_logins(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[LoginShown]:
        """List the account's logins.

        Each has a mailbox. So has each assigned number, as the operator wrote it, for what other numbers of this server
        send to it.
        """
        after = after_name("logins", query.cursor)
        rows = await desk.boxes.logins(caller.account.id, after=after, count=query.limit + 1)
        return page(
            request,
            response,
            rows,
            query.limit,
            show=lambda login: LoginShown(login=login),
            cursor=lambda login: encode("logins", login),
        )

    @routes.post("/mailboxes", "createMailbox", status=201, errors=("duplicate",))
    async def register(body: MailboxLogin, caller: Admitted) -> LoginShown:
        """Make a mailbox."""
        await desk.mailbox_store.register(caller.account.id, body.login)
        return LoginShown(login=body.login)

    @routes.get("/mailboxes/{name}/messages", "listMailbox")
    async def list_messages(
        name: NameInPath, query: Annotated[BoxQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[BoxItem]:
        """List what came into a mailbox, the first first.

        Without a cursor: what was not acknowledged yet. Reading marks nothing. The order is that in which messages
        were committed, so that whoever goes on from a cursor misses none.
        """
        await must_exist(caller, name)
        account_id, kind = caller.account.id, cursor_kind(name)
        if query.cursor is not None:
            after = decode_place(kind, query.cursor)
        else:
            after = START if query.all else await desk.boxes.acked(account_id, name)
        rows = await desk.boxes.page(account_id, name, after=after, count=query.limit + 1)
        found = page(request, response, rows, query.limit, show=partial(_shown, kind), cursor=partial(_cursor, kind))
        return Page(items=[item for item in found.items if item is not None], next=found.next)

    @routes.post(
        "/mailboxes/{name}/messages",
        "sendToMailbox",
        status=201,
        once=False,
        errors=("unknown_login", "intake_full", "key_in_flight", "key_reused", "gone"),
        responses=SENT,
    )
    async def send(
        name: NameInPath, body: Letter, caller: Admitted, response: Response, key: KeyHeader = None
    ) -> PublicMessage:
        """Write from one login of the account to another."""
        named = idempotency_key(key)
        with desk.outbound.alone(caller.account, named):
            entered = await desk.mailbox.send(
                caller.account,
                sender=body.sender,
                recipient=name,
                text=body.text,
                key=named,
                body=fingerprint({"mailbox": name, **body.model_dump()}) if named else b"",
            )
        return sent(entered, response)

    @routes.get("/mailboxes/{name}/ack", "getAck")
    async def acked(name: NameInPath, caller: Admitted) -> AckShown:
        """How far a mailbox is acknowledged."""
        await must_exist(caller, name)
        return _acked(name, await desk.boxes.acked(caller.account.id, name))

    @routes.post("/mailboxes/{name}/ack", "acknowledge")
    async def ack(name: NameInPath, body: Ack, caller: Admitted) -> AckShown:
        """Acknowledge a mailbox up to a cursor.

        It only moves forward: an older cursor changes nothing. The answer says how far it is.
        """
        [place] = _places(name, {"/cursor": body.cursor})
        await must_exist(caller, name)
        return _acked(name, await desk.boxes.ack(caller.account.id, name, place))

    @routes.delete("/mailboxes/{name}/messages/{cursor}", "deleteFromMailbox")
    async def delete(name: NameInPath, cursor: NameInPath, caller: Admitted) -> None:
        """Take one message out of a mailbox.

        A text message stays in its conversation.
        """
        await must_exist(caller, name)
        try:
            place = decode_place(cursor_kind(name), cursor)
        except InvalidRequest as error:
            raise NotFound("there is no such message in the mailbox") from error
        if not await desk.boxes.delete(caller.account.id, name, [place]):
            raise NotFound("there is no such message in the mailbox")

    @routes.post("/mailboxes/{name}/messages/delete", "deleteManyFromMailbox")
    async def delete_many(name: NameInPath, body: Cursors, caller: Admitted) -> Deleted:
        """Take several messages out of a mailbox."""
        places = _places(name, {f"/cursors/{index}": cursor for index, cursor in enumerate(body.cursors)})
        await must_exist(caller, name)
        return Deleted(deleted=await desk.boxes.delete(caller.account.id, name, places))

    async def must_exist(caller: Admitted, name: str) -> None:
        if not await desk.boxes.exists(caller.account.id, name):
            raise NotFound("the account has no such mailbox")


def cursor_kind(box: str) -> str:
    """Of whose cursors: what is acknowledged or deleted in one mailbox was read in that one."""
    return f"mailbox {hashlib.sha256(box.encode()).hexdigest()[:16]}"  # names may be longer than cursors


def _places(box: str, cursors: Mapping[str, str]) -> list[Place]:
    """The places of cursors in a body, by their pointers. Raises InvalidRequest with each that is none."""
    kind, places, faults = cursor_kind(box), [], []
    for pointer, cursor in cursors.items():
        try:
            places.append(decode_place(kind, cursor))
        except InvalidRequest as error:
            faults += [replace(fault, pointer=pointer, field=None) for fault in error.faults]
    if faults:
        raise InvalidRequest(tuple(faults))
    return places


def _cursor(kind: str, row: BoxedMessage) -> str:
    return encode_place(kind, row.place)


def _shown(kind: str, row: BoxedMessage) -> BoxItem | None:
    return None if row.message is None else BoxItem(cursor=_cursor(kind, row), message=public_message(row.message))


def _acked(box: str, place: Place) -> AckShown:
    return AckShown(cursor=None if place == START else encode_place(cursor_kind(box), place))
