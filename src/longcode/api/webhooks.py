"""Webhooks: endpoints that are told of events, what was delivered to them, and again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from longcode.api.caller import Admitted
from longcode.api.cursors import Page, PageQuery, after_id, decode, encode, page
from longcode.api.desk import Desk
from longcode.api.fields import EVENT_ID, WHOLE, Body, Clean, Instant, OneOf, ShownOnce, chars
from longcode.api.ids import SerialInPath, serial_of
from longcode.api.problems import invalid, refuse
from longcode.api.routing import Routes
from longcode.domain.events import OF_SENT, EventType
from longcode.domain.timestamps import format_milli
from longcode.errors import ConfigurationError, NotFound
from longcode.flow.webhook_trial import try_endpoint
from longcode.store.webhooks import Attempt, Endpoint
from longcode.webhooks import target
from longcode.webhooks.signing import new_secret

DISABLED: Final = "by the account"
KEEP_HOURS: Final = 24


class EndpointDraft(Body):
    """Where events are to go. types: only these; without them all. allow_private: for operators only.

    per_message: not the account's events, but each step of those messages that name the URL as their `webhook_url`.
    """

    url: Annotated[Clean, chars(1, 2048)]
    types: Annotated[list[Annotated[str, OneOf(tuple(EventType))]], Field(min_length=1)] | None = None
    allow_private: bool = False
    per_message: bool = False


class EndpointShown(BaseModel):
    """An endpoint; never its secret."""

    id: int
    url: str
    types: list[str]
    allow_private: bool
    per_message: bool
    enabled: bool
    disabled_at: str | None
    disabled_reason: str | None
    old_secret_until: str | None
    created_at: str


class EndpointMade(EndpointShown):
    """A new endpoint. secret: what signs its events; shown this once."""

    secret: ShownOnce


class Rotation(Body):
    """How long the old secret signs too."""

    keep_hours: Annotated[int, Field(ge=0, le=720), WHOLE] = KEEP_HOURS


class Rotated(BaseModel):
    """secret: the new one, shown this once; the old one signs too until old_secret_until."""

    secret: ShownOnce
    old_secret_until: str


class DeliveryQuery(PageQuery):
    """Which tries."""

    failed: Annotated[bool, Field(description="Only those that failed.")] = False


class Delivery(BaseModel):
    """One try to deliver an event. status: of the endpoint's answer. error: why it does not count as delivered."""

    id: str
    event_id: str
    type: str | None
    status: int | None
    error: str | None
    milliseconds: int
    ended_at: str


class Replay(Body):
    """What is to be delivered again: one event, or those of a period that the endpoint is subscribed to."""

    event_id: Annotated[str, StringConstraints(strict=True, pattern=EVENT_ID)] | None = None
    since: Instant | None = None
    until: Instant | None = None


class Replayed(BaseModel):
    """How many events are delivered again."""

    events: int


class WebhookTrial(BaseModel):
    """What came of a made-up event. status: of the answer, if there was one. error: why it was not taken."""

    taken: bool
    status: int | None
    error: str | None
    milliseconds: int


def add_webhooks(app: FastAPI, desk: Desk) -> None:
    """The routes of webhooks."""
    routes = Routes(app, "Native: webhooks", "webhooks")
    _add_endpoints(routes, desk)
    _add_deliveries(routes, desk)


