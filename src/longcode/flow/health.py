"""Health: a carrier that faults again and again is left alone for a while, in all processes.

Its circuit opens after so many faults in a row, or where no process is bound to it; new messages then take
another way, if there is one. After a pause one message tries it: a good answer closes the circuit, a bad one opens
it for twice as long.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from longcode import log
from longcode.carriers.policy import BUSY, HOPELESS, Policy
from longcode.domain.clock import Clock
from longcode.errors import Unavailable
from longcode.flow import conclusion
from longcode.flow.catalog import CatalogCache
from longcode.store.carrier_status import CarrierStatusStore, ProcessStatus
from longcode.store.circuits import Circuit, CircuitStore
from longcode.store.outbox import NewOutcome

# Why a circuit opens where no answer says so.
NOT_CONNECTED: Final = "not_connected"
UNANSWERED: Final = "unanswered"
# How long every process may be without a bind: a restart, or a bind that is made anew, takes less.
UNBOUND: Final = timedelta(seconds=10)
# Attempts that are cut in one blow say nothing; a carrier that has answered nothing for so long does not work.
SILENCE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(minutes=10)
# Longer than any answer takes.
PROBE_LEASE: Final = timedelta(seconds=60)
PROBE_PAUSE_SECONDS: Final = 0.5
# Put off before the carrier was asked.
NOT_ASKED: Final = frozenset({"paced", "not_written"})


class Verdict(Enum):
    """What one answer says of the carrier. NOTHING: it was not asked, or did not answer, which alone proves nothing."""

    WORKS = "works"
    FAULT = "fault"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Room:
    """How many messages may go to a carrier now; most: None for any number. again_seconds: ask again after that."""

    most: int | None = None
    again_seconds: float | None = None


FREE: Final = Room()


class Health:
    """How carriers are doing, as one process finds out and all of them know."""

    def __init__(
        self, *, circuits: CircuitStore, status: CarrierStatusStore, catalog: CatalogCache, clock: Clock
    ) -> None:
        self._circuits = circuits
        self._status = status
        self._catalog = catalog
        self._clock = clock
        self._unbound_since: dict[int, datetime] = {}
        self._log = log.get("health")

    def watch(self, carrier_id: int) -> Watch:
        """A watch over one carrier's answers, for its lane."""
        return Watch(carrier_id, self)

    async def attend(self) -> None:
        """Open the circuits of carriers to which no process is bound, close those of carriers that are bound again."""
        catalog, now = await self._catalog.now(), self._clock()
        for carrier_id, processes in (await self._status.by_carrier()).items():
            circuit = catalog.circuits.get(carrier_id)
            if carrier_id not in catalog.carriers or not any(process.binds for process in processes):
                continue
            if _is_bound(processes, now):
                self._unbound_since.pop(carrier_id, None)
                if circuit is not None and circuit.cause == NOT_CONNECTED:
                    await self.close(carrier_id)
                continue
            since = self._unbound_since.setdefault(carrier_id, now)
            if now - since >= UNBOUND and (circuit is None or not circuit.is_open(now)):
                await self.open(carrier_id, NOT_CONNECTED)

    def circuit(self, carrier_id: int) -> Circuit | None:
        """A carrier's circuit, as this process heard of it last; None where it is closed."""
        return self._catalog.latest.circuits.get(carrier_id)

    def policy(self, carrier_id: int) -> Policy:
        """How much of a carrier's faults is borne."""
        return self._catalog.latest.policy(carrier_id)

    def now(self) -> datetime:
        """The time."""
        return self._clock()

    async def open(self, carrier_id: int, cause: str) -> None:
        """Leave a carrier alone for a pause, each time in a row for a longer one."""
        policy, circuit = self.policy(carrier_id), self.circuit(carrier_id)
        if not policy.circuit_faults:
            return
        after = 0 if circuit is None else circuit.openings
        pause = min(policy.circuit_pause * 2 ** min(after, 20), LONGEST_PAUSE)
        if await self._circuits.open(carrier_id, cause, now=self._clock(), pause=pause, after=after):
            seconds = pause.total_seconds()
            self._log.warning("a carrier is left alone", carrier_id=carrier_id, cause=cause, seconds=seconds)
        await self._catalog.now()

    async def close(self, carrier_id: int) -> None:
        """Let a carrier have everything again."""
        if await self._circuits.close(carrier_id):
            self._log.info("a carrier takes messages again", carrier_id=carrier_id)
        await self._catalog.now()

    async def take_probe(self, carrier_id: int) -> bool:
        """Whether this process is the one that tries the carrier."""
        return await self._circuits.take_probe(carrier_id, now=self._clock(), lease=PROBE_LEASE)


