"""What the command line sends: checked, entered by the one door for outbound messages, and waited for."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import msgspec

from longcode import log
from longcode.bootstrap import Product, running
from longcode.cli.embedded import settings_with
from longcode.cli.listing import pages
from longcode.cli.session import check_schema, run
from longcode.domain.account import Account
from longcode.domain.message import Status, is_final
from longcode.domain.phone import digits_of
from longcode.errors import ConfigurationError
from longcode.flow.accept import NORMAL_PRIORITY, Send, SenderRule
from longcode.flow.settlement import Entered
from longcode.settings import Settings
from longcode.store.following import FollowStore
from longcode.wire.fields import is_clean

T = TypeVar("T")

TEXT_LENGTH = 1600
SENDER_LENGTH = 64
KEY_LENGTH = 255
RECIPIENT_DIGITS = range(3, 16)
SEPARATORS = frozenset(" -.()")
POLL_SECONDS = 0.2
MANY_IDS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A message as somebody asked for it.

    sender: None where the pool chooses it. key: under which it is sent once only. reference: the key, where somebody
    chose it. webhook_url: where its steps are told besides.
    """

    sender: str | None
    pool: str | None
    recipient: str
    text: str
    key: str | None = None
    reference: str | None = None
    priority: int = NORMAL_PRIORITY
    due_at: datetime | None = None
    webhook_url: str | None = None

    def faults(self) -> list[str]:
        """What is wrong with it, in words."""
        digits = self.recipient.removeprefix("+")
        checks = (
            (
                digits.isascii() and digits.isdigit() and len(digits) in RECIPIENT_DIGITS,
                f"{self.recipient!r} is no recipient: 3 to 15 digits, + in front or not",
            ),
            (_fits(self.text, TEXT_LENGTH), f"a text is 1 to {TEXT_LENGTH} characters"),
            (
                self.sender is None or _fits(self.sender, SENDER_LENGTH),
                f"a sender is 1 to {SENDER_LENGTH} characters",
            ),
            (self.reference is None or _fits(self.reference, KEY_LENGTH), f"a key is 1 to {KEY_LENGTH} characters"),
        )
        return [fault for holds, fault in checks if not holds]


def _fits(text: str, longest: int) -> bool:
    return 1 <= len(text) <= longest and is_clean(text)


def plain_number(text: str) -> str:
    """A number without the separators that people write; what is no number as it is."""
    digits = digits_of(text)
    if digits and not set(text.removeprefix("+")) - SEPARATORS - set(digits):
        return f"+{digits}" if text.startswith("+") else digits
    return text


def key_of(*parts: object) -> str:
    """A name that only the same parts have."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


async def enter(product: Product, account: Account, wanted: Wanted) -> Entered:
    """Make it durable and queue it; or find what its key stored before.

    Raises what Accept.send raises, with a URL what MessageWebhooks.send does.
    """
    source = wanted.pool if wanted.sender is None else wanted.sender
    send = Send(
        account=account,
        sender=wanted.sender or "",
        pool=wanted.pool,
        sender_rule=SenderRule.OWN,
        recipient=wanted.recipient,
        text=wanted.text,
        key=None if wanted.key is None else f"cli:{wanted.key}",
        fingerprint=bytes.fromhex(key_of(source, wanted.recipient, wanted.text)),
        client_reference=wanted.reference,
        priority=wanted.priority,
        due_at=wanted.due_at,
    )
    return await product.message_webhooks.send(send, wanted.webhook_url)


async def only_sender(product: Product, account: Account) -> str:
    """The account's only number or sender ID. Raises ConfigurationError where there is none, or several."""
    senders = [
        one.value
        async for page in pages(partial(product.numbers.page, account.id), lambda one: one.id, 0)
        for one in page
        if one.assigned
    ]
    senders += await product.accounts.sender_ids(account.id, count=MANY_IDS)
    if len(senders) == 1:
        return senders[0]
    if not senders:
        raise ConfigurationError([f"{account.name} has no number and no sender ID to send from"])
    shown = ", ".join(senders[:10]) + (", …" if len(senders) > 10 else "")
    raise ConfigurationError([f"{account.name} may send from {shown}: choose one with --from"])


async def wait_for_ends(
    store: FollowStore, ids: Sequence[UUID], told: Callable[[UUID, Status], None], seconds: float | None
) -> dict[UUID, Status]:
    """How messages stand once each is at its end, or the time is up. told: each change on the way.

    A message that is deleted meanwhile is left out.
    """
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    known: dict[UUID, Status] = {}
    while True:
        left = [one for one in ids if one not in known or not is_final(known[one])]
        found: dict[UUID, Status] = {}
        for start in range(0, len(left), MANY_IDS):
            found |= await store.statuses(left[start : start + MANY_IDS])
        for message_id, status in found.items():
            if known.get(message_id) is not status:
                known[message_id] = status
                told(message_id, status)
        if all(is_final(status) for status in found.values()) or (deadline is not None and loop.time() >= deadline):
            return known
        await asyncio.sleep(POLL_SECONDS)


def with_sending_product(data: Path | None, act: Callable[[Product], Awaitable[T]]) -> T:
    """As `with_product`; who dispatches is told at once of what was sent, as far as there is something to tell by."""
    settings = settings_with(data)
    log.configure("warning")

    async def inner() -> T:
        await check_schema(settings)
        async with _telling(settings) as product:
            return await act(product)

    return run(inner())


@asynccontextmanager
async def _telling(settings: Settings) -> AsyncIterator[Product]:
    if settings.redis_url is None and settings.broker_url is None:
        async with running(settings) as product:
            yield product
        return
    from longcode.engine.kicks import forwarding  # loads Celery

    async with forwarding(settings) as forward, running(settings, kick=forward.kick, offer=forward.offer) as product:
        forward.know(product.catalog)
        yield product
