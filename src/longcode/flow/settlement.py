"""One batch of calls, from its look-ups to its answers: `Settlement.settle` is the list of the steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from longcode import log
from longcode.domain.clock import Clock
from longcode.domain.message import Message
from longcode.errors import Gone, KeyReused, LimitReached, LongcodeError, OptedOut, StorageDown, Unavailable
from longcode.expiring.port import Expiring, Pair, Question, Verdict
from longcode.flow.caps import DayBook, cap_reached
from longcode.flow.catalog import Catalog, CatalogCache
from longcode.flow.jobs import Fresh, Offer
from longcode.flow.stops import Stops
from longcode.flow.together import together
from longcode.store.database import is_taken_name
from longcode.store.intake import IntakeStore
from longcode.store.limits import is_over_cap
from longcode.store.lookups import Known, Lookups
from longcode.store.new_messages import KeyClaim, NewMessage, replies_to

INSERT_TRIES = 3
MAILBOX_TIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the rules say of one call, with everything known but the expiring state.

    refused_first comes before STOP, refused after it; so the order of errors is the contract's.
    needs_expiring: without the expiring state this call may not be answered. Otherwise it is
    accepted all the same, because dispatch asks again before anything is sent.
    """

    messages: tuple[NewMessage, ...] = ()
    refused_first: LongcodeError | None = None
    refused: LongcodeError | None = None
    question: Question | None = None
    needs_expiring: bool = False


