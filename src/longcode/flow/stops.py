"""STOP, asked before a message is taken and once more before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from longcode import log
from longcode.domain.clock import Clock
from longcode.domain.phone import canonical
from longcode.expiring.port import Emptied, Expiring, Pair, Question, Verdict
from longcode.flow.together import together
from longcode.store.intake import IntakeStore
from longcode.store.stops import StopStore


class Addressed(Protocol):
    """From whom to whom."""

    @property
    def id(self) -> UUID: ...
    @property
    def account_id(self) -> int: ...
    @property
    def sender(self) -> str: ...
    @property
    def recipient(self) -> str: ...


class Stops:
    """Knows who may not be written to: the expiring pairs and the durable ledger."""

    def __init__(
        self, *, expiring: Expiring, ledger: IntakeStore, requests: StopStore, clock: Clock, stop_ttl_seconds: int
    ) -> None:
        self._expiring = expiring
        self._ledger = ledger
        self._requests = requests
        self._clock = clock
        self._ttl = timedelta(seconds=stop_ttl_seconds)
        self._log = log.get("stops")

    async def stopped(self, messages: Sequence[Addressed]) -> set[UUID]:
        """The ids of those messages whose recipient does not want them any more. Raises StorageDown."""
        pairs = {message.id: _pair(message) for message in messages}
        parties = {_party(pair) for pair in pairs.values()}
        # Asked beside the expiring state: each answer is on the way of a message that waits.
        opted_out, held = await together(self._ledger.opted_out(parties), self.held(list(pairs.values())))
        stopped = {message_id for message_id, pair in pairs.items() if pair in held or _party(pair) in opted_out}
        # Few are: the answers to those who have just opted out.
        return stopped - await self._requests.despite_opt_out(list(stopped)) if stopped else stopped

    async def held(self, pairs: Sequence[Pair]) -> set[Pair]:
        """As Expiring.stopped, restored first where it was emptied."""
        try:
            return await self._expiring.stopped(pairs)
        except Emptied:
            await self._rebuild()
            return await self._expiring.stopped(pairs)

    async def settle(self, questions: Sequence[Question]) -> list[Verdict]:
        """As Expiring.settle, restored first where it was emptied."""
        try:
            return await self._expiring.settle(questions)
        except Emptied:
            await self._rebuild()
            return await self._expiring.settle(questions)

    async def rebuild_if_emptied(self) -> None:
        """Where the expiring state lost everything, restore its pairs from the stored requests."""
        if not await self._expiring.complete():
            await self._rebuild()

    async def _rebuild(self) -> None:
        requests = [
            (Pair(account_id, canonical(sender), canonical(recipient)), requested_at)
            async for account_id, sender, recipient, requested_at in self._requests.since(self._clock() - self._ttl)
        ]
        await self._expiring.restore(requests)
        self._log.info("STOP pairs restored", pairs=len(requests))


def _pair(message: Addressed) -> Pair:
    return Pair(message.account_id, canonical(message.sender), canonical(message.recipient))


def _party(pair: Pair) -> tuple[int, str, str]:
    return pair.account_id, pair.sender, pair.recipient
