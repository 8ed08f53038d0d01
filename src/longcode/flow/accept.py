"""Accept: the one door for outbound messages, whatever dialect they came by.

What may be refused, and in which order, is the body of `_judge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial

from longcode.domain.account import Account
from longcode.domain.clock import Clock, MintId
from longcode.domain.message import Direction, Medium, Message, Schedule, Status
from longcode.domain.phone import canonical, digits_of
from longcode.encoding import segments
from longcode.errors import (
    DestinationRefused,
    InvalidField,
    KeyReused,
    LongcodeError,
    NotFound,
    NotOwned,
    NotWhitelisted,
    OptedOut,
    PoolEmpty,
    Refused,
)
from longcode.expiring.port import Pair, Question
from longcode.flow.caps import charge_of
from longcode.flow.catalog import Catalog
from longcode.flow.intake import Intake
from longcode.flow.keywords import is_stop_request
from longcode.flow.pools import Pick, Pools
from longcode.flow.routing import Parcel
from longcode.flow.sequel import sequel_of
from longcode.flow.settlement import Entered, Entry, Judged
from longcode.store.intake import IntakeStore
from longcode.store.lookups import Known, Lookups, Owner
from longcode.store.new_messages import NewMessage
from longcode.store.pools import PoolSender

VALIDITY = timedelta(days=1)
NORMAL_PRIORITY = 5
LOWEST_PRIORITY = 9
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
# Somebody waits for an answer.
REPLY_PRIORITY = 1


class SenderRule(Enum):
    """What makes a sender the account's own.

    VERBATIM_NUMBER: an assigned number, written exactly so.
    NUMBER_OR_RECORD: an assigned number in any spelling; else the message is only recorded.
    SENDER_ID: in the account's whitelist, exact case.
    OWN: an assigned number in any spelling, or in the whitelist, exact case.
    """

    VERBATIM_NUMBER = "verbatim number"
    NUMBER_OR_RECORD = "number or record"
    SENDER_ID = "sender ID"
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One outbound message as a dialect hands it over, its fields checked.

    key, fingerprint: see Entry. counted: it counts against its sender's limit, and may not be
    answered without the expiring state.
    priority: 0 goes first, LOWEST_PRIORITY last. due_at: not before that; None, or past: now.
    validity: from due_at on; a message that no carrier took by its end fails.
    keywords: where it is delivered on this server, it acts there as a message from a carrier does: its words count
    for the ledger and are answered, and its number's route is taken.
    pool: instead of sender and sender_rule, the account's pool that gives the sender.
    endpoint_id: a webhook endpoint that hears of this message besides those that subscribed.
    Raises InvalidField for a priority, a due_at without zone or at the end of time, a validity that cannot be, a sender
    beside a pool.
    """

    account: Account
    sender: str = ""
    recipient: str
    text: str
    sender_rule: SenderRule = SenderRule.SENDER_ID
    pool: str | None = None
    key: str | None = None
    fingerprint: bytes = b""
    client_reference: str | None = None
    sent_at_seconds: int | None = None
    counted: bool = False
    priority: int = NORMAL_PRIORITY
    due_at: datetime | None = None
    validity: timedelta = VALIDITY
    keywords: bool = False
    endpoint_id: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.priority <= LOWEST_PRIORITY:
            raise InvalidField("priority", f"priority is from 0 to {LOWEST_PRIORITY}")
        if self.due_at is not None and self.due_at.tzinfo is None:
            raise InvalidField("due_at", "due_at needs a time zone")
        if self.validity <= timedelta():
            raise InvalidField("validity", "a message must be due before its validity ends")
        if self.due_at is not None and self.due_at > END_OF_TIME - self.validity:
            raise InvalidField("due_at", "its validity would end after the year 9999")
        if self.pool is not None and self.sender:
            raise InvalidField("pool", "a message has a sender or a pool")


