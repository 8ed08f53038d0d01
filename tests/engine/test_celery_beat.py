"""Beat kicks every job on its period, whatever the broker does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from longcode.engine.broker import celery_app
from longcode.engine.celery_beat import Periods
from longcode.errors import StorageDown
from tests.processes import free_port

OFTEN, SELDOM = "carriers", "sweep"


class Bench:
    """A broker that counts; down: how many kicks fail."""

    def __init__(self, down: int = 0) -> None:
        self.kicked: Counter[str] = Counter()
        self.saw: list[str] = []
        self.down = down

    def kick(self, job: str) -> None:
        self.kicked[job] += 1
        if self.kicked.total() <= self.down:
            raise StorageDown("away")

    def see(self, process: str) -> None:
        self.saw.append(process)


def ticked(bench: Bench, until: Callable[[], bool]) -> None:
    """Tick as fast as it goes; the broker's address is nobody's, so that only the bench is talked to."""
    app = celery_app(f"redis://127.0.0.1:{free_port()}/0")
    app.conf.beat_schedule = {
        OFTEN: {"task": "longcode.run", "schedule": 0.002, "args": (OFTEN,)},
        SELDOM: {"task": "longcode.run", "schedule": 0.01, "args": (SELDOM,)},
    }
    periods = Periods(bench, app, max_interval=0.5)
    for _ in range(1_000_000):
        if until():
            break
        periods.tick()
    app.close()


def test_every_job_is_kicked_on_its_period() -> None:
    bench = Bench()
    ticked(bench, lambda: bench.kicked[SELDOM] >= 3)
    assert bench.kicked[SELDOM] == 3
    assert bench.kicked[OFTEN] > 3, "a short period comes oftener"
    assert bench.saw == ["beat"], "it says that it lives every few seconds, not with every kick"


def test_a_broker_that_is_away_is_tried_again_on_the_next_period() -> None:
    bench = Bench(down=5)
    ticked(bench, lambda: bool(bench.saw))
    assert bench.kicked.total() > 5
