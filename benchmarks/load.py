"""An HTTP load generator: keep-alive connections that each wait for their answer before the next call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Figures:
    """What a run saw. latencies_seconds: of every answer, in no order. sent_at: Unix seconds of each paced call."""

    seconds: float = 0.0
    latencies_seconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    sent_at: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies_seconds) / self.seconds

    def percentile_ms(self, share: float) -> float:
        """The latency that `share` of the answers stayed under."""
        ordered = sorted(self.latencies_seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Client(asyncio.Protocol):
    """One connection. Answers must carry Content-Length, as all of ours do."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._run.note(int(head[9:12]), time.perf_counter() - self._sent_at)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.left()

    def _send(self) -> None:
        request = self._run.next()
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]


class _Run:
    def __init__(self, build: Callable[[int], bytes], connections: int, seconds: float) -> None:
        self.figures = Figures()
        self._build = build
        self._open = connections
        self._until = time.perf_counter() + seconds
        self._number = 0
        self.done = asyncio.get_running_loop().create_future()

    def next(self) -> bytes | None:
        if time.perf_counter() >= self._until:
            return None
        self._number += 1
        return self._build(self._number)

    def note(self, status: int, seconds: float) -> None:
        self.figures.latencies_seconds.append(seconds)
        self.figures.statuses[status] = self.figures.statuses.get(status, 0) + 1

    def left(self) -> None:
        self._open -= 1
        if not self._open and not self.done.done():
            self.done.set_result(None)


async def saturate(port: int, build: Callable[[int], bytes], *, connections: int, seconds: float) -> Figures:
    """Call as fast as answers come. build: the bytes of the n-th request, from 1."""
    run = _Run(build, connections, seconds)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Client(run), "127.0.0.1", port)
    await run.done
    run.figures.seconds = time.perf_counter() - started
    return run.figures


async def pace(port: int, build: Callable[[int], bytes], *, rate: float, seconds: float) -> Figures:
    """One call after the other on one connection, `rate` a second: what a lone call costs."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    figures = Figures()
    started = time.perf_counter()
    for number in range(1, int(rate * seconds) + 1):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        sent_at = time.perf_counter()
        figures.sent_at.append(time.time())
        writer.write(build(number))
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        figures.latencies_seconds.append(time.perf_counter() - sent_at)
        status = int(head[9:12])
        figures.statuses[status] = figures.statuses.get(status, 0) + 1
    figures.seconds = time.perf_counter() - started
    writer.close()
    return figures
