"""Messages: send one or many, find them, take them back, forget them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field, ValidationError, WithJsonSchema

from longcode import log
from longcode.api import problems
from longcode.api.caller import Admitted
from longcode.api.cursors import Page, PageQuery, decode, encode, link_next
from longcode.api.desk import Desk
from longcode.api.drafts import Draft, fingerprint, idempotency_key
from longcode.api.fields import Body, Instant, MessageText, Party, Recipient, Reference, Sender
from longcode.api.ids import UuidInPath, uuid_of
from longcode.api.problems import TooLate
from longcode.api.routing import Routes
from longcode.api.sent import SENT, SENT_BEFORE, KeyHeader, mark_replayed, sent
from longcode.api.validation import invalid_request
from longcode.domain.message import Direction, Message, Status
from longcode.domain.public import PublicMessage, public_message
from longcode.encoding import segments
from longcode.errors import LongcodeError, NotFound
from longcode.flow.routing import NO_MESSAGE, Parcel
from longcode.store.message_lists import Place, Wanted
from longcode.wire.errors import Fault

MOST_IN_BATCH: Final = 1000
BATCH_BYTES: Final = 8 * 1024 * 1024
TOGETHER: Final = 256

_logger = log.get("http")

PROBLEM: Final = {"anyOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "null"}]}
SENDING: Final = (
    "not_owned",
    "not_whitelisted",
    "opted_out",
    "pool_empty",
    "destination_refused",
    "refused",
    "key_in_flight",
    "gone",
    "key_reused",
    "cap_reached",
    "intake_full",
)


class MessageQuery(PageQuery):
    """Which messages. Parties as they were written."""

    status: Annotated[Status | None, Field(description="Where they stand now.")] = None
    direction: Direction | None = None
    sender: Party | None = None
    recipient: Party | None = None
    party: Annotated[Party | None, Field(description="The sender or the recipient.")] = None
    reference: Annotated[Reference | None, Field(description="Your own name for them.")] = None
    since: Annotated[Instant | None, Field(description="Accepted or received at this time or later.")] = None
    until: Annotated[Instant | None, Field(description="Accepted or received before this time.")] = None


class Batch(Body):
    """Up to 1,000 messages. An entry that is not a MessageDraft fails alone."""

    messages: Annotated[
        list[Any],
        Field(
            min_length=1,
            max_length=MOST_IN_BATCH,
            json_schema_extra={"items": {"description": "A MessageDraft; one that is none fails alone."}},
        ),
    ]


class BatchResult(BaseModel):
    """What became of one entry. index: its place in the batch, from 0. Either message or problem is there."""

    index: int
    message: PublicMessage | None
    replayed: bool
    problem: Annotated[dict[str, Any] | None, WithJsonSchema(PROBLEM)]


class BatchResults(BaseModel):
    """What became of a batch, entry by entry, in its order."""

    accepted: int
    failed: int
    results: list[BatchResult]


class PreviewDraft(Body):
    """A text that is to be looked at; with a recipient also what its route costs."""

    text: MessageText
    recipient: Recipient | None = None
    sender: Sender | None = None


class Preview(BaseModel):
    """How a text travels. segments: its parts, as short messages carry them.

    cost: of all of them, by the route that would be taken now; null where that is not known.
    """

    encoding: str
    segment_count: int
    segments: list[str]
    cost: str | None
    currency: str | None


def add_messages(app: FastAPI, desk: Desk) -> None:
    """The routes of messages."""
    routes = Routes(app, "Native: messages", "messages")

    @routes.post(
        "/messages",
        "sendMessage",
        status=201,
        once=False,
        errors=SENDING,
        responses=SENT,
    )
    async def send(
        draft: Draft, caller: Admitted, request: Request, response: Response, key: KeyHeader = None
    ) -> PublicMessage:
        """Send a message.

        It is durable once this is answered. It goes out at once, or at `send_at`.
        """
        return sent(await desk.outbound.send(caller.account, draft, idempotency_key(key)), response)

    @routes.post(
        "/messages/batch",
        "sendBatch",
        errors=("key_in_flight", "key_reused"),
        body_limit_bytes=BATCH_BYTES,
        responses=SENT_BEFORE,
    )
    async def send_batch(batch: Batch, caller: Admitted, response: Response, key: KeyHeader = None) -> BatchResults:
        """Send up to 1,000 messages.

        Each entry is a MessageDraft and stands for itself: one that is refused fails alone, with its index. Under an
        Idempotency-Key a repeat of the whole batch sends only what was refused the first time. It has
        `Idempotent-Replayed` where all that it accepts was sent before.
        """
        name = idempotency_key(key)
        results: list[BatchResult] = []
        with desk.outbound.alone(caller.account, name):
            whole = b""
            if name is not None:
                whole = fingerprint(batch.messages)
                # Of all that a batch may have: another one may have been longer.
                keys = [_entry_key(name, index) for index in range(MOST_IN_BATCH)]
                await desk.outbound.refuse_other_body(caller.account, keys, whole)
            for start in range(0, len(batch.messages), TOGETHER):
                part = batch.messages[start : start + TOGETHER]
                results += await asyncio.gather(
                    *(
                        send_entry(caller, start + number, entry, name and _entry_key(name, start + number), whole)
                        for number, entry in enumerate(part)
                    )
                )
        accepted = sum(result.message is not None for result in results)
        if 0 < accepted == sum(result.replayed for result in results):
            mark_replayed(response)
        return BatchResults(accepted=accepted, failed=len(results) - accepted, results=results)

    async def send_entry(caller: Admitted, index: int, entry: object, key: str | None, whole: bytes) -> BatchResult:
        try:
            entered = await desk.outbound.enter(caller.account, _draft(entry), key, whole)
        except LongcodeError as error:
            return BatchResult(index=index, message=None, replayed=False, problem=problems.document(error))
        except Exception:
            # Its neighbours are stored: whoever is told of them sends none of them again.
            _logger.exception("an entry of a batch failed", index=index)
            return BatchResult(index=index, message=None, replayed=False, problem=problems.document(Fault()))
        shown = public_message(entered.message)
        return BatchResult(index=index, message=shown, replayed=entered.replayed, problem=None)

    @routes.post("/messages/preview", "previewMessage", scope_as="messages:read")
    async def preview(draft: PreviewDraft, caller: Admitted) -> Preview:
        """See which encoding and how many segments a text takes, and what it would cost, without sending it."""
        parts = segments.split(draft.text)
        cost, currency = None, None
        if draft.recipient is not None:
            parcel = Parcel(caller.account.id, draft.sender or "", draft.recipient, NO_MESSAGE)
            route = (await desk.catalog.now()).choose(parcel, desk.clock())
            if route is not None and route.cost is not None:
                cost, currency = f"{route.cost * len(parts):f}", route.currency
        return Preview(
            encoding=parts[0].encoding.value,
            segment_count=len(parts),
            segments=[part.text for part in parts],
            cost=cost,
            currency=currency,
        )

    @routes.get("/messages", "listMessages")
    async def list_messages(
        query: Annotated[MessageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[PublicMessage]:
        """List messages, the newest first.

        With a filter a page may hold fewer than `limit`, or none, and still have a `next`: go on with that.
        """
        found = await desk.lists.page(caller.account.id, _wanted(query), after=_place(query.cursor), count=query.limit)
        following = None if found.next is None else encode("messages", found.next.seconds, str(found.next.id))
        link_next(request, response, following)
        return Page(items=[public_message(message) for message in found.messages], next=following)

    @routes.get("/messages/{id}", "getMessage", single=True, errors=("not_found",))
    async def get(id: UuidInPath, caller: Admitted) -> PublicMessage:
        """One message, as it stands now."""
        return public_message(await find(caller, uuid_of(id)))

    @routes.post("/messages/{id}/cancel", "cancelMessage", errors=("not_found", "too_late"))
    async def cancel_message(id: UuidInPath, caller: Admitted) -> PublicMessage:
        """Take a message back that no carrier was given yet.

        One that is canceled already stays so.
        """
        message = await find(caller, uuid_of(id))
        taken_back = await desk.cancel.cancel(message.id)
        message = await find(caller, message.id)
        if not taken_back and message.status is not Status.CANCELED:
            raise TooLate(f"the message is {message.status}; a carrier may have it, or it is at its end")
        return public_message(message)

    @routes.post("/messages/{id}/redact", "redactMessage", errors=("not_found", "too_late"))
    async def redact(id: UuidInPath, caller: Admitted) -> PublicMessage:
        """Forget a message's text for good; who wrote to whom and when stays."""
        message = await find(caller, uuid_of(id))
        if not await desk.removal.redact(caller.account.id, message.id):
            raise _still_queued()
        return public_message(await find(caller, message.id))

    @routes.delete("/messages/{id}", "deleteMessage", errors=("not_found", "too_late"))
    async def delete(id: UuidInPath, caller: Admitted) -> None:
        """Forget a message for good. Its Idempotency-Key stays taken, so that nothing is sent twice."""
        message = await find(caller, uuid_of(id))
        if not await desk.removal.delete(caller.account.id, message.id):
            raise _still_queued()

    async def find(caller: Admitted, message_id: UUID) -> Message:
        message = await desk.messages.get(caller.account.id, message_id)
        if message is None:
            raise NotFound("there is no such message")
        return message


def _entry_key(batch: str, index: int) -> str:
    """The key of an entry; no caller's own begins so. batch: the key of the whole."""
    return f"{index} of {batch}"


def _draft(entry: object) -> Draft:
    """An entry of a batch. Raises InvalidRequest with pointers into the entry."""
    try:
        return Draft.model_validate(entry)
    except ValidationError as error:
        found = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise invalid_request(found) from error


def _wanted(query: MessageQuery) -> Wanted:
    return Wanted(
        status=query.status,
        direction=query.direction,
        sender=query.sender,
        recipient=query.recipient,
        party=query.party,
        reference=query.reference,
        since=query.since,
        until=query.until,
    )


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    seconds, message_id = decode("messages", cursor, int, str)
    try:
        return Place(seconds, UUID(message_id))
    except ValueError as error:
        raise problems.invalid("it is not one that this list gave", field="cursor") from error


def _still_queued() -> TooLate:
    return TooLate("the message is still to be sent; cancel it first")