def _add_endpoints(routes: Routes, desk: Desk) -> None:
    @routes.get("/webhooks", "listWebhooks")
    async def list_endpoints(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[EndpointShown]:
        """List endpoints."""
        after = after_id("webhooks", query.cursor)
        rows = await desk.webhooks.page(account_id=caller.account.id, after=after, count=query.limit + 1)
        return page(request, response, rows, query.limit, show=_shown, cursor=lambda one: encode("webhooks", one.id))

    @routes.post("/webhooks", "addWebhook", status=201, errors=("refused", "duplicate"))
    async def add(body: EndpointDraft, caller: Admitted) -> EndpointMade:
        """Send the account's events to a URL from now on.

        They are signed as Standard Webhooks 1.0 has it; the secret is shown this once. With `per_message` it is told
        of those messages alone that name its URL.
        """
        if body.allow_private and caller.operator is None:
            raise invalid("only an operator may allow private addresses", pointer="/allow_private")
        if body.per_message and body.types is not None:
            raise invalid("a message tells every step to the URL that it names", pointer="/types")
        refuse(target.faults(body.url, allow_private=body.allow_private), "/url")
        secret = new_secret()
        endpoint_id = await desk.webhooks.add(
            caller.account.id,
            body.url,
            _types(body),
            secret=desk.vault().seal(secret),
            allow_private=body.allow_private,
            per_message=body.per_message,
        )
        endpoint = await desk.webhooks.get(endpoint_id, account_id=caller.account.id)
        return EndpointMade(**_shown(endpoint).model_dump(), secret=secret)

    @routes.get("/webhooks/{id}", "getWebhook", single=True)
    async def get(id: SerialInPath, caller: Admitted) -> EndpointShown:
        """One endpoint."""
        return _shown(await find(id, caller))

    @routes.delete("/webhooks/{id}", "removeWebhook")
    async def remove(id: SerialInPath, caller: Admitted) -> None:
        """Remove an endpoint, with the events that wait for it."""
        await desk.webhooks.remove(serial_of(id), account_id=caller.account.id)

    @routes.post("/webhooks/{id}/disable", "disableWebhook")
    async def disable(id: SerialInPath, caller: Admitted) -> EndpointShown:
        """Send an endpoint nothing any more; what waits for it is forgotten, and can be replayed."""
        await desk.webhooks.disable(serial_of(id), DISABLED, account_id=caller.account.id)
        return _shown(await find(id, caller))

    @routes.post("/webhooks/{id}/enable", "enableWebhook")
    async def enable(id: SerialInPath, caller: Admitted) -> EndpointShown:
        """Send an endpoint what happens from now on."""
        await desk.webhooks.enable(serial_of(id), account_id=caller.account.id)
        return _shown(await find(id, caller))

    @routes.post("/webhooks/{id}/rotate", "rotateWebhook", once=True)
    async def rotate(id: SerialInPath, body: Rotation, caller: Admitted) -> Rotated:
        """Give an endpoint another secret, shown this once. For a while the old one signs too."""
        secret, until = new_secret(), desk.clock() + timedelta(hours=body.keep_hours)
        await desk.webhooks.rotate(
            serial_of(id), desk.vault().seal(secret), old_until=until, account_id=caller.account.id
        )
        return Rotated(secret=secret, old_secret_until=format_milli(until))

    async def find(id: str, caller: Admitted) -> Endpoint:
        return await desk.webhooks.get(serial_of(id), account_id=caller.account.id)


def _add_deliveries(routes: Routes, desk: Desk) -> None:
    @routes.post("/webhooks/{id}/test", "testWebhook")
    async def try_(id: SerialInPath, caller: Admitted) -> WebhookTrial:
        """Send an endpoint a made-up event `webhook.test` now, and see whether it takes it.

        It is signed and guarded as every other, goes to a disabled endpoint too, and is not in the log.
        """
        endpoint, http = await find(id, caller), desk.webhook_client()
        try:
            trial = await try_endpoint(
                endpoint, client=http, unseal=desk.vault().unseal, clock=desk.clock, mint_id=desk.mint_id
            )
        except ConfigurationError as error:
            return WebhookTrial(taken=False, status=None, error=str(error), milliseconds=0)
        finally:
            http.close()
        return WebhookTrial(
            taken=trial.error is None, status=trial.status, error=trial.error, milliseconds=trial.milliseconds
        )

    @routes.get("/webhooks/{id}/deliveries", "listDeliveries")
    async def deliveries(
        id: SerialInPath,
        query: Annotated[DeliveryQuery, Query()],
        caller: Admitted,
        request: Request,
        response: Response,
    ) -> Page[Delivery]:
        """List what was tried at an endpoint, the latest first."""
        endpoint = await find(id, caller)
        before = None if query.cursor is None else _id(decode("deliveries", query.cursor, str)[0])
        rows = await desk.webhooks.attempts(endpoint.id, before=before, count=query.limit + 1, failed=query.failed)
        return page(
            request,
            response,
            rows,
            query.limit,
            show=_delivery,
            cursor=lambda attempt: encode("deliveries", str(attempt.id)),
        )

    @routes.post("/webhooks/{id}/replay", "replayWebhook", once=True)
    async def replay(id: SerialInPath, body: Replay, caller: Admitted) -> Replayed:
        """Deliver one event again, or those of a period."""
        endpoint = await find(id, caller)
        refuse(_replay_faults(body))
        if endpoint.disabled_at is not None:
            raise invalid("the endpoint is disabled: enable it first")
        if body.event_id is not None:
            await desk.webhooks.replay_event(endpoint, _event_id(body.event_id))
            return Replayed(events=1)
        assert body.since is not None
        until = desk.clock() if body.until is None else body.until
        return Replayed(events=await desk.webhooks.replay(endpoint, body.since, until))

    async def find(id: str, caller: Admitted) -> Endpoint:
        return await desk.webhooks.get(serial_of(id), account_id=caller.account.id)


def _types(body: EndpointDraft) -> list[EventType]:
    if body.per_message:
        return list(OF_SENT)
    return [type_ for type_ in EventType if body.types is None or type_ in body.types]


def _replay_faults(body: Replay) -> list[str]:
    if (body.event_id is None) == (body.since is None) or (body.event_id is not None and body.until is not None):
        return ["say either event_id, or since and perhaps until"]
    if body.since is not None and body.until is not None and body.since >= body.until:
        return ["the period ends before it begins"]
    return []


def _id(text_: str) -> UUID:
    try:
        return UUID(text_)
    except ValueError as error:
        raise invalid("it is not one that this list gave", field="cursor") from error


def _event_id(text_: str) -> UUID:
    try:
        return UUID(text_.removeprefix("evt_"))
    except ValueError as error:
        raise NotFound("there is no such event") from error


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_milli(moment)


def _shown(one: Endpoint) -> EndpointShown:
    return EndpointShown(
        id=one.id,
        url=one.url,
        types=list(one.types),
        allow_private=one.allow_private,
        per_message=one.per_message,
        enabled=one.disabled_at is None,
        disabled_at=_time(one.disabled_at),
        disabled_reason=one.disabled_reason,
        old_secret_until=_time(one.old_secret_until),
        created_at=format_milli(one.created_at),
    )


def _delivery(attempt: Attempt) -> Delivery:
    return Delivery(
        id=str(attempt.id),
        event_id=f"evt_{attempt.event_id}",
        type=attempt.type,
        status=attempt.status,
        error=attempt.error,
        milliseconds=attempt.milliseconds,
        ended_at=format_milli(attempt.ended_at),
    )
