"""Kicks between processes: to workers through the broker, to links through Redis."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from longcode import log
from longcode.bootstrap import ignore_kick
from longcode.engine.broker import Broker, url_of
from longcode.engine.jobs import LINK_DRIVERS
from longcode.engine.wake import Wakes, background
from longcode.errors import StorageDown
from longcode.flow.catalog import CatalogCache
from longcode.flow.jobs import DISPATCH, Fresh, Kick, Offer, dispatch_job, kicking
from longcode.settings import Settings

PAUSE_SECONDS = 1.0
CLOSE_SECONDS = 2.0


class BrokerKicks:
    """Publishes kicks from a thread of its own, so that nobody waits for the broker.

    Kicks of one job that are not out yet fall together. What cannot be published is dropped.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._waiting: set[str] = set()
        self._ending = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._publish, name="kicks", daemon=True)
        self._log = log.get("kicks")

    def start(self) -> None:
        """Publish from now on."""
        self._thread.start()

    def kick(self, job: str) -> None:
        """Have some worker run the job; returns at once."""
        with self._changed:
            self._waiting.add(job)
            self._changed.notify()

    def close(self) -> None:
        """Publish what waits, unless that takes long."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS)

    def _publish(self) -> None:
        down = False
        while jobs := self._next(PAUSE_SECONDS if down else 0.0):
            try:
                for job in jobs:
                    self._broker.kick(job)
                down = False
            except StorageDown as error:
                if not down:
                    self._log.warning("kicks are lost, periods find the work", error=str(error))
                down = True

    def _next(self, pause_seconds: float) -> set[str]:
        """What waits, as soon as something does; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending, pause_seconds)
            self._changed.wait_for(lambda: self._ending or self._waiting)
            jobs, self._waiting = self._waiting, set()
            return jobs


class Forward:
    """Takes each kick to the kind of process that runs its job.

    offers: to links; None where a kick says enough.
    """

    def __init__(self, *, links: Kick, workers: Kick, offers: Offer | None = None) -> None:
        self._links = links
        self._workers = workers
        self._offers = offers or kicking(links)
        self._catalog: CatalogCache | None = None

    def know(self, catalog: CatalogCache) -> None:
        """Tell it which carriers are there; a carrier that it does not know is a worker's."""
        self._catalog = catalog

    def kick(self, job: str) -> None:
        """As Kick."""
        (self._links if self._is_linked(job) else self._workers)(job)

    def offer(self, carrier_id: int, fresh: Sequence[Fresh]) -> None:
        """As Offer."""
        job = dispatch_job(carrier_id)
        if self._is_linked(job):
            self._offers(carrier_id, fresh)
        else:
            self._workers(job)

    def _is_linked(self, job: str) -> bool:
        kind, _, argument = job.partition(" ")
        if kind != DISPATCH or self._catalog is None:
            return False
        carrier = self._catalog.latest.carriers.get(int(argument))
        return carrier is not None and carrier.driver in LINK_DRIVERS


@asynccontextmanager
async def forwarding(settings: Settings) -> AsyncIterator[Forward]:
    """Kicks from this process to others, as far as there is something to carry them."""
    links: Kick = ignore_kick
    workers: Kick = ignore_kick
    offers: Offer | None = None
    async with AsyncExitStack() as stack:
        if settings.redis_url is not None:
            wakes = Wakes()
            await stack.enter_async_context(background(wakes.publish(settings.redis_url)))
            links, offers = wakes.kick, wakes.offer
        url = url_of(settings)
        if url is not None:
            broker = Broker(url)
            stack.callback(broker.close)
            kicks = BrokerKicks(broker)
            kicks.start()
            stack.callback(kicks.close)
            workers = kicks.kick
        yield Forward(links=links, workers=workers, offers=offers)
