"""`longcode beat`: Celery's beat, which kicks every job on its period: the safety net of the workers.

Any number may run: kicks of one job fall together.
"""

from __future__ import annotations

import signal
import time
from functools import partial
from typing import Any, Final

import click
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler, Service
from celery.schedules import schedstate

from longcode import log
from longcode.engine.broker import TASK, Broker, celery_app, needed_url
from longcode.errors import StorageDown
from longcode.flow.jobs import PERIOD_SECONDS, STANDING
from longcode.settings import Settings

SEEN_SECONDS: Final = 5.0
# How long a signal may wait.
LONGEST_SLEEP_SECONDS: Final = 0.5


def run_beat(settings: Settings) -> None:
    """Kick until SIGTERM or SIGINT. Raises ConfigurationError."""
    url = needed_url(settings)
    app = celery_app(url)
    app.conf.beat_schedule = {job: {"task": TASK, "schedule": PERIOD_SECONDS[job], "args": (job,)} for job in STANDING}
    broker = Broker(url, app)
    service = Service(app, max_interval=LONGEST_SLEEP_SECONDS, scheduler_cls=partial(Periods, broker))

    def stop(_number: int, _frame: object) -> None:
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    click.echo("Longcode keeps time", err=True)
    service.start()
    broker.close()


class Periods(Scheduler):  # type: ignore[misc]
    """A schedule in memory, on a clock that never jumps."""

    # Celery would connect for each entry, and wait.
    producer = None

    def __init__(self, broker: Broker, app: Celery, **options: Any) -> None:
        self._broker = broker
        self._seen_at = -SEEN_SECONDS
        self._down = False
        self._log = log.get("beat")
        super().__init__(app, **options)

    def apply_entry(self, entry: ScheduleEntry, producer: object = None) -> None:
        """Kick the entry's job; without the broker, that it returns is told by its next time."""
        now = time.monotonic()
        try:
            self._broker.kick(entry.args[0])
            if now - self._seen_at >= SEEN_SECONDS:
                self._broker.see("beat")
                self._seen_at = now
            self._down = False
        except StorageDown as error:
            if not self._down:
                self._log.warning("kicks are lost", error=str(error))
            self._down = True

    def is_due(self, entry: ScheduleEntry) -> schedstate:
        """Its place among the others says that it is; the seconds until the next time."""
        return schedstate(True, entry.schedule.run_every.total_seconds())

    def _when(self, entry: ScheduleEntry, next_time_to_run: float, **_: object) -> float:
        return time.monotonic() + (next_time_to_run or 0.0)
