"""Conversations: what a number of the account sent and received, whoever was at the other end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel

from longcode.api.caller import Admitted
from longcode.api.cursors import Page, PageQuery, after_name, decode, encode, page
from longcode.api.desk import Desk
from longcode.api.ids import NameInPath
from longcode.api.problems import invalid
from longcode.api.routing import Routes
from longcode.domain.timestamps import format_milli
from longcode.errors import NotFound
from longcode.store.conversations import Line, Position, Side

SIDES = {Side.SENT: "sent", Side.RECEIVED: "received"}
LAST_SECOND = 253_402_300_799  # the year 9999


class ConversationNumber(BaseModel):
    """A number that conversations are between, as it was written."""

    number: str


class ConversationLine(BaseModel):
    """One message of a conversation. direction: seen from the number whose conversation it is."""

    message_id: str
    direction: str
    other: str
    text: str
    sent_at: str


def add_conversations(app: FastAPI, desk: Desk) -> None:
    """The routes of conversations."""
    routes = Routes(app, "Native: conversations", "messages")

    @routes.get("/conversations", "listConversations")
    async def list_numbers(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[ConversationNumber]:
        """List the numbers that the account's conversations are between.

        Its own and those of others, in the order of their text.
        """
        after = after_name("conversations", query.cursor)
        rows = await desk.conversations.numbers(caller.account.id, after=after, count=query.limit + 1)
        return page(
            request,
            response,
            rows,
            query.limit,
            show=lambda number: ConversationNumber(number=number),
            cursor=lambda number: encode("conversations", number),
        )

    @routes.get("/conversations/{number}", "getConversation")
    async def show(
        number: NameInPath,
        query: Annotated[PageQuery, Query()],
        caller: Admitted,
        request: Request,
        response: Response,
    ) -> Page[ConversationLine]:
        """List what a number sent and received, the newest first.

        The number is found as it was written.
        """
        account_id = caller.account.id
        lines = await desk.conversations.before(account_id, number, _position(query.cursor), count=query.limit + 1)
        if not lines and query.cursor is None and not await desk.conversations.is_assigned(account_id, number):
            raise NotFound("the account has no such number and no message of it")
        return page(request, response, lines[::-1], query.limit, show=_shown, cursor=_cursor)


def _cursor(line: Line) -> str:
    place = line.position
    return encode("conversation", place.sent_at_seconds, str(place.message_id), int(place.side))


def _position(cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    seconds, message_id, side = decode("conversation", cursor, int, str, int)
    try:
        return Position(seconds, UUID(message_id), Side(side))
    except ValueError as error:
        raise invalid("it is not one that this list gave", field="cursor") from error


def _shown(line: Line) -> ConversationLine:
    # Clients of the older interface write any time that 64 bits can say.
    moment = datetime.fromtimestamp(min(line.position.sent_at_seconds, LAST_SECOND), UTC)
    return ConversationLine(
        message_id=str(line.position.message_id),
        direction=SIDES[line.position.side],
        other=line.other,
        text=line.text,
        sent_at=format_milli(moment),
    )