class Watch:
    """One lane's view of its carrier's health."""

    def __init__(self, carrier_id: int, health: Health) -> None:
        self._carrier_id = carrier_id
        self._health = health
        self._faults = 0
        self._silent_since: datetime | None = None
        self._probes_until: datetime | None = None

    async def room(self, *, busy: bool) -> Room:
        """How many messages may go now, of a carrier that is connected. busy: some are on their way."""
        circuit = self._health.circuit(self._carrier_id)
        if circuit is None:
            return FREE
        if circuit.cause == NOT_CONNECTED:
            await self._health.close(self._carrier_id)
            return FREE
        now = self._health.now()
        if circuit.is_open(now):
            return Room(0, (circuit.until - now).total_seconds())
        if busy:
            return Room(0, PROBE_PAUSE_SECONDS)
        if self._probes_until is None or self._probes_until <= now:
            if not await self._health.take_probe(self._carrier_id):
                return Room(0, PROBE_PAUSE_SECONDS)
            self._probes_until = now + PROBE_LEASE
        return Room(1)

    async def note(self, outcomes: Sequence[NewOutcome]) -> None:
        """Learn from answers that are on record. What cannot be told to the others now is told with the next."""
        policy, circuit = self._health.policy(self._carrier_id), self._health.circuit(self._carrier_id)
        verdicts = [(self._verdict(outcome, policy, tried=circuit is not None), outcome) for outcome in outcomes]
        for verdict, outcome in verdicts:
            if verdict is Verdict.WORKS:
                self._faults, self._silent_since = 0, None
            elif verdict is Verdict.FAULT:
                # What is hopeless for one is hopeless for the next.
                self._faults = max(self._faults + 1, policy.circuit_faults if outcome.code in HOPELESS else 0)
        faults = [outcome.code or UNANSWERED for verdict, outcome in verdicts if verdict is Verdict.FAULT]
        with contextlib.suppress(Unavailable):
            if circuit is not None and not self._faults and any(verdict is Verdict.WORKS for verdict, _ in verdicts):
                self._probes_until = None
                await self._health.close(self._carrier_id)
            elif faults and self._faults and self._opens(policy, circuit):
                self._probes_until = None
                await self._health.open(self._carrier_id, faults[-1])

    def _opens(self, policy: Policy, circuit: Circuit | None) -> bool:
        if circuit is None:
            return 0 < policy.circuit_faults <= self._faults
        return not circuit.is_open(self._health.now())  # what was on its way when it opened says nothing new

    def _verdict(self, outcome: NewOutcome, policy: Policy, *, tried: bool) -> Verdict:
        match outcome.kind:
            case "accepted":
                return Verdict.WORKS
            case "rejected":
                return Verdict.FAULT if policy.is_fault(outcome.code or "") else Verdict.WORKS
            case "deferred" if outcome.code in NOT_ASKED:
                return Verdict.NOTHING
            case conclusion.UNWRITTEN:
                return Verdict.NOTHING
            case "deferred":
                return Verdict.WORKS if outcome.code in BUSY else Verdict.FAULT
        now = self._health.now()
        self._silent_since = self._silent_since or now
        return Verdict.FAULT if tried or now - self._silent_since >= SILENCE else Verdict.NOTHING


def _is_bound(processes: Sequence[ProcessStatus], now: datetime) -> bool:
    """Whether some process has a bind by which it can send."""
    return any(
        bind.get("state") == "bound" and not str(bind.get("name")).startswith("receiver")
        for process in processes
        if not process.is_stale(now)
        for bind in process.binds
    )
