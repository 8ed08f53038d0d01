"""What a session is about to write: one write a turn of the loop, and none while the transport is full."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Outbox:
    """Gathers octets and hands them to the transport together.

    on_flush: called after each attempt to write, so that the owner can look at `waiting` again.
    """

    __slots__ = ("_added", "_due", "_loop", "_on_flush", "_parts", "_paused", "_transport", "_written")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, on_flush: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._on_flush = on_flush
        self._parts: list[bytes] = []
        self._added = 0
        self._written = 0
        self._due = False
        self._paused = False

    @property
    def paused(self) -> bool:
        """The transport has as much as it wants."""
        return self._paused

    @property
    def waiting(self) -> int:
        """How many PDUs wait because the transport is full."""
        return len(self._parts) if self._paused else 0

    def add(self, data: bytes) -> int:
        """Have `data` written at the end of this turn; its place in the order of writing, from 1."""
        self._parts.append(data)
        self._added += 1
        if not self._due:
            self._due = True
            self._loop.call_soon(self.flush)
        return self._added

    def is_written(self, place: int) -> bool:
        """Whether that place was handed to the transport; if not, it never left."""
        return place <= self._written

    def pause(self) -> None:
        """Keep everything until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Write what was kept."""
        self._paused = False
        self.flush()

    def flush(self) -> None:
        """Write now what may be written."""
        self._due = False
        if self._parts and not self._paused and not self._transport.is_closing():
            data = b"".join(self._parts)
            self._parts.clear()
            self._written = self._added
            self._transport.write(data)
        self._on_flush()

    def drop(self) -> None:
        """Forget what was not written."""
        self._parts.clear()
