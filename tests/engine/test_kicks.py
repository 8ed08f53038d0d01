"""Kicks leave for the right processes, and nobody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from longcode.carriers import registry
from longcode.engine.kicks import BrokerKicks, Forward
from longcode.errors import StorageDown
from longcode.flow.catalog import Catalog
from longcode.flow.jobs import SWEEP, dispatch_job
from longcode.store.catalog import CarrierRow
from tests.processes import wait_until


class Bench:
    """A broker that waits where a test wants it to."""

    def __init__(self) -> None:
        self.kicked: list[str] = []
        self.down = False
        self.gate = threading.Event()
        self.gate.set()

    def kick(self, job: str) -> None:
        self.gate.wait(30.0)
        self.kicked.append(job)
        if self.down:
            raise StorageDown("away")


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def kicks(bench: Bench) -> Iterator[BrokerKicks]:
    opened = BrokerKicks(bench)
    opened.start()
    yield opened
    bench.gate.set()
    opened.close()


def test_a_kick_is_published(bench: Bench, kicks: BrokerKicks) -> None:
    kicks.kick("sweep")
    wait_until(lambda: bench.kicked == ["sweep"], what="the kick")


def test_kicks_that_are_not_out_yet_fall_together(bench: Bench, kicks: BrokerKicks) -> None:
    bench.gate.clear()
    kicks.kick("first")
    for _ in range(1000):
        kicks.kick("dispatch 7")
    bench.gate.set()
    kicks.close()
    assert set(bench.kicked) == {"first", "dispatch 7"}
    assert len(bench.kicked) <= 3


def test_a_broker_that_is_down_costs_kicks_and_nothing_else(bench: Bench, kicks: BrokerKicks) -> None:
    bench.down = True
    kicks.kick("lost")
    wait_until(lambda: bench.kicked == ["lost"], what="the first try")
    bench.down = False
    kicks.kick("later")
    wait_until(lambda: bench.kicked == ["lost", "later"], what="the kick after it")


def test_what_waits_at_the_end_is_published(bench: Bench, kicks: BrokerKicks) -> None:
    kicks.kick("last")
    kicks.close()
    assert bench.kicked == ["last"]


@dataclass
class Known:
    """A catalogue with one carrier of each kind."""

    latest: Catalog


@dataclass
class Ways:
    links: list[str] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)


def test_each_kick_goes_where_its_job_runs() -> None:
    rows = {
        number: CarrierRow(id=number, name=kind, driver=kind, settings={}, paused=False)
        for number, kind in enumerate((registry.SMPP, registry.SIMULATOR), start=1)
    }
    ways = Ways()
    forward = Forward(links=ways.links.append, workers=ways.workers.append)
    forward.know(Known(Catalog(1, rows)))
    for job in (dispatch_job(1), dispatch_job(2), dispatch_job(3), SWEEP):
        forward.kick(job)
    assert ways.links == [dispatch_job(1)]
    assert ways.workers == [dispatch_job(2), dispatch_job(3), SWEEP], "a carrier that is not known yet is a worker's"


def test_an_offer_goes_to_links_and_is_a_kick_for_workers() -> None:
    rows = {
        number: CarrierRow(id=number, name=kind, driver=kind, settings={}, paused=False)
        for number, kind in enumerate((registry.SMPP, registry.SIMULATOR), start=1)
    }
    ways, offers = Ways(), []
    forward = Forward(
        links=ways.links.append, workers=ways.workers.append, offers=lambda carrier_id, fresh: offers.append(carrier_id)
    )
    forward.know(Known(Catalog(1, rows)))
    for carrier_id in (1, 2):
        forward.offer(carrier_id, [])
    assert (offers, ways.links, ways.workers) == ([1], [], [dispatch_job(2)])
