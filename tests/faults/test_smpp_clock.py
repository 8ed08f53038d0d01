"""A wall clock that jumps an hour in the middle of 2,000 messages: each ends once, and none is sent twice.

The clock of the machine on which serve and link run, of the one on which PostgreSQL runs, and both at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.faults.smpp_installation import Installation, open_installation
from tests.faults.smpp_traffic import DELIVERED, Receipts, Traffic
from tests.faults.wrong_clock import HOUR, SERVER, WrongClock
from tests.smpp.smsc import Script

MESSAGES = 2000
# So slow that a full window is in flight whenever a clock jumps.
SLOW = Script(answer_delay_seconds=0.1)


@dataclass(frozen=True, slots=True)
class Clocks:
    """An installation whose clocks can be set. The processes of Longcode share one machine."""

    installation: Installation
    machine: WrongClock

    async def jump(self, case: ClockCase, ahead: float) -> None:
        """Set the clocks of a case so many seconds ahead."""
        if case.machine:
            self.machine.set(ahead)
        if case.database:
            await self.installation.ask("UPDATE wrong.clock SET ahead = $1", ahead)


@dataclass(frozen=True, slots=True)
class ClockCase:
    """Which clocks jump."""

    name: str
    machine: bool
    database: bool


CASES = (
    ClockCase("of serve and link", machine=True, database=False),
    ClockCase("of the database", machine=False, database=True),
    ClockCase("of all", machine=True, database=True),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clocks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clocks]:
    folder = tmp_path_factory.mktemp("clocks")
    machine = WrongClock(folder / "clock")
    async with open_installation(folder, longcode=machine.longcode, prepare=SERVER) as installation:
        yield Clocks(installation, machine)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_hour_forward_and_back_and_forward(clocks: Clocks, case: ClockCase) -> None:
    traffic = Traffic(clocks.installation, MESSAGES)
    async with traffic.sending(SLOW):
        await traffic.taken(400)
        await clocks.jump(case, HOUR)
        await traffic.taken(800)
        await clocks.jump(case, 0.0)
        await traffic.accepted(1600)
        # What was queued in that hour waits until it is over.
        await clocks.jump(case, HOUR)
    assert await traffic.ends(receipts=Receipts.SENT) == {DELIVERED: MESSAGES}
    await clocks.jump(case, 0.0)
