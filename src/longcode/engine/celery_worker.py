"""`longcode worker`: Celery's worker, whose processes run the background jobs.

Each of its processes has one event loop in a thread, with one Product, for as long as it lives: what a job handed
over goes on between the tasks. A task runs one job on that loop and waits for its end.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

import click
import uvloop
from celery import Celery, signals
from celery.app import trace
from celery.worker import WorkController, state
from celery.worker.consumer import Consumer

from longcode import log
from longcode.bootstrap import running
from longcode.engine.broker import RUNNING_SECONDS, TASK, Broker, celery_app, needed_url
from longcode.engine.jobs import WORKER_DRIVERS, Jobs
from longcode.engine.kicks import forwarding
from longcode.engine.local import run_once
from longcode.errors import StorageDown
from longcode.flow.jobs import Kick
from longcode.settings import Settings

KEEP_SECONDS: Final = RUNNING_SECONDS / 3
# A broker that comes back is found within so long.
RETRY_SECONDS: Final = 2.0
START_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 20.0


def run_worker(settings: Settings, *, concurrency: int) -> int:
    """Run jobs until SIGTERM or SIGINT, then drain; the exit status. Raises ConfigurationError."""
    url = needed_url(settings)
    app = celery_app(url)
    app.conf.update(worker_proc_alive_timeout=START_SECONDS, worker_consumer=f"{__name__}:PatientConsumer")
    life = _Life(settings, url)

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def run(job: str) -> None:
        life.run(job)

    def begin(**_: Any) -> None:
        # Who ends all processes at once, as systemd does, means the first one, which then ends the others.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        life.begin()

    def end(**_: Any) -> None:
        life.end()

    signals.setup_logging.connect(_leave_logging_alone)
    signals.worker_process_init.connect(begin, weak=False)
    signals.worker_process_shutdown.connect(end, weak=False)
    worker = _Worker(
        app=app,
        pool="prefork",
        concurrency=concurrency,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


class PatientConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, with pauses between its tries to connect that do not grow."""

    def ensure_connected(self, conn: Any) -> Any:
        """The connection, as soon as the broker answers."""
        logger = log.get("worker")

        def failed(error: BaseException, _interval: float) -> None:
            logger.warning("the broker is away", error=str(error))

        return conn.ensure_connection(
            failed,
            interval_start=RETRY_SECONDS,
            interval_step=0.0,
            interval_max=RETRY_SECONDS,
            callback=state.maybe_shutdown,
        )


class _Worker(WorkController):  # type: ignore[misc]
    """Celery's worker with our signals, and without its banner and its warnings about root."""

    app: Celery

    def on_before_init(self, **_: Any) -> None:
        trace.setup_worker_optimizations(self.app, self.hostname)

    def on_start(self) -> None:
        super().on_start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)

    def on_consumer_ready(self, _consumer: Any) -> None:
        click.echo("Longcode works", err=True)


def _stop(_number: int, _frame: object) -> None:
    state.should_stop = 0


def _leave_logging_alone(**_: Any) -> None:
    """Celery sets up none where somebody listens to this signal."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the loop of a process has built."""

    loop: asyncio.AbstractEventLoop
    ended: asyncio.Event
    jobs: Jobs
    kick: Kick


class _Life:
    """The loop of one process and what lives on it. Nothing is made before `begin`, which comes after the fork."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._url = url
        self._log = log.get("worker")

    def begin(self) -> None:
        """Start the loop; it builds what it needs meanwhile."""
        self._standing: Future[_Standing] = Future()
        self._broker = Broker(self._url)
        self._thread = threading.Thread(target=self._live, name="loop", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let what is in flight come to its end, and record it."""
        standing = self._standing.result()
        standing.loop.call_soon_threadsafe(standing.ended.set)
        self._thread.join(CLOSE_SECONDS)

    def run(self, job: str) -> None:
        """Run a job once, and say when it is to run again."""
        standing = self._standing.result(START_SECONDS)
        work = standing.jobs.kinds.get(job.partition(" ")[0])
        if work is None:
            self._log.warning("there is no such job", job=job)
            return
        self._tell(lambda: self._broker.begin(job))
        future = asyncio.run_coroutine_threadsafe(run_once(job, work), standing.loop)
        pause = self._wait(job, future)
        self._tell(lambda: self._broker.end(job, more=pause == 0.0))
        if 0.0 < pause < work.period_seconds:
            standing.loop.call_soon_threadsafe(standing.loop.call_later, pause, standing.kick, job)

    def _wait(self, job: str, future: Future[float]) -> float:
        while True:
            try:
                return future.result(KEEP_SECONDS)
            except TimeoutError:
                self._tell(lambda: self._broker.keep(job))

    def _tell(self, tell: Callable[[], None]) -> None:
        """Change a flag. Without the broker none matters: no kick comes in either."""
        try:
            tell()
        except StorageDown as error:
            self._log.warning("the broker is away", error=str(error))

    def _live(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._stand())
        except BaseException as error:
            if self._standing.done():
                raise
            self._standing.set_exception(error)

    async def _stand(self) -> None:
        async with (
            forwarding(self._settings) as forward,
            running(self._settings, kick=forward.kick, offer=forward.offer) as product,
        ):
            forward.know(product.catalog)
            jobs = Jobs(product, forward.kick, drivers=WORKER_DRIVERS)
            ended = asyncio.Event()
            self._standing.set_result(_Standing(asyncio.get_running_loop(), ended, jobs, forward.kick))
            await ended.wait()
            jobs.stop()
            await jobs.close()
