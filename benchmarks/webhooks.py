"""How fast messages go from the request to the last webhook, and what an endpoint that hangs costs the others.

    python -m benchmarks.webhooks

PostgreSQL (fsync and synchronous_commit on), Valkey, two processes of `longcode serve`, one `longcode worker`, one
`longcode link`, the scripted SMSC with receipts, the sink and the load generator share the machine.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.accept import CONNECTIONS, message_request, show
from benchmarks.load import Figures, pace, saturate
from benchmarks.outbound import Site, site
from longcode.bootstrap import Product, running
from longcode.domain.events import EventType
from longcode.flow.identity import hash_key, hash_secret, new_key
from longcode.settings import load
from longcode.vault import Vault
from longcode.webhooks.signing import new_secret
from tests.processes import Longcode, Process, free_port, wait_until

SECONDS = 5.0
PATIENCE_SECONDS = 120
ENDPOINTS = 100
LONE_RATE = 200.0
ROUNDS = 3
FINAL = (EventType.MESSAGE_DELIVERED, EventType.MESSAGE_UNDELIVERED, EventType.MESSAGE_FAILED)


@dataclass(frozen=True, slots=True)
class Sink:
    """The endpoint, as a process."""

    port: int
    process: Process

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def ask(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url(path), timeout=30) as reply:
            found: bytes = reply.read()
            return found

    def figures(self) -> Any:
        """As the sink's own page has it."""
        return json.loads(self.ask("figures"))

    def wait(self, type_: EventType, count: int) -> Any:
        """The figures, once so many events of a type came."""

        def enough() -> Any:
            found = self.figures()
            return found if found["types"].get(type_.value, 0) >= count else None

        return wait_until(enough, PATIENCE_SECONDS, 0.5, what=f"{count} webhooks")


@contextmanager
def sink(folder: Path) -> Iterator[Sink]:
    """A running sink."""
    port = free_port()
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "benchmarks.sink", "--port", str(port)]
    with Process(command, folder=folder / "sink", env={"PYTHONPATH": str(root)}) as process:
        opened = Sink(port, process)
        wait_until(lambda: _answers(opened), 10)
        yield opened


def _answers(opened: Sink) -> bool:
    try:
        return bool(opened.ask("reset") == b"")
    except OSError:
        return False


def set_up(place: Site, act: Callable[[Product], Any]) -> Any:
    """Do something in the product that runs."""

    async def inner() -> Any:
        async with running(load(place.environment)) as product:
            return await act(product)

    return uvloop.run(inner())


async def subscribe(product: Product, account_id: int, url: str, types: Sequence[EventType]) -> int:
    """An endpoint's id."""
    secret = Vault.open(product.settings).seal(new_secret())
    return await product.webhooks.add(account_id, url, types, secret=secret, allow_private=True)


@contextmanager
def worker(place: Site) -> Iterator[None]:
    """The process that delivers."""
    with Longcode("worker", folder=place.folder / "worker", env=place.environment, ready=lambda: True):
        yield


def held(name: str, types: Sequence[EventType]) -> None:
    """Accept as fast as it goes, then wait for the last webhook: messages a second, end to end."""
    with site() as place, sink(place.folder) as end, place.smsc(receipts=True), place.link(), worker(place):

        async def prepare(product: Product) -> None:
            account = await product.accounts.by_name("bench")
            await subscribe(product, account.id, end.url("all"), types)

        set_up(place, prepare)
        uvloop.run(pace(place.port, message_request("warm"), rate=20, seconds=2))
        end.wait(EventType.MESSAGE_DELIVERED, 40)
        end.ask("reset")
        started = time.time()
        figures = uvloop.run(saturate(place.port, message_request("w"), connections=CONNECTIONS, seconds=SECONDS))
        count = sum(figures.statuses.values())
        found = end.wait(EventType.MESSAGE_DELIVERED, count)
    show("accepted, saturated", figures)
    webhooks = sum(found["types"].values())
    seconds = found["last"] - started
    print(f"{name:<28} {count / seconds:8.0f}/s   {count} messages, {webhooks} webhooks in {seconds:.1f} s")


def account_request(keys: Sequence[str], run: str) -> Callable[[int], bytes]:
    """Builds the n-th request of a run: by one account after the other."""

    def build(number: int) -> bytes:
        body = b'{"sender_id":"MyCorp","recipient":"4477009%05d","text":"Your code is %06d"}' % (number, number)
        return (
            b"POST /api/messages/ HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
            b"Idempotency-Key: send_msg:%s-%d\r\nContent-Length: %d\r\n\r\n%s"
            % (keys[number % len(keys)].encode(), run.encode(), number, len(body), body)
        )

    return build


def one_hangs() -> None:
    """A hundred endpoints at a steady rate, all well and one hanging by turns: how old events are when they arrive."""
    with site() as place, sink(place.folder) as end, place.smsc(receipts=True), place.link(), worker(place):
        keys: list[str] = []
        first: list[int] = []

        async def prepare(product: Product) -> None:
            for number in range(ENDPOINTS):
                account = await product.accounts.create(f"customer-{number}", hash_secret("unused"))
                await product.accounts.add_sender_id(account.id, "MyCorp")
                keys.append(new_key())
                await product.accounts.add_key(account.id, hash_key(keys[-1]), "")
                if number:
                    await subscribe(product, account.id, end.url(f"e{number}"), tuple(EventType))
                else:
                    first.append(account.id)

        set_up(place, prepare)
        ages: dict[str, list[float]] = {"e0": [], "hang": []}
        for number in range(-1, 2 * ROUNDS):
            path = "hang" if number % 2 else "e0"
            endpoint_id = set_up(place, lambda product, p=path: subscribe(product, first[0], end.url(p), EventType))
            end.ask("reset")
            build = account_request(keys, f"r{number}")
            figures: Figures = uvloop.run(pace(place.port, build, rate=LONE_RATE, seconds=SECONDS))
            sent = len(figures.latencies_seconds)
            found = end.wait(EventType.MESSAGE_DELIVERED, sent - (sent // ENDPOINTS if path == "hang" else 0))
            if number >= 0:
                others = sorted(age for where, of in found["ages"].items() if where != "/e0" for age in of)
                ages[path].append(1000 * others[int(0.95 * len(others))])
            set_up(place, lambda product, e=endpoint_id: product.webhooks.remove(e))
    for name, path in (("all endpoints well", "e0"), ("one of them hangs", "hang")):
        found = ", ".join(f"{age:.1f}" for age in ages[path])
        print(f"{name:<28} p95 {sum(ages[path]) / len(ages[path]):6.1f} ms   rounds {found}")


def run() -> None:
    """Print the figures."""
    held("the end of each, held", FINAL)
    held("every step of each, held", tuple(EventType))
    one_hangs()


if __name__ == "__main__":
    run()
