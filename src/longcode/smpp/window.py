"""The requests that were sent and not answered, and the numbers that tell them apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from longcode.smpp.constants import MAX_SEQUENCE_NUMBER
from longcode.smpp.errors import SmppError
from longcode.smpp.pdu import Request, Response

Outcome = Response | SmppError
Callback = Callable[[Outcome], None]

_REMEMBERED_LATE: Final = 10_000


class Pending:
    """One request on its way. Its owner awaits `future`, or has given a `callback`."""

    __slots__ = ("callback", "deadline", "future", "metered", "place", "request", "sequence_number")

    def __init__(
        self,
        request: Request,
        callback: Callback | None,
        future: asyncio.Future[Response] | None,
        metered: bool,
    ) -> None:
        self.request = request
        self.callback = callback
        self.future = future
        self.metered = metered
        self.sequence_number = 0
        self.deadline = 0.0
        self.place = 0

    @property
    def abandoned(self) -> bool:
        """Whoever awaited it was cancelled."""
        return self.future is not None and self.future.done()

    def settle(self, outcome: Outcome) -> None:
        """Tell the owner; one who no longer waits is passed over."""
        if self.callback is not None:
            self.callback(outcome)
        elif self.future is not None and not self.future.done():
            if isinstance(outcome, SmppError):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)


class Window:
    """Outstanding requests by sequence_number, oldest first.

    size: how many metered requests may be outstanding. Binds, unbind and enquire_link are not metered: a
    full window must not silence the question whether the peer is alive.
    """

    def __init__(self, size: int, *, first_sequence_number: int = 1) -> None:
        self.size = size
        self._metered = 0
        self._last = first_sequence_number - 1
        self._outstanding: dict[int, Pending] = {}
        self._late: dict[int, Pending] = {}

    def __len__(self) -> int:
        return len(self._outstanding)

    @property
    def free_slots(self) -> int:
        """How many metered requests fit now."""
        return self.size - self._metered

    @property
    def metered(self) -> int:
        """How many metered requests are outstanding."""
        return self._metered

    def next_sequence_number(self) -> int:
        """1 to 0x7FFFFFFF, around and around, never one that an answer may still come to."""
        while True:
            self._last = self._last % MAX_SEQUENCE_NUMBER + 1
            if self._last not in self._outstanding and self._last not in self._late:
                return self._last

    def add(self, pending: Pending) -> None:
        """Hold the request until it is taken, expires or the session ends."""
        self._outstanding[pending.sequence_number] = pending
        self._metered += pending.metered

    def take(self, sequence_number: int) -> Pending | None:
        """The outstanding request that a response belongs to, removed; None when there is none."""
        pending = self._outstanding.pop(sequence_number, None)
        if pending is not None:
            self._metered -= pending.metered
        return pending

    def take_late(self, sequence_number: int) -> Pending | None:
        """The request that timed out before its response came, once."""
        return self._late.pop(sequence_number, None)

    def next_deadline(self) -> float | None:
        """When the oldest request expires, on the loop's clock."""
        for pending in self._outstanding.values():
            return pending.deadline
        return None

    def expire(self, now: float) -> Iterator[Pending]:
        """Take what is overdue, remembering it for late responses.

        All wait equally long, so the order of sending is the order of expiring.
        """
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            pending = self.take(next(iter(self._outstanding)))
            assert pending is not None
            self._late[pending.sequence_number] = pending
            if len(self._late) > _REMEMBERED_LATE:
                del self._late[next(iter(self._late))]
            yield pending

    def clear(self) -> list[Pending]:
        """Everything outstanding, removed."""
        everything = list(self._outstanding.values())
        self._outstanding.clear()
        self._late.clear()
        self._metered = 0
        return everything
