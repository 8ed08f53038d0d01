"""Commands about webhooks: where accounts want their events, what was delivered, and again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import click

from longcode.bootstrap import Product
from longcode.cli.listing import Listing, pages
from longcode.cli.product import account_option, json_option, limit_option, owner_of, row_id, with_product
from longcode.cli.session import data_option
from longcode.cli.tables import Table, echo_json, show_fields
from longcode.domain.clock import mint_id, utc_now
from longcode.domain.events import OF_SENT, EventType
from longcode.domain.timestamps import format_milli, parse_instant
from longcode.errors import ConfigurationError, InvalidField
from longcode.flow.webhook_trial import Trial, try_endpoint
from longcode.store.webhooks import Attempt, Endpoint
from longcode.vault import Vault
from longcode.webhooks import target
from longcode.webhooks.client import system_client
from longcode.webhooks.signing import new_secret

T = TypeVar("T")

KEEP_HOURS = 24
PAGE = 500
DISABLED = "by the operator"
SUCH_AS = "such as 2026-11-22T10:00:00Z"

endpoint_argument = click.argument("endpoint_id", metavar="ID", type=row_id)


@click.group()
def webhook() -> None:
    """Webhook endpoints: where accounts want to hear of their messages. See docs/webhooks.md."""


@webhook.command("add")
@click.argument("url")
@account_option
@click.option("--allow-private", is_flag=True, help="It may lead to private, loopback and link-local addresses.")
@click.option("--events", metavar="TYPE,…", help=f"Only these: {', '.join(EventType)}. Default: all.")
@click.option("--per-message", is_flag=True, help="Only of messages that name URL as their webhook_url.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@data_option
def add_endpoint(
    url: str,
    account_name: str,
    allow_private: bool,
    events: str | None,
    per_message: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Send an account's events to URL from now on. Its secret is printed this once."""
    types, faults = _types(events)
    if per_message:
        faults += [] if events is None else ["--events: a message tells every step to the URL that it names"]
        types = OF_SENT
    faults = target.faults(url, allow_private=allow_private) + faults
    secret = new_secret()

    async def add(product: Product) -> int:
        owner = await owner_of(product, account_name, faults)
        sealed = Vault.open(product.settings).seal(secret)
        return await product.webhooks.add(
            owner.id, url, types, secret=sealed, allow_private=allow_private, per_message=per_message
        )

    endpoint_id = with_product(data, add)
    if as_json:
        echo_json({"id": endpoint_id, "secret": secret})
        return
    click.echo(f"webhook {endpoint_id}")
    click.echo(f"secret {secret}")


@webhook.command("list")
@click.option("--account", "account_name", metavar="NAME", help="Only this account's.")
@json_option
@data_option
def list_endpoints(account_name: str | None, as_json: bool, data: Path | None) -> None:
    """List endpoints."""
    listing = Listing("id", "account", "url", "state", "events", as_json=as_json)

    async def read(product: Product) -> None:
        account_id = None if account_name is None else (await product.accounts.by_name(account_name)).id
        names = await product.accounts.names()
        async for page in pages(partial(product.webhooks.page, account_id=account_id), lambda one: one.id, 0):
            listing.add([_row(one, names[one.account_id], as_json=as_json) for one in page])

    with_product(data, read)


@webhook.command("show")
@endpoint_argument
@json_option
@data_option
def show_endpoint(endpoint_id: int, as_json: bool, data: Path | None) -> None:
    """Show one endpoint; never its secret."""

    async def read(product: Product) -> tuple[Endpoint, str]:
        endpoint = await product.webhooks.get(endpoint_id)
        return endpoint, (await product.accounts.names())[endpoint.account_id]

    endpoint, name = with_product(data, read)
    fields = _fields(endpoint, name)
    if as_json:
        echo_json({"id": endpoint.id, **fields})
        return
    show_fields(f"webhook {endpoint.id}", fields)


@webhook.command("remove")
@endpoint_argument
@data_option
def remove_endpoint(endpoint_id: int, data: Path | None) -> None:
    """Remove an endpoint, with the events that wait for it."""
    with_product(data, lambda product: product.webhooks.remove(endpoint_id))
    click.echo(f"webhook {endpoint_id} removed")