Judge = Callable[[Known, Catalog], Judged]
# Pairs that were asked, and whether each is stopped.
Held = Mapping[Pair, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call on its way in.

    key: its idempotency key, unique in the account; None where a repeat is a new message.
    fingerprint: what the key must come back with.
    ask: adds what must be known before `judge` can speak.
    pair: whom its question will ask about, where it does no more than ask: that is asked beside the look-ups.
    """

    account_id: int
    key: str | None = None
    fingerprint: bytes = b""
    ask: Callable[[Lookups], None]
    judge: Judge
    pair: Pair | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """A stored message. replayed: an earlier call with this key stored it."""

    message: Message
    replayed: bool


@dataclass(slots=True, eq=False)
class Pending:
    """A call that waits for its answer. counted: it was counted against its sender's limit."""

    entry: Entry
    answer: asyncio.Future[Entered]
    judged: Judged = field(default_factory=Judged)
    counted: bool = False

    @property
    def name(self) -> tuple[int, str] | None:
        """The account and key that it shares with its twins; None without a key."""
        return None if self.entry.key is None else (self.entry.account_id, self.entry.key)

    def refuse(self, error: BaseException) -> None:
        """Answer with an error, if the caller still waits."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def accept(self, message: Message, *, replayed: bool) -> None:
        """Answer with the stored message, if the caller still waits."""
        if not self.answer.done():
            self.answer.set_result(Entered(message, replayed))


class Settlement:
    """Settles batches, one after the other."""

    def __init__(
        self,
        *,
        store: IntakeStore,
        expiring: Expiring,
        stops: Stops,
        catalog: CatalogCache,
        clock: Clock,
        offer: Offer,
    ) -> None:
        self._store = store
        self._expiring = expiring
        self._stops = stops
        self._catalog = catalog
        self._clock = clock
        self._offer = offer
        self._log = log.get("intake")

    async def settle(self, batch: list[Pending]) -> None:
        """Every call of a batch is answered when this returns. Raises what spoiled the whole of it."""
        allowed, held = await self._by_the_rules(batch)
        admitted = await self._ask_expiring(allowed, held)
        await self._insert(await self._within_caps(admitted))

    async def foresee(self, entry: Entry) -> Entered | None:
        """What the call's key stored before; None where nothing speaks against the call now, which changes nothing.

        Raises what refuses it, but for its sender's limit, which only counting knows.
        """
        pending = Pending(entry, asyncio.get_running_loop().create_future())
        allowed, held = await self._by_the_rules([pending])
        for one in allowed:
            asked = one.judged.question
            one.judged = replace(one.judged, question=asked and Question(ask=asked.ask))
        admitted = await self._within_caps(await self._ask_expiring(allowed, held))
        return None if admitted else await pending.answer

    async def _by_the_rules(self, batch: list[Pending]) -> tuple[list[Pending], Held]:
        """Answer the replays and what the calls' own rules refuse; the others, and the pairs that were asked."""
        known, held = await together(self._look_up(_lookups(batch)), self._ask_ahead(batch))
        catalog = await self._catalog.at(known.catalog_version)
        fresh = await self._answer_replays(batch, known)
        return self._judge(fresh, known, catalog), held

    async def _look_up(self, lookups: Lookups) -> Known:
        """Answer the look-ups; once more where the connection was one that the server had closed unnoticed."""
        try:
            return await self._store.preflight(lookups)
        except StorageDown as error:
            self._log.warning("look-ups are run again", error=str(error))
            return await self._store.preflight(lookups)

    async def _answer_replays(self, batch: list[Pending], known: Known) -> list[Pending]:
        """Answer the calls whose key is known; the others."""
        replays = [pending for pending in batch if pending.name in known.keys]
        if not replays:
            return batch
        stored = {pending.name: known.keys[pending.name] for pending in replays if pending.name is not None}
        messages = await self._store.messages([key.message_id for key in stored.values()])
        for pending in replays:
            assert pending.name is not None
            key = stored[pending.name]
            _answer_replay(pending, key.fingerprint, messages.get(key.message_id))
        return [pending for pending in batch if pending.name not in known.keys]

    def _judge(self, batch: list[Pending], known: Known, catalog: Catalog) -> list[Pending]:
        """Ask each call's own rules; those that may go on. A caller who left is asked nothing."""
        allowed = []
        for pending in batch:
            if pending.answer.done():
                continue
            try:
                pending.judged = pending.entry.judge(known, catalog)
            except LongcodeError as error:
                pending.refuse(error)
                continue
            if pending.judged.refused_first is not None:
                pending.refuse(pending.judged.refused_first)
            else:
                allowed.append(pending)
        return allowed

    async def _ask_ahead(self, batch: Iterable[Pending]) -> Held:
        """STOP for the calls that only ask it, while their look-ups run; nothing where that cannot be asked now."""
        pairs = list({pending.entry.pair for pending in batch if pending.entry.pair is not None})
        if not pairs:
            return {}
        try:
            held = await self._stops.held(pairs)
        except StorageDown:
            return {}
        return {pair: pair in held for pair in pairs}

    async def _ask_expiring(self, batch: list[Pending], held: Held) -> list[Pending]:
        """Ask and count in the expiring state, one round trip; those that may be stored."""
        verdicts = {
            pending: Verdict(stopped=held[question.ask])
            for pending in batch
            if (question := pending.judged.question) is not None
            and question.ask is not None
            and question.ask in held
            and not (question.marks or question.count)
        }
        asking = [pending for pending in batch if pending.judged.question is not None and pending not in verdicts]
        if asking:
            try:
                answers = await self._stops.settle([pending.judged.question or Question() for pending in asking])
                verdicts.update(zip(asking, answers, strict=True))
            except StorageDown as error:
                self._log.warning("expiring state is down", error=str(error))
                for pending in asking:
                    if pending.judged.needs_expiring:
                        pending.refuse(error)
                batch = [pending for pending in batch if pending not in asking or not pending.judged.needs_expiring]
        admitted = []
        for pending in batch:
            verdict = verdicts.get(pending, Verdict())
            refusal = _refusal(pending.judged, verdict)
            if refusal is not None:
                pending.refuse(refusal)
                continue
            # From here on the call is stored though its caller may have left: it was counted.
            question = pending.judged.question
            pending.counted = pending in verdicts and question is not None and question.count
            admitted.append(pending)
        return admitted

    async def _within_caps(self, batch: list[Pending]) -> list[Pending]:
        """Refuse what plainly goes over a cap; those that may be stored. The insert itself has the last word."""
        charges = {
            new.message.account_id: new.charge
            for pending in batch
            for new in pending.judged.messages
            if new.charge is not None
        }
        if not charges:
            return batch
        day = max(charge.day for charge in charges.values())
        book = DayBook(await self._store.usage(charges.keys(), day))
        over = {pending: charge for pending in batch if (charge := book.take(pending.judged.messages)) is not None}
        await self._give_back(over)
        for pending, charge in over.items():
            pending.refuse(cap_reached(charge, self._clock()))
        return [pending for pending in batch if pending not in over]

    async def _insert(self, batch: list[Pending]) -> None:
        """Store the batch in one transaction, answer each call, wake the carriers."""
        if not batch:
            return
        batch.sort(key=_lock_order)
        claims = [claim for pending in batch if (claim := self._claim(pending)) is not None]
        messages = [new for pending in batch for new in pending.judged.messages]
        try:
            claimed = await self._insert_surely(messages, claims)
        except StorageDown as error:
            # Nothing is given back: the commit may have gone through, and a count may be too high, never too low.
            for pending in batch:
                pending.refuse(error)
            return
        except Exception as error:
            await self._insert_each_alone(batch, error)
            return
        lost = [pending for pending in batch if pending.entry.key is not None and _id(pending) not in claimed]
        self._wake_carriers([*messages, *replies_to(messages)])
        # What the loop writes leaves at the end of a turn: kicks go in this one, before the answers are made.
        await asyncio.sleep(0)
        for pending in batch:
            if pending not in lost:
                pending.accept(pending.judged.messages[0].message, replayed=False)
        await self._read_back(lost)

    async def _insert_surely(self, messages: Sequence[NewMessage], claims: Sequence[KeyClaim]) -> set[UUID]:
        """Insert; after a lost connection once more with the same ids, which cannot store twice."""
        for attempt in range(1, INSERT_TRIES):
            try:
                return await self._store.insert(messages, claims)
            except StorageDown as error:
                self._log.warning("insert is run again", attempt=attempt, error=str(error))
        return await self._store.insert(messages, claims)

    async def _insert_each_alone(self, batch: list[Pending], error: Exception) -> None:
        if len(batch) > 1:
            for pending in batch:
                await self._insert([pending])
            return
        (pending,) = batch
        if is_taken_name(error) and self._move_on(pending):
            await self._insert([pending])
            return
        await self._give_back(batch)
        if is_over_cap(error):
            charge = next(new.charge for new in pending.judged.messages if new.charge is not None)
            pending.refuse(cap_reached(charge, self._clock()))
            return
        self._log.error("a call could not be stored", exc_info=error)
        pending.refuse(error)

    @staticmethod
    def _move_on(pending: Pending) -> bool:
        """Shift a mailbox instant that another process took by a microsecond; False: that is not it."""
        latest = pending.judged.messages[0].message.created_at + timedelta(microseconds=MAILBOX_TIES)
        if not any(new.boxed_at is not None and new.boxed_at <= latest for new in pending.judged.messages):
            return False
        moved = tuple(
            replace(new, boxed_at=new.boxed_at and new.boxed_at + timedelta(microseconds=1))
            for new in pending.judged.messages
        )
        pending.judged = replace(pending.judged, messages=moved)
        return True

    async def _read_back(self, lost: list[Pending]) -> None:
        """Answer the calls whose key another process claimed first, or an insert of ours that seemed lost."""
        for pending in lost:
            try:
                await self._answer_loser(pending)
            except Unavailable as error:
                await self._give_back([pending])
                pending.refuse(error)

    async def _answer_loser(self, pending: Pending) -> None:
        assert pending.entry.key is not None
        key = await self._store.stored_key(pending.entry.account_id, pending.entry.key)
        messages = {} if key is None else await self._store.messages([key.message_id])
        if key is None or key.message_id not in messages:
            raise Unavailable("the call's key was lost to a neighbour that is gone")
        if key.message_id == _id(pending):
            pending.accept(messages[key.message_id], replayed=False)
            return
        await self._give_back([pending])
        _answer_replay(pending, key.fingerprint, messages[key.message_id])

    async def _give_back(self, batch: Iterable[Pending]) -> None:
        """Uncount calls that failed after they were counted."""
        questions = [p.judged.question for p in batch if p.counted and p.judged.question is not None]
        if not questions:
            return
        try:
            await self._expiring.give_back(questions)
        except StorageDown as error:
            self._log.warning("counts could not be given back", calls=len(questions), error=str(error))

    def _wake_carriers(self, messages: Sequence[NewMessage]) -> None:
        queued: dict[int, list[Fresh]] = {}
        for new in messages:
            if new.queued and new.carrier_id is not None:
                one = new.message
                queued.setdefault(new.carrier_id, []).append(Fresh(one.id, one.account_id, one.sender, one.recipient))
        for carrier_id, fresh in queued.items():
            self._offer(carrier_id, fresh)

    def _claim(self, pending: Pending) -> KeyClaim | None:
        if pending.name is None:
            return None
        account_id, key = pending.name
        return KeyClaim(account_id, key, pending.entry.fingerprint, _id(pending), self._clock())


def _refusal(judged: Judged, verdict: Verdict) -> LongcodeError | None:
    """Why a call may not be stored: STOP before its own refusal, the limit last."""
    if verdict.stopped:
        return OptedOut("the recipient asked this sender to stop", durable=False)
    if judged.refused is not None:
        return judged.refused
    if verdict.over_limit_seconds:
        return LimitReached("the sender's limit is reached", retry_after_seconds=verdict.over_limit_seconds)
    return None


def _lookups(batch: Iterable[Pending]) -> Lookups:
    lookups = Lookups()
    for pending in batch:
        if pending.name is not None:
            lookups.keys.add(pending.name)
        pending.entry.ask(lookups)
    return lookups


def _lock_order(pending: Pending) -> tuple[int, str]:
    """All processes claim keys in one order, so that no two wait for each other."""
    return pending.entry.account_id, pending.entry.key or ""


def _id(pending: Pending) -> UUID:
    return pending.judged.messages[0].call_id


def _answer_replay(pending: Pending, fingerprint: bytes, message: Message | None) -> None:
    if fingerprint != pending.entry.fingerprint:
        pending.refuse(KeyReused("the key was used with another body"))
    elif message is None:
        pending.refuse(Gone("the message that was sent under this key was deleted"))
    else:
        pending.accept(message, replayed=True)
