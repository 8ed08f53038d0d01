"""The in-process runner: the background jobs of one process, on its own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from longcode import log
from longcode.errors import Unavailable

FAILURE_PAUSE_SECONDS = 1.0
# Longer than one drain of a queue takes.
CLOSE_SECONDS = 10.0

# Runs the job once; seconds until it wants to run again by itself (0.0: at once), or None.
Job = Callable[[str], Awaitable[float | None]]


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of job. period_seconds: it runs at least so often, whether kicked or not."""

    run: Job
    period_seconds: float


async def run_once(job: str, work: Work) -> float:
    """Run a job, `kind argument`, once; the seconds until it is to run again.

    The only place that catches everything, because a job must not end with its fault.
    """
    logger = log.get("runner")
    try:
        wanted = await work.run(job.partition(" ")[2])
    except Unavailable as error:
        logger.warning("job waits", job=job, error=str(error))
        return FAILURE_PAUSE_SECONDS
    except Exception as error:
        logger.error("job failed", job=job, exc_info=error)
        return FAILURE_PAUSE_SECONDS
    return work.period_seconds if wanted is None else min(wanted, work.period_seconds)


class LocalRunner:
    """Runs jobs by name: `kind argument`. Kicks of a job that has not started yet fall together.

    close_seconds: how long `close` waits for what runs.
    """

    def __init__(self, *, close_seconds: float = CLOSE_SECONDS) -> None:
        self._close_seconds = close_seconds
        self._kinds: Mapping[str, Work] = {}
        self._kicked: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running: set[str] = set()

    def start(self, kinds: Mapping[str, Work], jobs: tuple[str, ...]) -> None:
        """Run `jobs` from now on; others begin with their first kick."""
        self._kinds = kinds
        for job in (*jobs, *self._kicked):
            self.kick(job)

    def kick(self, job: str) -> None:
        """Say that a job has something to do; may be called before `start`."""
        event = self._kicked.setdefault(job, asyncio.Event())
        event.set()
        work = self._kinds.get(job.partition(" ")[0])
        if work is not None and job not in self._tasks:
            self._tasks[job] = asyncio.create_task(self._loop(job, work, event), name=job)

    async def close(self) -> None:
        """Let the jobs that run come to their end, for a while; start none any more. Later kicks are lost."""
        self._kinds = {}
        for job, task in self._tasks.items():
            if job not in self._running:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=self._close_seconds)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _loop(self, job: str, work: Work, kicked: asyncio.Event) -> None:
        while self._kinds:
            kicked.clear()
            self._running.add(job)
            pause = await run_once(job, work)
            self._running.discard(job)
            if not self._kinds:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await kicked.wait()
