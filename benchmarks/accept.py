"""How many calls a second are accepted, each durable in PostgreSQL before its answer.

    python -m benchmarks.accept [--seconds N] [--workers N]

PostgreSQL (fsync and synchronous_commit on), Valkey, `longcode serve` and the load generator share
the machine. Every call is a POST /api/messages/ with an idempotency key of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from benchmarks.load import Figures, pace, saturate
from tests.processes import Longcode, free_port, run_cli
from tests.services.postgresql import postgresql
from tests.services.valkey import valkey

CONNECTIONS = 64
SECRET = "benchmark"
CREDENTIALS = base64.b64encode(f"bench:{SECRET}".encode()).decode()


def message_request(run: str) -> Callable[[int], bytes]:
    """Builds the n-th request of a run: a new message by the dialect with receipts."""

    def build(number: int) -> bytes:
        body = b'{"sender_id":"MyCorp","recipient":"4477009%05d","text":"Your code is %06d"}' % (
            number % 100000,
            number,
        )
        return (
            b"POST /api/messages/ HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic %s\r\n"
            b"Idempotency-Key: send_msg:%s-%d\r\nContent-Length: %d\r\n\r\n%s"
            % (CREDENTIALS.encode(), run.encode(), number, len(body), body)
        )

    return build


@contextmanager
def installation(workers: int, *carrier: str) -> Iterator[tuple[int, dict[str, str], Path]]:
    """A served product on services of its own: (port, environment, folder).

    carrier: driver and settings of its only carrier; the simulator where there are none.
    """
    with tempfile.TemporaryDirectory() as name, postgresql() as database, valkey({"appendfsync": "everysec"}) as state:
        folder = Path(name)
        url = asyncio.run(database.create_database("bench"))
        environment = {
            "LONGCODE_DATABASE_URL": url,
            "LONGCODE_REDIS_URL": state.url,
            "LONGCODE_DATA": name,
        }
        for command in (
            ("migrate",),
            ("account", "create", "bench", "--secret", SECRET),
            ("sender", "add", "MyCorp", "--account", "bench"),
            ("carrier", "add", "only", "--driver", *(carrier or ("simulator",))),
            ("route", "add", "--carrier", "only"),
        ):
            run_cli(*command, env=environment, folder=folder, executable=True)
        port = free_port()
        serve = Longcode("serve", "--workers", str(workers), folder=folder, port=port, env=environment, executable=True)
        with serve:
            yield port, environment, folder


def show(name: str, figures: Figures) -> None:
    """One line."""
    print(
        f"{name:<28} {figures.rate:8.0f}/s   p50 {figures.percentile_ms(0.5):6.2f} ms   "
        f"p99 {figures.percentile_ms(0.99):6.2f} ms   {figures.statuses}"
    )


def run(*, seconds: float = 5.0, workers: int = 2, rounds: int = 3) -> None:
    """Print the figures."""
    with installation(workers) as (port, _, _):
        lone = uvloop.run(pace(port, message_request("lone"), rate=20, seconds=3))
        show("accept, 20/s, one caller", lone)
        for number in range(rounds):
            figures = uvloop.run(
                saturate(port, message_request(f"r{number}"), connections=CONNECTIONS, seconds=seconds)
            )
            show(f"accept, {CONNECTIONS} connections", figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    run(seconds=given.seconds, workers=given.workers)
