"""One endpoint's line of deliveries in one process: how much it may hold, and what a request to it looks like.

A line that answers well is trusted with more: each success lets it hold one more, up to MOST_HELD; a failure lets it
hold one. So an endpoint that hangs or refuses costs a single connection, and one that comes back is at its speed again
within a few round trips.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from longcode import __version__
from longcode.domain.events import Event
from longcode.domain.public import CutMessage, PublicEvent, PublicMessage, public_event
from longcode.domain.timestamps import parse_http_date
from longcode.store.webhook_queue import Due
from longcode.store.webhooks import Endpoint
from longcode.webhooks.client import Answer
from longcode.webhooks.signing import key_of, sign
from longcode.webhooks.target import Target, parse

# After each failed try, how long until the next. Source: Standard Webhooks 1.0, "Deliverability and reliability".
DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
JITTER: Final = 0.2
LONGEST_WISH: Final = timedelta(hours=24)
GONE: Final = 410
BODY_BYTES: Final = 20_000

FIRST_HELD: Final = 2
MOST_HELD: Final = 256
# An endpoint that failed so often in a row is asked once a second, until it answers well.
PATIENT_FAILURES: Final = 10
TROUBLED_SECONDS: Final = 1.0
# How long an endpoint that asks us to wait is left alone altogether.
LONGEST_REST_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed event. until: when its lease is so nearly over that it may not be begun."""

    due: Due
    until: float


@dataclass(slots=True, eq=False)
class Line:
    """One endpoint's deliveries. running: how many are on their way. rests_until: nothing is begun before."""

    endpoint: Endpoint
    keys: tuple[bytes, ...]
    old_keys: tuple[bytes, ...]
    concurrency: int
    target: Target = field(init=False)
    head: bytes = field(init=False)
    waiting: deque[Held] = field(default_factory=deque)
    running: int = 0
    reach: int = FIRST_HELD
    failures: int = 0
    rests_until: float = 0.0
    hungry: bool = False

    def __post_init__(self) -> None:
        self.target = parse(self.endpoint.url)
        self.head = (
            f"POST {self.target.path} HTTP/1.1\r\nHost: {self.target.authority}\r\n"
            f"User-Agent: Longcode/{__version__}\r\nAccept: */*\r\nContent-Type: application/json\r\n"
        ).encode()

    @property
    def held(self) -> int:
        """How many events it has claimed and not ended."""
        return len(self.waiting) + self.running

    @property
    def trusted(self) -> bool:
        """True where the last answer was a good one."""
        return self.failures == 0 and self.reach > FIRST_HELD

    def room(self, now: float) -> int:
        """How many more it may claim."""
        return 0 if now < self.rests_until else max(0, self.reach - self.held)

    def may_start(self, now: float) -> bool:
        """True where another delivery may begin."""
        return bool(self.waiting) and now >= self.rests_until and self.running < min(self.reach, self.concurrency)

    def answered_well(self) -> None:
        """Trust it with one more."""
        self.failures = 0
        self.reach = min(self.reach + 1, MOST_HELD)

    def failed(self, now: float, rest_seconds: float) -> None:
        """Trust it with one. rest_seconds: how long it asked to be left alone."""
        self.failures += 1
        self.reach = 1
        if self.failures >= PATIENT_FAILURES:
            rest_seconds = max(rest_seconds, TROUBLED_SECONDS)
        if rest_seconds:
            self.rests_until = now + min(rest_seconds, LONGEST_REST_SECONDS)

    def request(self, event_id: UUID, body: bytes, now: datetime) -> bytes:
        """One delivery, signed, head and body."""
        id_, timestamp = f"evt_{event_id}", int(now.timestamp())
        keys = self.keys
        if self.endpoint.old_secret_until is not None and now < self.endpoint.old_secret_until:
            keys += self.old_keys
        signature = sign(keys, id_=id_, timestamp=timestamp, body=body)
        head = (
            f"webhook-id: {id_}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return self.head + head.encode() + body


def open_line(endpoint: Endpoint, unseal: Callable[[str], str], concurrency: int) -> Line:
    """A line that holds nothing yet. Raises ConfigurationError where the secret was sealed with another key."""
    keys = (key_of(unseal(endpoint.secret)),)
    old_keys = () if endpoint.old_secret is None else (key_of(unseal(endpoint.old_secret)),)
    return Line(endpoint, keys, old_keys, concurrency)


def body_of(event: Event) -> bytes:
    """The JSON of an event, at most BODY_BYTES of it: a text that is longer is cut, and `text_cut` says so."""
    public = public_event(event)
    body = msgspec.json.encode(public)
    if len(body) <= BODY_BYTES or not isinstance(public.data, PublicMessage):
        return body
    most, least = len(public.data.text), 0
    while least < most:
        middle = (least + most + 1) // 2
        if len(_cut(public, public.data, middle)) <= BODY_BYTES:
            least = middle
        else:
            most = middle - 1
    return _cut(public, public.data, least)


def _cut(public: PublicEvent, message: PublicMessage, characters: int) -> bytes:
    cut = CutMessage(**{**asdict(message), "text": message.text[:characters]})
    return msgspec.json.encode(PublicEvent(type=public.type, timestamp=public.timestamp, data=cut))


def why_failed(answer: Answer) -> str | None:
    """Why an answer does not count as delivered; None where it does."""
    if 200 <= answer.status < 300:
        return None
    if 300 <= answer.status < 400:
        return f"it answered {answer.status}; redirects are not followed"
    return f"it answered {answer.status}"


def wish_of(answer: Answer, now: datetime) -> timedelta:
    """How long an endpoint asks to be left alone; zero where it does not, or cannot be understood."""
    if answer.retry_after is None:
        return timedelta()
    text = answer.retry_after
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_WISH)
    try:
        return min(max(parse_http_date(text) - now, timedelta()), LONGEST_WISH)
    except ValueError:
        return timedelta()


def again_after(tries: int, wish: timedelta, random: Callable[[], float]) -> timedelta | None:
    """How long after its `tries`-th failure an event is tried again, never sooner than asked; None: it is given up."""
    if tries > len(DELAYS):
        return None
    return max(DELAYS[tries - 1], wish) * (1 + JITTER * random())
