"""Repeats of what a carrier delivers, told from the same words written twice, and forgotten once none can come."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from longcode import log
from longcode.carriers.smpp_deliver import Delivery
from longcode.errors import Unavailable
from longcode.smpp.text import payload_octets

# No carrier repeats on a session that it was answered on so soon.
PROMPT_SECONDS: Final = 5.0
REMEMBERED: Final = 100_000
# Longer than a message is known by its fingerprint where it is kept.
KEPT_SECONDS: Final = 2 * 3600.0
FORGET_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Seen:
    """The last message with some content. known_from: of its occurrences, the first whose fingerprint is known."""

    occurrence: int
    known_from: int
    session: object | None
    arrived_at: float
    answered_at: float | None = None
    settled: bool = False

    @property
    def prompt(self) -> bool:
        """It was answered before a carrier gives its answer up."""
        return self.answered_at is not None and self.answered_at - self.arrived_at < PROMPT_SECONDS


@dataclass(frozen=True, slots=True)
class Settled:
    """Messages with the same content whose answers have arrived, by their fingerprints."""

    content: bytes
    occurrence: int
    fingerprints: tuple[bytes, ...]


class Repeats:
    """Tells a message that the carrier repeats from one that a person sent twice.

    Both look alike on the wire. A carrier repeats what it got no answer to: the same content is new where
    the answer to the one before must have arrived, and a repeat where it may have been lost, as
    after a cut. What came before the process began is not known, and may be repeated; so those whose answers have
    arrived are told by `settled`, for their fingerprints to be forgotten, and `forgotten` says that they are.

    remembered: how many messages are. What comes again after it was pushed out is new: rather twice than lost.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: dict[bytes, _Seen] = {}
        self._first = 0
        # In the order of their answers.
        self._answered: deque[tuple[float, bytes]] = deque()

    def fingerprint(self, delivery: Delivery, session: object, now: float) -> tuple[bytes, bytes]:
        """(content, fingerprint) of a message that arrives; `answered` wants the content."""
        content = _content(delivery)
        before = self._seen.pop(content, None)
        occurrence = known_from = self._first
        if before is not None:
            occurrence, known_from = before.occurrence + self._is_new(before, session, now), before.known_from
        self._seen[content] = _Seen(occurrence, known_from, session, now)
        if len(self._seen) > self._remembered:
            pushed_out = self._seen.pop(next(iter(self._seen)))
            if now - pushed_out.arrived_at < KEPT_SECONDS:
                self._first = max(self._first, pushed_out.occurrence + 1)
        return content, _fingerprint(content, occurrence)

    def answered(self, content: bytes, now: float, *, ok: bool) -> None:
        """The answer was written; one that is not ok asks for a repeat."""
        seen = self._seen.get(content)
        if seen is None:
            return
        if ok:
            seen.answered_at = now
            self._answered.append((now, content))
        else:
            seen.session = None

    def session_ended(self, session: object, now: float, read_until: float | None = None) -> None:
        """Answers that were written long before the end have arrived; of the others nobody knows.

        read_until: the carrier has read all that was written by then.
        """
        arrived_until = max(now - PROMPT_SECONDS, read_until or 0.0)
        for seen in self._seen.values():
            if seen.session is session:
                seen.session = None
                seen.settled = seen.answered_at is not None and seen.answered_at <= arrived_until

    def settled(self, now: float = math.inf) -> list[Settled]:
        """Those whose answers have arrived since this was last asked; without a time, of sessions that have ended."""
        settled = []
        while self._answered and now - self._answered[0][0] >= PROMPT_SECONDS:
            answered_at, content = self._answered.popleft()
            seen = self._seen.get(content)
            if seen is None or seen.answered_at != answered_at or not seen.prompt:
                continue
            if seen.settled or seen.session is not None:
                known = range(seen.known_from, seen.occurrence + 1)
                prints = tuple(_fingerprint(content, occurrence) for occurrence in known)
                settled.append(Settled(content, seen.occurrence, prints))
        return settled

    def forgotten(self, settled: Sequence[Settled]) -> None:
        """The fingerprints of these are known nowhere any more."""
        for one in settled:
            seen = self._seen.get(one.content)
            if seen is None:
                continue
            if seen.occurrence == one.occurrence:
                del self._seen[one.content]
            else:
                seen.known_from = one.occurrence + 1

    def _is_new(self, before: _Seen, session: object, now: float) -> bool:
        if before.settled:
            return True
        if before.session is None:
            return False
        if before.answered_at is None:
            return before.session is session and now - before.arrived_at < PROMPT_SECONDS
        if before.session is session:
            return before.prompt
        return now - before.answered_at >= 1


def _fingerprint(content: bytes, occurrence: int) -> bytes:
    return blake2b(occurrence.to_bytes(4, "big") + content, digest_size=32).digest()


def _content(delivery: Delivery) -> bytes:
    fields: list[object] = [delivery.source_addr, delivery.destination_addr, delivery.esm_class & 0x40]
    fields += [delivery.data_coding, payload_octets(delivery)]
    fields += sorted((tlv.tag, str(tlv.value)) for tlv in delivery.tlvs)
    return blake2b(repr(fields).encode("utf-8", "backslashreplace"), digest_size=32).digest()


class Forgetting:
    """Has what is settled forgotten, batch by batch, for as long as a driver lives.

    forget: has committed when it returns; raises Unavailable.
    """

    def __init__(self, repeats: Repeats, forget: Callable[[Sequence[bytes]], Awaitable[object]]) -> None:
        self._repeats = repeats
        self._forget = forget
        self._due: list[Settled] = []
        self._task: asyncio.Task[None] | None = None
        self._log = log.get("smpp")

    def start(self) -> None:
        """Begin on the running loop."""
        self._task = asyncio.create_task(self._run(), name="smpp repeats")

    async def close(self) -> None:
        """Stop, and have forgotten what the sessions that have ended settled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._forget_these(self._repeats.settled())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FORGET_SECONDS)
            await self._forget_these(self._repeats.settled(asyncio.get_running_loop().time()))

    async def _forget_these(self, settled: Sequence[Settled]) -> None:
        """What cannot be forgotten now comes again with the next."""
        self._due += settled
        if not self._due:
            return
        try:
            await self._forget([fingerprint for one in self._due for fingerprint in one.fingerprints])
        except Unavailable as error:
            self._log.warning("settled deliveries wait to be forgotten", deliveries=len(self._due), error=str(error))
            return
        except Exception as error:
            # They are known a while longer, as after a cut.
            self._log.error("settled deliveries could not be forgotten", exc_info=error)
        else:
            self._repeats.forgotten(self._due)
        self._due = []
