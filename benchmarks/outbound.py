"""How fast messages reach an SMSC, and what a lone one waits.

    python -m benchmarks.outbound

PostgreSQL (fsync and synchronous_commit on), Valkey, two processes of `longcode serve`, one
`longcode link`, the scripted SMSC with its log, and the load generator share the machine.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import msgspec
import uvloop

from benchmarks.accept import CONNECTIONS, installation, message_request, show
from benchmarks.load import Figures, pace, saturate
from tests.processes import Longcode, Process, free_port, wait_until

QUEUED = 20_000
SECONDS = 5.0
LONE_SECONDS = 5.0
# Where little else runs, caches are cold: what comes seldom takes longest.
LONE_RATES = (20, 100)
# As an SMSC across the country has it.
ANSWER_DELAY_SECONDS = 0.1
PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Site:
    """A served product whose only carrier is a scripted SMSC."""

    port: int
    environment: dict[str, str]
    folder: Path
    smsc_port: int

    @property
    def log(self) -> Path:
        return self.folder / "smsc.log"

    def smsc(self, **script: object) -> Process:
        """The SMSC as a process, by its script."""
        root = Path(__file__).resolve().parent.parent
        command = [sys.executable, "-m", "tests.smpp.smsc", "--port", str(self.smsc_port), "--log", str(self.log)]
        environment = {"PYTHONPATH": str(root)}
        return Process([*command, "--script", json.dumps(script)], folder=self.folder, env=environment)

    def link(self) -> Longcode:
        """The process that holds the bind."""
        return Longcode("link", folder=self.folder, env=self.environment, ready=lambda: True, executable=True)

    def taken(self) -> list[float]:
        """When each message came to the SMSC, Unix seconds."""
        return read_log(self.log)

    def wait_taken(self, count: int) -> list[float]:
        """As `taken`, once there are so many."""
        return wait_log(self.log, count)


def read_log(path: Path) -> list[float]:
    """The time of each whole line of an SMSC's log."""
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [msgspec.json.decode(line)["time"] for line in whole.splitlines()]


def wait_log(path: Path, count: int) -> list[float]:
    """As `read_log`, once it has so many."""
    return wait_until(
        lambda: taken if len(taken := read_log(path)) >= count else None, PATIENCE_SECONDS, 0.1, what="the SMSC"
    )


@contextmanager
def site(*settings: str) -> Iterator[Site]:
    """A site; its SMSC and its link are not started."""
    smsc_port = free_port()
    carrier = ("smpp", "host=127.0.0.1", f"port={smsc_port}", "system_id=bench", "password=secret", *settings)
    with installation(2, *carrier) as (port, environment, folder):
        yield Site(port, environment, folder, smsc_port)


def queue(place: Site, run: str, count: int) -> int:
    """Accept messages until there are at least so many; how many there are."""
    accepted = 0
    while accepted < count:
        build = message_request(f"{run}{accepted}")
        figures = uvloop.run(saturate(place.port, build, connections=CONNECTIONS, seconds=1))
        accepted += sum(figures.statuses.values())
    return accepted


def draining() -> None:
    """A stored queue, then the link: how fast it empties."""
    with site() as place:
        count = queue(place, "q", QUEUED)
        with place.smsc(receipts=False), place.link():
            taken = sorted(place.wait_taken(count))
    print(f"draining a stored queue      {len(taken) / (taken[-1] - taken[0]):8.0f}/s   {len(taken)} messages")


def saturated(*, receipts: bool) -> None:
    """HTTP as fast as it goes, and what reaches the SMSC meanwhile."""
    with site() as place, place.smsc(receipts=receipts), place.link():
        uvloop.run(pace(place.port, message_request("warm"), rate=20, seconds=1))
        started = time.time()
        figures = uvloop.run(saturate(place.port, message_request("s"), connections=CONNECTIONS, seconds=SECONDS))
        ended = time.time()
        sent = sum(started <= taken <= ended for taken in place.taken())
    show("accepted, saturated", figures)
    print(f"at the SMSC meanwhile        {sent / (ended - started):8.0f}/s   {'with' if receipts else 'no'} receipts")


def lone() -> None:
    """From the HTTP request to the submit_sm: what a message waits that is alone, and one among others."""
    with site() as place, place.smsc(receipts=False), place.link():
        for rate in LONE_RATES:
            paced(place.port, place.log, message_request, rate)
    print(f"the same, where the SMSC answers after {1000 * ANSWER_DELAY_SECONDS:.0f} ms")
    with site() as place, place.smsc(receipts=False, answer_delay_seconds=ANSWER_DELAY_SECONDS), place.link():
        paced(place.port, place.log, message_request, LONE_RATES[0])


def paced(port: int, log: Path, request: Callable[[str], Callable[[int], bytes]], rate: int) -> None:
    """One caller, so many calls a second: what it waits for its answers, and each message for its submit_sm.

    log: the SMSC's, of messages that all came by this way. request: names a run; builds its requests.
    """
    already = len(read_log(log))
    warm: Figures = uvloop.run(pace(port, request(f"w{rate}"), rate=rate, seconds=2))
    before = len(wait_log(log, already + len(warm.sent_at)))
    figures: Figures = uvloop.run(pace(port, request(f"l{rate}"), rate=rate, seconds=LONE_SECONDS))
    taken = sorted(wait_log(log, before + len(figures.sent_at)))[before:]
    waits = [1000 * (arrival - sent) for sent, arrival in zip(figures.sent_at, taken, strict=True)]
    show(f"accept, {rate}/s, one caller", figures)
    cuts = quantiles(waits, n=100)
    print(f"request to submit_sm, {rate}/s".ljust(28) + f" p50 {cuts[49]:6.2f} ms   p99 {cuts[98]:6.2f} ms")


def throttled() -> None:
    """300 messages against an SMSC that takes 50 a second."""
    with site() as place:
        build = message_request("t")
        uvloop.run(pace(place.port, build, rate=1000, seconds=0.3))
        with place.smsc(receipts=False, per_second=50), place.link():
            taken = sorted(place.wait_taken(300))
    print(f"300 messages at 50/s         {taken[-1] - taken[0]:8.1f} s")


def reconnecting() -> None:
    """The SMSC is killed and comes back: until the next message arrives."""
    with site() as place, place.link():
        with place.smsc(receipts=False) as smsc:
            uvloop.run(pace(place.port, message_request("a"), rate=20, seconds=1))
            place.wait_taken(20)
            smsc.kill()
        uvloop.run(pace(place.port, message_request("b"), rate=20, seconds=1))
        back = time.time()
        with place.smsc(receipts=False):
            taken = sorted(place.wait_taken(40))
    print(f"back, bound and resumed in   {taken[20] - back:8.2f} s   the SMSC's own start included")


def run() -> None:
    """Print the figures."""
    draining()
    saturated(receipts=False)
    saturated(receipts=True)
    lone()
    throttled()
    reconnecting()


if __name__ == "__main__":
    run()