class Accept:
    """Takes outbound messages in."""

    def __init__(
        self,
        *,
        intake: Intake,
        store: IntakeStore,
        pools: Pools,
        clock: Clock,
        mint_id: MintId,
        anonymous_sends: bool,
    ) -> None:
        self._intake = intake
        self._pools = pools
        self._store = store
        self._clock = clock
        self._mint_id = mint_id
        self._anonymous_sends = anonymous_sends

    async def send(self, send: Send) -> Entered:
        """Make one message durable and queue it; or answer a replay of its key.

        Raises NotWhitelisted, OptedOut, NotOwned, DestinationRefused, LimitReached, CapReached, KeyReused,
        IntakeFull, StorageDown; with a pool NotFound, PoolEmpty.
        """
        pick = await self._pick(send)
        if pick is None:
            return await self._intake.enter(self._entry(send))
        if pick.is_new:
            # Of a refused message the recipient learns nothing.
            entered = await self._intake.foresee(self._entry(_sent_by(send, pick.sender)))
            if entered is not None:
                return entered
        return await self._intake.enter(self._entry(_sent_by(send, await self._pools.introduce(pick))))

    async def foresee(self, send: Send) -> Entered | None:
        """As `send`, but nothing is stored and no limit counts; None for a message that would be taken now."""
        pick = await self._pick(send)
        return await self._intake.foresee(self._entry(send if pick is None else _sent_by(send, pick.sender)))

    async def _pick(self, send: Send) -> Pick | None:
        """The pool's choice; None without a pool, and for a replay, whatever became of its pool."""
        if send.pool is None:
            return None
        try:
            return await self._pools.pick(send.account, send.pool, send.recipient)
        except (NotFound, PoolEmpty):
            if send.key is None or not await self.is_used(send.account, send.key):
                raise
            return None

    def _entry(self, send: Send) -> Entry:
        return Entry(
            account_id=send.account.id,
            key=send.key,
            fingerprint=send.fingerprint,
            ask=partial(_ask, send),
            judge=partial(self._judge, send),
            pair=None if send.counted else _pair(send),
        )

    async def refuse_used_key(self, account: Account, key: str) -> None:
        """Raise KeyReused where the key is taken; for bodies that cannot be a replay of anything stored."""
        if await self.is_used(account, key):
            raise KeyReused("the key was used with another body")

    async def is_used(self, account: Account, key: str) -> bool:
        """Whether something was stored under the key."""
        return await self._store.stored_key(account.id, key) is not None

    async def refuse_other_body(self, account: Account, keys: Sequence[str], fingerprint: bytes) -> None:
        """Raise KeyReused where one of the keys was used with another body than this."""
        if await self._store.fingerprints(account.id, keys) - {fingerprint}:
            raise KeyReused("the key was used with another body")

    async def check_sender_id(self, account: Account, sender: str) -> None:
        """Raise NotWhitelisted where the account may not use this sender ID."""
        known = await self._store.preflight(Lookups(sender_ids={(account.id, sender)}))
        if (account.id, sender) not in known.sender_ids:
            raise NotWhitelisted(f"{sender} is not in the whitelist")

    def _judge(self, send: Send, known: Known, catalog: Catalog) -> Judged:
        account_id = send.account.id
        sender, recipient = canonical(send.sender), canonical(send.recipient)
        if send.sender_rule is SenderRule.SENDER_ID and (account_id, send.sender) not in known.sender_ids:
            return Judged(refused_first=NotWhitelisted(f"{send.sender} is not in the whitelist"))
        owned = _owns(send, known.owners.get(sender))
        if send.sender_rule is SenderRule.OWN and not owned and (account_id, send.sender) not in known.sender_ids:
            return Judged(refused_first=NotOwned(f"{send.sender} is no number and no sender ID of this account"))
        if send.sender_rule is SenderRule.NUMBER_OR_RECORD and not owned:
            return Judged(messages=(self._record(send),))
        refused: LongcodeError | None = None
        if (account_id, sender, recipient) in known.opted_out:
            refused = OptedOut("the recipient has opted out", durable=True)
        elif send.sender_rule is SenderRule.VERBATIM_NUMBER and not owned:
            refused = NotOwned("the sender is not a number of this account")
        messages: tuple[NewMessage, ...] = ()
        # What is due later takes its route: whose number it is then, nobody knows now.
        peer = None if self._is_scheduled(send) else known.owners.get(recipient)
        if peer is not None and peer.account_id != account_id and self._simulator_only(send):
            peer = None  # another account's mailbox is no simulator
        if peer is not None:
            messages = self._deliver_on_net(send, peer)
        else:
            messages = (self._queue(send, catalog),)
        if send.endpoint_id is not None:
            messages = (replace(messages[0], endpoint_id=send.endpoint_id), *messages[1:])
        marks: tuple[Pair, ...] = ()
        if refused is None and peer is None and not catalog.limits_of(account_id).allows(digits_of(send.recipient)):
            refused = DestinationRefused(f"this account may not write to {send.recipient}")
        if peer is not None and send.keywords:
            messages = self._with_sequel(messages, known, catalog)
        elif refused is None and peer is not None and is_stop_request(send.text):
            marks = (Pair(peer.account_id, recipient, sender),)
        question = Question(ask=_pair(send), count=send.counted and refused is None, marks=marks)
        return Judged(messages=messages, refused=refused, question=question, needs_expiring=send.counted or bool(marks))

    def compose(
        self, *, account_id: int, sender: str, recipient: str, text: str, known: Known, catalog: Catalog
    ) -> tuple[NewMessage, ...]:
        """A message of an account's own number, to be stored by who asked for it; see Compose."""
        send = Send(
            account=Account(account_id, catalog.words.name_of(account_id)),
            sender=sender,
            recipient=recipient,
            text=text,
            sender_rule=SenderRule.VERBATIM_NUMBER,
            priority=REPLY_PRIORITY,
        )
        peer = known.owners.get(canonical(recipient))
        if peer is not None:
            return self._deliver_on_net(send, peer)
        # An answer that the law asks for is sent whatever the caps are.
        return (replace(self._queue(send, catalog), charge=None),)

    def _with_sequel(self, messages: tuple[NewMessage, ...], known: Known, catalog: Catalog) -> tuple[NewMessage, ...]:
        """Messages that were delivered on this server; with the last, which came in, what follows from it."""
        *others, arrived = messages
        sequel = sequel_of(arrived.message, known, catalog, self.compose)
        return (*others, replace(arrived, sequel=sequel))

    def _simulator_only(self, send: Send) -> bool:
        return send.account.anonymous and not self._anonymous_sends

    def _queue(self, send: Send, catalog: Catalog) -> NewMessage:
        """A message and its place in the outbox."""
        simulator_only = self._simulator_only(send)
        message = self._message(send, Status.QUEUED)
        parcel = Parcel(send.account.id, send.sender, send.recipient, message.id)
        route = catalog.choose(parcel, message.created_at, simulated=True if simulator_only else None)
        if route is None and simulator_only:
            raise Refused("anonymous calls reach only the simulator, and no route leads to one")
        due_at = send.due_at if self._is_scheduled(send) else None
        if due_at is not None:
            schedule = Schedule(send_at=due_at, priority=send.priority, expires_at=due_at + send.validity)
            message = replace(message, status=Status.SCHEDULED, schedule=schedule)
        elif route is None:
            message = replace(message, status=Status.ACCEPTED)
        return NewMessage(
            message=message,
            call_id=message.id,
            queued=True,
            carrier_id=None if route is None else route.carrier_id,
            priority=send.priority,
            due_at=due_at,
            validity=send.validity,
            charge=charge_of(catalog.limits_of(send.account.id), message, route),
        )

    def _is_scheduled(self, send: Send) -> bool:
        return send.due_at is not None and send.due_at > self._clock()

    def _deliver_on_net(self, send: Send, peer: Owner) -> tuple[NewMessage, ...]:
        """A message between two numbers of this server: delivered here and now, no carrier needed.

        One row where both are of one account, else one for each account.
        """
        message = self._message(send, Status.DELIVERED)
        stop = is_stop_request(send.text) and not send.keywords
        if peer.account_id == send.account.id:
            boxed = NewMessage(message=message, call_id=message.id, boxed_at=message.created_at, stop=stop)
            return (boxed,)
        arrived = Message(
            id=self._mint_id(),
            account_id=peer.account_id,
            direction=Direction.INBOUND,
            medium=Medium.SMS,
            sender=send.sender,
            recipient=peer.value,
            text=send.text,
            # Never later than now: it would stand last in the other account's conversation for ever.
            sent_at_seconds=min(message.sent_at_seconds, int(message.created_at.timestamp())),
            status=Status.RECEIVED,
            client_reference=None,
            provider_reference=None,
            encoding=message.encoding,
            segment_count=message.segment_count,
            error=None,
            created_at=message.created_at,
        )
        return (
            NewMessage(message=message, call_id=message.id),
            NewMessage(message=arrived, call_id=message.id, boxed_at=message.created_at, stop=stop),
        )

    def _record(self, send: Send) -> NewMessage:
        """A message that somebody else carries; kept for its conversation."""
        message = self._message(send, Status.RECORDED)
        return NewMessage(message=message, call_id=message.id)

    def _message(self, send: Send, status: Status) -> Message:
        now = self._clock()
        return new_message(
            id_=self._mint_id,
            now=now,
            account=send.account,
            direction=Direction.OUTBOUND,
            sender=send.sender,
            recipient=send.recipient,
            text=send.text,
            status=status,
            sent_at_seconds=send.sent_at_seconds,
            client_reference=send.client_reference,
        )


