"""Expiring state in the tables of the database, where there is no Redis: one transaction a settle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.clock import Clock
from longcode.expiring.buckets import grant
from longcode.expiring.port import Bucket, Pair, Question, Verdict
from longcode.store import expiring as store
from longcode.store.database import Database, from_micros, to_micros

CHUNK: Final = 1000
SECOND: Final = timedelta(seconds=1)


class SqlExpiring:
    """The port of expiring state on the tables `stop_pair`, `sender_window` and `pace_bucket`.

    Many processes may settle at once on PostgreSQL; their clocks should agree. Paces go by the database's clock.
    """

    def __init__(
        self, database: Database, *, clock: Clock, stop_ttl_seconds: int, limit: int, window_seconds: int
    ) -> None:
        self._database = database
        self._clock = clock
        self._stop_ttl = timedelta(seconds=stop_ttl_seconds)
        self._limit = limit
        self._window = timedelta(seconds=window_seconds)

    async def settle(self, questions: Sequence[Question]) -> list[Verdict]:
        """Answer all questions in one transaction, or by one look-up where none marks or counts."""
        if any(question.marks or question.count for question in questions):
            async with self._database.write() as connection:
                return await self._settle(connection, questions)
        held = await self.stopped([question.ask for question in questions if question.ask])
        return [Verdict(stopped=question.ask in held) for question in questions]

    async def _settle(self, connection: AsyncConnection, questions: Sequence[Question]) -> list[Verdict]:
        now = self._clock()
        asked = list({_pair_key(question.ask) for question in questions if question.ask})
        held = await store.find_held(connection, asked, now=now) if asked else set()
        marked: set[store.PairKey] = set()
        stopped: list[bool] = []
        for question in questions:
            marked.update(map(_pair_key, question.marks))
            key = _pair_key(question.ask) if question.ask else None
            stopped.append(key in held or key in marked)
        if marked:
            await store.keep(connection, dict.fromkeys(marked, now + self._stop_ttl))
        counting = [
            _window_key(question.ask) if question.ask and question.count and not is_stopped else None
            for question, is_stopped in zip(questions, stopped, strict=True)
        ]
        waits = await self._count(connection, counting, now)
        return [
            Verdict(stopped=is_stopped, over_limit_seconds=wait)
            for is_stopped, wait in zip(stopped, waits, strict=True)
        ]

    async def _count(
        self, connection: AsyncConnection, counting: Sequence[store.WindowKey | None], now: datetime
    ) -> list[int]:
        """Count one call for each sender named; gives the seconds that each has to wait, 0 if none."""
        calls = Counter(window for window in counting if window)
        if not calls:
            return [0] * len(counting)
        counted = await store.count(connection, calls, limit=self._limit, now=now, end=now + self._window)
        waits: list[int] = []
        taken: Counter[store.WindowKey] = Counter()
        for window in counting:
            wait = 0
            if window:
                taken[window] += 1
                if taken[window] > counted[window].admitted:
                    wait = max(1, -((now - counted[window].expires_at) // SECOND))
            waits.append(wait)
        return waits

    async def give_back(self, questions: Sequence[Question]) -> None:
        """Take back one counted call for each question that counted; never below none."""
        calls = Counter(_window_key(question.ask) for question in questions if question.ask and question.count)
        if calls:
            async with self._database.write() as connection:
                await store.give_back(connection, calls, now=self._clock())

    async def stopped(self, pairs: Sequence[Pair]) -> set[Pair]:
        """Those of `pairs` that hold now."""
        if not pairs:
            return set()
        keys = {_pair_key(pair): pair for pair in pairs}
        async with self._database.read() as connection:
            held = await store.find_held(connection, list(keys), now=self._clock())
        return {keys[key] for key in held}

    async def pace(self, wishes: Sequence[Sequence[Bucket]]) -> list[list[float]]:
        """Grant or refuse in one transaction, which holds the buckets' rows."""
        names = sorted({_stored(bucket.name) for wish in wishes for bucket in wish})
        if not names:
            return [[] for _ in wishes]
        stored = [[replace(bucket, name=_stored(bucket.name)) for bucket in wish] for wish in wishes]
        async with self._database.write() as connection:
            now, full_at = await store.hold_buckets(connection, names, now=self._clock())
            micros = {name: float(to_micros(at)) for name, at in full_at.items()}
            answers, changed = grant(stored, micros, to_micros(now))
            await store.keep_buckets(connection, {name: from_micros(round(at)) for name, at in changed.items()})
        return answers

    async def restore(self, pairs: Sequence[tuple[Pair, datetime]]) -> None:
        """Keep each pair for the STOP lifetime from its instant; never shorten one that holds longer."""
        now = self._clock()
        ends: dict[store.PairKey, datetime] = {}
        for pair, since in pairs:
            key, end = _pair_key(pair), since + self._stop_ttl
            if end > now:
                ends[key] = max(end, ends.get(key, end))
        keys = sorted(ends)
        for start in range(0, len(keys), CHUNK):
            async with self._database.write() as connection:
                await store.keep(connection, {key: ends[key] for key in keys[start : start + CHUNK]})

    async def complete(self) -> bool:
        """True: the tables are as durable as the messages."""
        return True

    async def purge(self) -> None:
        """Delete what has expired, a bounded transaction at a time."""
        await self._purge(store.purge_pairs)
        await self._purge(store.purge_windows)

    async def _purge(self, purge: Callable[..., Awaitable[int]]) -> None:
        deleted = CHUNK
        while deleted >= CHUNK:
            async with self._database.write() as connection:
                deleted = await purge(connection, now=self._clock(), rows=CHUNK)

    async def close(self) -> None:
        """Nothing: the database belongs to others."""


# Escaped, and injectively: a database's text holds neither NUL nor a lone surrogate, which JSON can carry.
def _stored(party: str) -> str:
    return party.encode("unicode_escape").decode("ascii")


def _pair_key(pair: Pair) -> store.PairKey:
    return (pair.account_id, _stored(pair.sender), _stored(pair.recipient))


def _window_key(pair: Pair) -> store.WindowKey:
    return (pair.account_id, _stored(pair.sender))
