"""A customer's endpoint for benchmarks: takes webhooks as fast as they come, and knows how old each was.

    python -m benchmarks.sink --port P

POST anything: 200, but under /hang never an answer. GET /figures: what came so far, as JSON; GET /reset forgets it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from datetime import datetime

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
STAMP = b'"timestamp":"'
STAMP_BYTES = len("2026-11-22T10:00:00.123Z")


class Seen:
    """What came: (when, path, type and timestamp as octets)."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, bytes, bytes]] = []

    def figures(self) -> dict[str, object]:
        """Counts by type, when the first and the last came, and how old each was by its path."""
        ages: dict[str, list[float]] = {}
        types: Counter[str] = Counter()
        for moment, path, start in self.rows:
            found = start.find(STAMP) + len(STAMP)
            happened = datetime.fromisoformat(start[found : found + STAMP_BYTES].decode()).timestamp()
            ages.setdefault(path.decode(), []).append(moment - happened)
            types[start[9 : start.index(b'"', 9)].decode()] += 1
        times = [row[0] for row in self.rows]
        return {"types": types, "ages": ages, "first": min(times, default=0), "last": max(times, default=0)}


class Connection(asyncio.Protocol):
    """One connection; requests may come in pieces, each with its Content-Length."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            at = head.find(b"Content-Length: ")
            length = int(head[at + 16 :].partition(b"\r\n")[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._take(head.split(b" ", 2)[1], body)

    def _take(self, path: bytes, body: bytes) -> None:
        write = self._transport.write  # type: ignore[attr-defined]
        if path == b"/figures":
            figures = json.dumps(self._seen.figures()).encode()
            write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(figures), figures))
        elif path == b"/reset":
            self._seen.rows.clear()
            write(ANSWER)
        elif not path.startswith(b"/hang"):
            self._seen.rows.append((time.time(), path, body[:120]))
            write(ANSWER)


async def serve(port: int) -> None:
    """Until it is killed."""
    seen = Seen()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(seen), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