def new_message(
    *,
    id_: MintId,
    now: datetime,
    account: Account,
    direction: Direction,
    sender: str,
    recipient: str,
    text: str,
    status: Status,
    medium: Medium = Medium.SMS,
    sent_at_seconds: int | None = None,
    client_reference: str | None = None,
) -> Message:
    """A message as it is first stored; its text measured, its place in conversations set."""
    encoding = segments.choose(text)
    return Message(
        id=id_(),
        account_id=account.id,
        direction=direction,
        medium=medium,
        sender=sender,
        recipient=recipient,
        text=text,
        sent_at_seconds=int(now.timestamp()) if sent_at_seconds is None else sent_at_seconds,
        status=status,
        client_reference=client_reference,
        provider_reference=None,
        encoding=encoding.value,
        segment_count=segments.count(text, encoding),
        error=None,
        created_at=now,
    )


def _sent_by(send: Send, sender: PoolSender) -> Send:
    """The message with a sender of its pool."""
    rule = SenderRule.VERBATIM_NUMBER if sender.is_number else SenderRule.SENDER_ID
    return replace(send, sender=sender.value, sender_rule=rule, pool=None)


def _pair(send: Send) -> Pair:
    return Pair(send.account.id, canonical(send.sender), canonical(send.recipient))


def _ask(send: Send, lookups: Lookups) -> None:
    account_id = send.account.id
    recipient = canonical(send.recipient)
    lookups.numbers.add(recipient)
    lookups.parties.add((account_id, canonical(send.sender), recipient))
    if send.sender_rule in (SenderRule.SENDER_ID, SenderRule.OWN):
        lookups.sender_ids.add((account_id, send.sender))
    if send.sender_rule is not SenderRule.SENDER_ID or send.keywords:
        lookups.numbers.add(canonical(send.sender))


def _owns(send: Send, owner: Owner | None) -> bool:
    if owner is None or owner.account_id != send.account.id:
        return False
    return send.sender_rule is not SenderRule.VERBATIM_NUMBER or owner.value == send.sender
