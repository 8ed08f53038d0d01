"""The in-process runner: kicks fall together, periods hold, faults end nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from longcode.engine.local import LocalRunner, Work
from longcode.errors import StorageDown

LONG_SECONDS = 3600.0
PATIENCE_SECONDS = 30


class Bench:
    """One kind of job that waits where a test wants it to."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.wants: float | None = None
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self._ran = asyncio.Condition()

    async def run(self, argument: str) -> float | None:
        async with self._ran:
            self.runs.append(argument)
            self._ran.notify_all()
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return self.wants

    async def until_ran(self, times: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self._ran:
            await self._ran.wait_for(lambda: len(self.runs) >= times)


@pytest.fixture
async def runner() -> AsyncIterator[LocalRunner]:
    opened = LocalRunner()
    yield opened
    await opened.close()


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_job_that_is_named_at_the_start_runs_at_once(runner: LocalRunner, bench: Bench) -> None:
    runner.start({"sweep": Work(bench.run, LONG_SECONDS)}, ("sweep",))
    await bench.until_ran(1)
    assert bench.runs == [""]


async def test_a_job_that_nobody_named_begins_with_its_first_kick(runner: LocalRunner, bench: Bench) -> None:
    runner.start({"dispatch": Work(bench.run, LONG_SECONDS)}, ())
    await settle()
    assert bench.runs == []
    runner.kick("dispatch 7")
    runner.kick("dispatch 8")
    await bench.until_ran(2)
    assert bench.runs == ["7", "8"]


async def test_a_kick_before_the_start_is_kept(runner: LocalRunner, bench: Bench) -> None:
    runner.kick("dispatch 7")
    runner.kick("dispatch 7")
    await settle()
    runner.start({"dispatch": Work(bench.run, LONG_SECONDS)}, ())
    await bench.until_ran(1)
    await settle()
    assert bench.runs == ["7"]


async def test_kicks_during_a_run_fall_together_into_one_more(runner: LocalRunner, bench: Bench) -> None:
    bench.gate.clear()
    runner.start({"dispatch": Work(bench.run, LONG_SECONDS)}, ("dispatch 7",))
    await bench.until_ran(1)
    for _ in range(5):
        runner.kick("dispatch 7")
    bench.gate.set()
    await bench.until_ran(2)
    await settle()
    assert bench.runs == ["7", "7"]


async def test_an_idle_job_runs_again_when_it_is_kicked(runner: LocalRunner, bench: Bench) -> None:
    runner.start({"dispatch": Work(bench.run, LONG_SECONDS)}, ("dispatch 7",))
    await bench.until_ran(1)
    await settle()
    runner.kick("dispatch 7")
    await bench.until_ran(2)


async def test_a_job_runs_on_its_period_without_a_kick(runner: LocalRunner, bench: Bench) -> None:
    runner.start({"sweep": Work(bench.run, 0.001)}, ("sweep",))
    await bench.until_ran(3)


async def test_a_job_that_wants_to_run_at_once_does(runner: LocalRunner, bench: Bench) -> None:
    bench.wants = 0.0
    runner.start({"sweep": Work(bench.run, LONG_SECONDS)}, ("sweep",))
    await bench.until_ran(3)


async def test_no_job_puts_its_period_off(runner: LocalRunner, bench: Bench) -> None:
    bench.wants = LONG_SECONDS
    runner.start({"sweep": Work(bench.run, 0.001)}, ("sweep",))
    await bench.until_ran(3)


@pytest.mark.parametrize("fault", [StorageDown("away"), RuntimeError("broken")], ids=["a passing fault", "a bug"])
async def test_a_job_that_raises_goes_on(runner: LocalRunner, bench: Bench, fault: Exception) -> None:
    bench.fault = fault
    runner.start({"sweep": Work(bench.run, LONG_SECONDS)}, ("sweep",))
    await bench.until_ran(1)
    await settle()
    assert bench.runs == [""]  # not in a circle
    runner.kick("sweep")
    await bench.until_ran(2)
    bench.fault = None
    runner.kick("sweep")
    await bench.until_ran(3)


async def test_a_job_that_raises_disturbs_no_other(runner: LocalRunner, bench: Bench) -> None:
    other = Bench()
    bench.fault = RuntimeError("broken")
    runner.start({"a": Work(bench.run, LONG_SECONDS), "b": Work(other.run, 0.001)}, ("a", "b"))
    await other.until_ran(3)


async def test_a_kind_that_is_not_known_is_ignored(runner: LocalRunner, bench: Bench) -> None:
    runner.start({"sweep": Work(bench.run, LONG_SECONDS)}, ())
    runner.kick("unknown 7")
    await settle()
    assert bench.runs == []


async def test_close_lets_what_runs_come_to_its_end(runner: LocalRunner, bench: Bench) -> None:
    bench.gate.clear()
    runner.start({"dispatch": Work(bench.run, LONG_SECONDS)}, ("dispatch 7",))
    await bench.until_ran(1)
    closing = asyncio.create_task(runner.close())
    await settle()
    assert not closing.done()
    bench.gate.set()
    await closing
    assert bench.runs == ["7"]


async def test_close_cuts_what_does_not_end_and_nothing_begins_after(bench: Bench) -> None:
    runner = LocalRunner(close_seconds=0)
    bench.gate.clear()
    runner.start({"dispatch": Work(bench.run, LONG_SECONDS)}, ("dispatch 7",))
    await bench.until_ran(1)
    await runner.close()
    runner.kick("dispatch 7")
    runner.kick("dispatch 8")
    await settle()
    assert bench.runs == ["7"]


async def test_a_runner_that_was_never_started_closes(runner: LocalRunner) -> None:
    runner.kick("dispatch 7")
    await runner.close()