@webhook.command("disable")
@endpoint_argument
@data_option
def disable_endpoint(endpoint_id: int, data: Path | None) -> None:
    """Send an endpoint nothing any more; events that wait for it are forgotten, and can be replayed."""
    done = with_product(data, lambda product: product.webhooks.disable(endpoint_id, DISABLED))
    click.echo(f"webhook {endpoint_id} {'disabled' if done else 'was disabled already'}")


@webhook.command("enable")
@endpoint_argument
@data_option
def enable_endpoint(endpoint_id: int, data: Path | None) -> None:
    """Send an endpoint what happens from now on; what it missed can be replayed."""
    done = with_product(data, lambda product: product.webhooks.enable(endpoint_id))
    click.echo(f"webhook {endpoint_id} {'enabled' if done else 'was enabled already'}")


@webhook.command("rotate")
@endpoint_argument
@click.option(
    "--keep-hours", default=KEEP_HOURS, show_default=True, type=click.IntRange(0, 720), help="The old secret's rest."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@data_option
def rotate_secret(endpoint_id: int, keep_hours: int, as_json: bool, data: Path | None) -> None:
    """Give an endpoint another secret, printed this once. For a while everything is signed with the old one too."""
    secret = new_secret()
    until = utc_now() + timedelta(hours=keep_hours)

    async def rotate(product: Product) -> None:
        sealed = Vault.open(product.settings).seal(secret)
        await product.webhooks.rotate(endpoint_id, sealed, old_until=until)

    with_product(data, rotate)
    if as_json:
        echo_json({"id": endpoint_id, "secret": secret, "old_secret_until": format_milli(until)})
        return
    click.echo(f"webhook {endpoint_id}; the old secret signs too until {format_milli(until)}")
    click.echo(f"secret {secret}")


@webhook.command("test")
@endpoint_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@data_option
def test_endpoint(endpoint_id: int, as_json: bool, data: Path | None) -> None:
    """Send an endpoint a made-up event `webhook.test` now; the exit status is 1 where it does not take it."""

    async def attempt(product: Product) -> Trial:
        endpoint, unseal = await product.webhooks.get(endpoint_id), Vault.open(product.settings).unseal
        http = system_client()
        try:
            return await try_endpoint(endpoint, client=http, unseal=unseal, clock=product.clock, mint_id=mint_id)
        finally:
            http.close()

    tried = with_product(data, attempt)
    if as_json:
        echo_json({"status": tried.status, "error": tried.error, "milliseconds": tried.milliseconds})
    else:
        click.echo(f"{tried.error or f'it answered {tried.status}'}, after {tried.milliseconds} ms")
    if tried.error is not None:
        sys.exit(1)


@webhook.command("deliveries")
@endpoint_argument
@click.option("--failed", is_flag=True, help="Only tries that failed.")
@limit_option
@json_option
@data_option
def list_deliveries(endpoint_id: int, failed: bool, limit: int, as_json: bool, data: Path | None) -> None:
    """List what was tried at an endpoint, the latest first."""
    headings = ("ended_at", "event", "type", "status", "milliseconds", "error")
    table = None if as_json else Table(*headings)

    def show(page: list[Attempt]) -> None:
        for row in map(_attempt_row, page):
            if table is None:
                echo_json(dict(zip(headings, row, strict=True)))
        if table is not None and page:
            table.add([_attempt_row(one) for one in page])

    async def read(product: Product) -> None:
        await product.webhooks.get(endpoint_id)
        before: UUID | None = None
        left = limit or sys.maxsize
        while left:
            count = min(PAGE, left)
            page = await product.webhooks.attempts(endpoint_id, before=before, count=count, failed=failed)
            show(page)
            if len(page) < count:
                return
            before, left = page[-1].id, left - len(page)

    with_product(data, read)


@webhook.command("replay")
@endpoint_argument
@click.option("--event", "event", metavar="ID", help="One event, whatever became of it.")
@click.option("--since", metavar="TIME", help="What happened from then on, such as 2026-11-22T10:00:00Z.")
@click.option("--until", metavar="TIME", help="… and before then. Default: now.")
@data_option
def replay_events(endpoint_id: int, event: str | None, since: str | None, until: str | None, data: Path | None) -> None:
    """Deliver one event again, or those of a period that the endpoint is subscribed to."""
    event_id, begin, end = _what(event, since, until)

    async def replay(product: Product) -> int:
        endpoint = await product.webhooks.get(endpoint_id)
        if endpoint.disabled_at is not None:
            raise ConfigurationError([f"webhook {endpoint_id} is disabled: enable it first"])
        if event_id is not None:
            await product.webhooks.replay_event(endpoint, event_id)
            return 1
        assert begin is not None
        return await product.webhooks.replay(endpoint, begin, end)

    count = with_product(data, replay)
    click.echo(f"{count} {'event is' if count == 1 else 'events are'} delivered again to webhook {endpoint_id}")


def _what(event: str | None, since: str | None, until: str | None) -> tuple[UUID | None, datetime | None, datetime]:
    """One event or the two ends of a period. Raises ConfigurationError with all faults."""
    faults: list[str] = []
    event_id, begin, end = None, None, utc_now()
    if (event is None) == (since is None) or (event is not None and until is not None):
        faults.append("say either --event, or --since and perhaps --until")
    if event is not None:
        event_id = _read(partial(UUID, event.removeprefix("evt_")), f"--event: {event} is no event's id", faults)
    if since is not None:
        begin = _read(partial(parse_instant, since, field="since"), f"--since: {since} is no time {SUCH_AS}", faults)
    if until is not None:
        end = (
            _read(partial(parse_instant, until, field="until"), f"--until: {until} is no time {SUCH_AS}", faults) or end
        )
    if begin is not None and begin >= end:
        faults.append("the period ends before it begins")
    if faults:
        raise ConfigurationError(faults)
    return event_id, begin, end


def _read(parse: Callable[[], T], fault: str, faults: list[str]) -> T | None:
    try:
        return parse()
    except (ValueError, InvalidField):
        faults.append(fault)
        return None


def _types(events: str | None) -> tuple[tuple[EventType, ...], list[str]]:
    """The types that were asked for, in their own order, and what is wrong with them."""
    if events is None:
        return tuple(EventType), []
    names = {name.strip() for name in events.split(",")} - {""}
    known = ", ".join(EventType)
    faults = [f"--events: there is no {name}; there are {known}" for name in sorted(names - set(EventType))]
    if not names:
        faults.append("--events: name at least one")
    return tuple(type_ for type_ in EventType if type_ in names), faults


def _row(endpoint: Endpoint, account: str, *, as_json: bool) -> tuple[object, ...]:
    types: object = list(endpoint.types)
    if not as_json and endpoint.per_message:
        types = "of messages that name it"
    elif not as_json:
        types = "all" if set(endpoint.types) == set(EventType) else ",".join(endpoint.types)
    return endpoint.id, account, endpoint.url, _state(endpoint), types


def _state(endpoint: Endpoint) -> str:
    return "enabled" if endpoint.disabled_at is None else "disabled"


def _fields(endpoint: Endpoint, account: str) -> dict[str, object]:
    return {
        "account": account,
        "url": endpoint.url,
        "state": _state(endpoint),
        "events": list(endpoint.types),
        "allow_private": endpoint.allow_private,
        "per_message": endpoint.per_message,
        "created_at": format_milli(endpoint.created_at),
        "disabled_at": endpoint.disabled_at and format_milli(endpoint.disabled_at),
        "disabled_reason": endpoint.disabled_reason,
        "old_secret_until": endpoint.old_secret_until and format_milli(endpoint.old_secret_until),
    }


def _attempt_row(attempt: Attempt) -> tuple[object, ...]:
    return (
        format_milli(attempt.ended_at),
        f"evt_{attempt.event_id}",
        attempt.type,
        attempt.status,
        attempt.milliseconds,
        attempt.error,
    )
