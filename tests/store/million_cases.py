"""Every list, look-up and job of the stores, as it is asked for, in every combination of what it may be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from typing import Any, Final

from longcode.domain.clock import mint_id
from longcode.domain.message import Direction, Status
from longcode.store import expiring
from longcode.store.accounts import AccountStore
from longcode.store.arrivals import ArrivalStore
from longcode.store.boxes import BoxStore
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.catalog import CatalogStore
from longcode.store.commit_order import START
from longcode.store.commit_order import Place as Commit
from longcode.store.conversations import ConversationStore, Position, Side
from longcode.store.database import Database
from longcode.store.event_stream import EventStream
from longcode.store.following import FollowStore
from longcode.store.intake import IntakeStore
from longcode.store.keyed_calls import KeyedCallStore
from longcode.store.leftovers import LeftoverStore
from longcode.store.limits import LimitStore
from longcode.store.mailbox import Box, MailboxStore, Range
from longcode.store.message_lists import MessageLists, Place, Wanted
from longcode.store.messages import MessageStore
from longcode.store.numbers import NumberStore, Order, SortKey
from longcode.store.opt_outs import OptOutStore
from longcode.store.outbox import OutboxStore
from longcode.store.pools import PoolStore
from longcode.store.receipt_order import LATEST, ReceiptPlace
from longcode.store.receipts import ReceiptStore
from longcode.store.removal import RemovalStore
from longcode.store.rerouting import ReroutingStore
from longcode.store.simulator import SimulatorLedger
from longcode.store.stops import StopStore
from longcode.store.strays import StrayStore
from longcode.store.timeline import TimelineStore
from longcode.store.usage import UsageStore
from longcode.store.webhook_queue import Ended, WebhookQueue
from longcode.store.webhooks import WebhookStore
from longcode.store.words import WordStore
from tests.million import BIG, DAYS, EARLY, EMPTY, HOT_NUMBER, HOT_PARTY, HUGE, MESSAGES, SMALL, Million

PAGE: Final = 50
WHO: Final = {"huge": HUGE, "big": BIG, "small": SMALL, "early": EARLY, "empty": EMPTY}
FEW: Final = 500
# What is configured is read as a whole, by design; so much of it is in the database.
CONFIGURED: Final = 4000
LEASE: Final = timedelta(0)


class Stores:
    """The stores of one database, by the instant of its last message."""

    def __init__(self, database: Database, place: Million) -> None:
        self.database = database
        self.place = place

        def clock() -> Any:
            return place.now

        self.accounts = AccountStore(database, clock)
        self.arrivals = ArrivalStore(database, clock, mint_id)
        self.boxes = BoxStore(database, clock)
        self.calls = KeyedCallStore(database, clock)
        self.carriers = CarrierStatusStore(database)
        self.catalog = CatalogStore(database, clock)
        self.conversations = ConversationStore(database)
        self.events = EventStream(database)
        self.following = FollowStore(database)
        self.intake = IntakeStore(database)
        self.leftovers = LeftoverStore(database, clock)
        self.limits = LimitStore(database)
        self.lists = MessageLists(database, most_examined=200)
        self.mailboxes = MailboxStore(database, clock)
        self.messages = MessageStore(database)
        self.numbers = NumberStore(database, clock)
        self.opt_outs = OptOutStore(database, clock)
        self.outbox = OutboxStore(database, clock)
        self.pools = PoolStore(database, clock)
        self.receipts = ReceiptStore(database, clock, mint_id)
        self.removal = RemovalStore(database, clock)
        self.rerouting = ReroutingStore(database, clock)
        self.simulator = SimulatorLedger(database, clock, mint_id)
        self.stops = StopStore(database)
        self.strays = StrayStore(database, clock)
        self.timeline = TimelineStore(database)
        self.usage = UsageStore(database)
        self.webhooks = WebhookStore(database, clock)
        self.hooks = WebhookQueue(database, clock, mint_id)
        self.words = WordStore(database)


Ask = Callable[[Stores], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is asked.

    of: what of the stores. told: how it is asked. rows: that one statement may look at. alike: another case has the
    same plan, and no value that is asked for could change it.
    """

    of: str
    told: str
    ask: Ask
    rows: int = FEW
    alike: bool = False

    @property
    def name(self) -> str:
        return f"{self.of}: {self.told}"


def _accounts() -> Iterator[Case]:
    for after in (0, 500):
        yield Case("AccountStore.page", f"after {after}", lambda s, a=after: s.accounts.page(after=a, count=PAGE))
        yield Case("AccountStore.keys", f"after {after}", lambda s, a=after: s.accounts.keys(1, after=a, count=PAGE))
        yield Case(
            "AccountStore.operator_keys",
            f"after {after}",
            lambda s, a=after: s.accounts.operator_keys(after=a, count=PAGE),
        )
    for after in ("", "Sender5"):
        yield Case(
            "AccountStore.sender_ids",
            f"after {after!r}",
            lambda s, a=after: s.accounts.sender_ids(HUGE, after=a, count=PAGE),
        )
        yield Case("BoxStore.logins", f"after {after!r}", lambda s, a=after: s.boxes.logins(HUGE, after=a, count=PAGE))
        yield Case("PoolStore.page", f"after {after!r}", lambda s, a=after: s.pools.page(HUGE, after=a, count=PAGE))
    yield Case("PoolStore.senders", "of one pool", lambda s: s.pools.senders(HUGE, "pool10"))
    yield Case("PoolStore.known", "by one recipient", lambda s: s.pools.known(HUGE, "pool10", "4410"))
    yield Case("AccountStore.names", "of all", lambda s: s.accounts.names(), CONFIGURED)
    yield Case("CatalogStore.load", "all of it", lambda s: s.catalog.load(), CONFIGURED)
    yield Case("WordStore.load", "all of it", lambda s: s.words.load(), CONFIGURED)
    yield Case("WordStore.keywords", "of one account", lambda s: s.words.keywords(HUGE))
    yield Case("WordStore.replies", "of one account", lambda s: s.words.replies(HUGE))
    yield Case("LimitStore.usage", "of a day", lambda s: s.limits.usage([HUGE], s.place.now.date()))
    # The contract of usage is a day's sums: a whole day of one account is read, and nothing else.
    for who in (HUGE, SMALL, EMPTY):
        yield Case(
            "UsageStore.days",
            f"one, of {who}",
            lambda s, w=who: s.usage.days(w, [s.place.at(MESSAGES // 2).date()]),
            rows=MESSAGES // DAYS,
        )


def _numbers() -> Iterator[Case]:
    # The contract counts what a search finds, and sorts it by anything: an account's inventory is read as a whole.
    inventory = 3100
    for search, key, descending, offset in product(("", "77"), SortKey, (False, True), (0, 1000)):
        order = Order(key, descending)
        yield Case(
            "NumberStore.listed",
            f"{search!r} by {key.value}{' down' if descending else ''} from {offset}",
            lambda s, of=(search, order, offset): s.numbers.listed(
                HUGE, search=of[0], order=of[1], offset=of[2], limit=PAGE
            ),
            rows=inventory,
        )
    for who, after, search, assigned in product((HUGE, SMALL), (0, 1500), ("", "77"), (None, True, False)):
        yield Case(
            "NumberStore.page",
            f"of {who} after {after}, {search!r}, assigned {assigned}",
            lambda s, of=(who, after, search, assigned): s.numbers.page(
                of[0], after=of[1], count=PAGE, search=of[2], assigned=of[3]
            ),
            rows=inventory if search or assigned is False else FEW,
        )


def _opt_outs() -> Iterator[Case]:
    for who, after in product((HUGE, SMALL), (("", ""), ("441050000", ""), ("441020000", "12025550120"))):
        yield Case(
            "OptOutStore.page",
            f"of {who} after {after}",
            lambda s, of=(who, after): s.opt_outs.page(of[0], after=of[1], count=PAGE),
        )
    for who, after, recipient in product((None, HUGE), (0, 50_000), ("441000000", "441000001")):
        yield Case(
            "OptOutStore.history",
            f"of {recipient} in {who} after {after}",
            lambda s, of=(who, after, recipient): s.opt_outs.history(of[2], account_id=of[0], after=of[1], count=PAGE),
        )


def _boxes() -> Iterator[Case]:
    for told, place in (("from the start", START), ("from the middle", Commit(120, mint_id()))):
        yield Case("BoxStore.page", told, lambda s, p=place: s.boxes.page(HUGE, "alice", after=p, count=PAGE))
        yield Case("EventStream.page", told, lambda s, p=place: s.events.page(HUGE, after=p, count=PAGE))
    at = MESSAGES // 2 + 15
    yield Case(
        "BoxStore.delete",
        "one",
        lambda s: s.boxes.delete(HUGE, "alice", [Commit((at + 20) // 4000, s.place.id(at + 20))]),
    )
    yield Case("MailboxStore.delete", "one", lambda s: s.mailboxes.delete(Box(HUGE, "bob", "alice"), [s.place.at(at)]))
    yield Case("BoxStore.exists", "a box, a number, nothing", lambda s: s.boxes.exists(HUGE, "nobody"))
    yield Case("BoxStore.acked", "of one box", lambda s: s.boxes.acked(HUGE, "alice"))
    yield Case("MailboxStore.logins", "two of them", lambda s: s.mailboxes.logins(HUGE, ["login100", "nobody"]))
    for sender in ("bob", "s15", "nobody"):
        box = Box(HUGE, sender, "alice")
        yield Case("MailboxStore.holds_any", sender, lambda s, b=box: s.mailboxes.holds_any(b))
        for first, last, (start, stop) in product((False, True), (False, True), ((0, None), (5, 25))):

            def part(
                s: Stores, first: bool = first, last: bool = last, start: int = start, stop: int | None = stop
            ) -> Range:
                begin, end = s.place.at(MESSAGES // 2), s.place.at(MESSAGES // 2 + 100_000)
                return Range(first=begin if first else None, last=end if last else None, start=start, stop=stop)

            told = f"{sender}, from {first}, to {last}, {start} to {stop}"
            yield Case("MailboxStore.fetch", told, lambda s, b=box, p=part: s.mailboxes.fetch(b, p(s)), rows=2 * FEW)
            yield Case(
                "MailboxStore.fetch_new", told, lambda s, b=box, p=part: s.mailboxes.fetch_new(b, p(s)), rows=2 * FEW
            )


def _conversations() -> Iterator[Case]:
    for who, number in ((HUGE, HOT_NUMBER), (HUGE, "+12025550117"), (BIG, "+12025550117"), (SMALL, "nobody")):
        for side in (None, *Side):

            def position(s: Stores, side: Side | None = side) -> Position | None:
                n = MESSAGES // 2
                return None if side is None else Position(int(s.place.at(n).timestamp()), s.place.id(n), side)

            told = f"of {number} in {who}, {'one end' if side is None else f'the middle, {side.name}'}"
            yield Case(
                "ConversationStore.after",
                told,
                lambda s, of=(who, number, position): s.conversations.after(of[0], of[1], of[2](s), count=PAGE),
            )
            yield Case(
                "ConversationStore.before",
                told,
                lambda s, of=(who, number, position): s.conversations.before(of[0], of[1], of[2](s), count=PAGE),
            )
    for who, after in product((HUGE, BIG, SMALL, EMPTY), ("", "+447700930000")):
        yield Case(
            "ConversationStore.numbers",
            f"of {who} after {after!r}",
            lambda s, of=(who, after): s.conversations.numbers(of[0], after=of[1], count=PAGE),
        )
    yield Case("ConversationStore.is_assigned", "one", lambda s: s.conversations.is_assigned(HUGE, "+11000000001"))
    for only in (None, SMALL):
        yield Case(
            "ConversationStore.accounts_of",
            f"in {only}",
            lambda s, o=only: s.conversations.accounts_of([HOT_PARTY, HOT_PARTY[1:]], only=o),
            rows=CONFIGURED,
        )


def _lists() -> Iterator[Case]:
    parties = {
        "": {},
        "a sender": {"sender": HOT_NUMBER},
        "a recipient": {"recipient": HOT_PARTY},
        "a party": {"party": "+12025550117"},
        "both parties": {"sender": HOT_NUMBER, "recipient": HOT_PARTY},
    }
    kinds = {
        "": {},
        "failed": {"status": Status.FAILED},
        "inbound": {"direction": Direction.INBOUND},
        "failed inbound": {"status": Status.FAILED, "direction": Direction.INBOUND},
    }
    for party, kind, reference, since, until in product(
        parties, kinds, (None, "campaign"), (False, True), (False, True)
    ):
        wanted = {**parties[party], **kinds[kind], "reference": reference}
        period = ("since", 0.4) if since else None, ("until", 0.6) if until else None
        plain = not (kind or since or until)
        for who, deep in product(WHO if plain else ("huge",), (False, True)):
            yield Case(
                "MessageLists.page",
                f"of {who}: {party}, {kind}, {reference}, since {since}, until {until}, deep {deep}",
                lambda s, of=(who, wanted, period, deep): s.lists.page(
                    WHO[of[0]], _wanted(s, of[1], of[2]), after=_place(s, of[1]) if of[3] else None, count=PAGE
                ),
                # What it filters by is looked at behind the LIMIT of what it walks.
                alike=bool(kind),
            )


def _wanted(s: Stores, fixed: dict[str, Any], period: tuple[tuple[str, float] | None, ...]) -> Wanted:
    bounds = {one[0]: s.place.at(round(one[1] * MESSAGES)) for one in period if one is not None}
    return Wanted(**fixed, **bounds)


def _place(s: Stores, fixed: dict[str, Any]) -> Place:
    n = MESSAGES // 2
    by_time = fixed["reference"] is None and len(fixed) > 1 and not {"sender", "recipient", "party"}.isdisjoint(fixed)
    return Place(int(s.place.at(n).timestamp()) if by_time else 0, s.place.id(n))


def _operator() -> Iterator[Case]:
    yield Case("MessageStore.get", "one", lambda s: s.messages.get(HUGE, s.place.id(7)))
    yield Case("TimelineStore.history", "one", lambda s: s.timeline.history(s.place.id(900_001), ["send"]))
    for who in (None, *WHO):
        id_ = None if who is None else WHO[who]
        yield Case("FollowStore.latest", f"of {who}", lambda s, a=id_: s.following.latest(a, count=PAGE))
        for n in (0, MESSAGES // 2, MESSAGES - 100):
            yield Case(
                "FollowStore.ids_after",
                f"of {who} after {n}",
                lambda s, of=(n, id_): s.following.ids_after(s.place.id(of[0]), account_id=of[1], count=PAGE),
            )
    yield Case("FollowStore.statuses", "of two", lambda s: s.following.statuses([s.place.id(1), s.place.id(2)]))
    yield Case("FollowStore.listed", "two", lambda s: s.following.listed([s.place.id(1), s.place.id(2)]))
    for unmatched, deep in product((False, True), (False, True)):

        def before(s: Stores, deep: bool = deep) -> ReceiptPlace:
            return ReceiptPlace(s.place.at(MESSAGES // 2), s.place.id(MESSAGES // 2)) if deep else LATEST

        yield Case(
            "LeftoverStore.receipts",
            f"unmatched {unmatched}, deep {deep}",
            lambda s, of=(unmatched, before): s.leftovers.receipts(count=PAGE, unmatched=of[0], before=of[1](s)),
        )
    for told, n in (("the first", None), ("from the middle", MESSAGES // 2)):
        yield Case(
            "ArrivalStore.unowned",
            told,
            lambda s, n=n: s.arrivals.unowned(PAGE, None if n is None else s.place.id(n, "7007")),
        )
        yield Case(
            "LeftoverStore.unowned",
            told,
            lambda s, n=n: s.leftovers.unowned(count=PAGE, before=LATEST.id if n is None else s.place.id(n, "7007")),
        )
        yield Case(
            "WordStore.doubtful",
            told,
            lambda s, n=n: s.words.doubtful(HUGE, after="" if n is None else str(s.place.id(n)), count=PAGE),
        )
    yield Case("RemovalStore.redact", "one", lambda s: s.removal.redact(HUGE, s.place.id(900_001)))
    yield Case("RemovalStore.delete", "one", lambda s: s.removal.delete(HUGE, s.place.id(900_011)))
    yield Case("CarrierStatusStore.by_carrier", "all", lambda s: s.carriers.by_carrier())
    yield Case("CarrierStatusStore.processes", "of one", lambda s: s.carriers.processes(1))
    for carrier_id in (None, 1):
        # It counts up to ten thousand.
        yield Case("CarrierStatusStore.depth", str(carrier_id), lambda s, c=carrier_id: s.carriers.depth(c), 11_000)


def _jobs() -> Iterator[Case]:
    yield Case("ArrivalStore.close_overdue", "some", lambda s: s.arrivals.close_overdue(s.place.at(999_500), 100))
    yield Case("ArrivalStore.undelivered", "all", lambda s: s.arrivals.undelivered(500))
    yield Case(
        "ArrivalStore.purge",
        "a few",
        lambda s: s.arrivals.purge(keys_before=s.place.at(800_100), sets_before=s.place.at(500)),
    )
    # The claim walks from account to account, each of a priority; some three thousand wait.
    yield Case("OutboxStore.claim", "a window", lambda s: s.outbox.claim(1, PAGE, LEASE), rows=8000)
    yield Case(
        "IntakeStore.opted_out",
        "two",
        lambda s: s.intake.opted_out({(HUGE, "12025550110", "441000005"), (HUGE, "12025550110", "44")}),
    )
    for carrier_id, deep in product((1, None), (False, True)):
        yield Case(
            "ReroutingStore.waiting",
            f"for {carrier_id}, deep {deep}",
            lambda s, of=(carrier_id, deep): s.rerouting.waiting(
                of[0], PAGE, (1, HUGE, s.place.at(950_000), s.place.id(950_000)) if of[1] else None
            ),
        )
    yield Case("ReroutingStore.orphaned", "all", lambda s: s.rerouting.orphaned())
    yield Case("ReceiptStore.reported", "of two", lambda s: s.receipts.reported(["ref-900001", "ref-900009"]))
    yield Case("ReceiptStore.respelled_for", "one", lambda s: s.receipts.respelled_for({"new": ["ref-900001"]}, 1))
    for deep in (False, True):

        def behind(s: Stores, deep: bool = deep) -> ReceiptPlace:
            return ReceiptPlace(s.place.at(999_000), s.place.id(999_000, "7002")) if deep else LATEST

        yield Case(
            "StrayStore.look_through",
            f"six hours, deep {deep}",
            lambda s, p=behind: s.strays.look_through(s.place.now - timedelta(hours=6), p(s), PAGE),
        )
    yield Case("StrayStore.listed", "the latest", lambda s: s.strays.listed(PAGE))
    yield Case("StrayStore.unproven", "the latest", lambda s: s.strays.unproven(PAGE))
    yield Case("StrayStore.rivals", "of one", lambda s: s.strays.rivals([s.place.id(900_001, "7001")]))
    yield Case("StrayStore.explained", "the latest", lambda s: s.strays.explained(PAGE))
    yield Case("SimulatorLedger.claim", "a window", lambda s: s.simulator.claim(PAGE, LEASE))
    yield Case("SimulatorLedger.next_due", "the first", lambda s: s.simulator.next_due())
    yield Case("StopStore.since", "an hour", lambda s: _all(s.stops.since(s.place.now - timedelta(hours=1))))
    yield Case("expiring.purge_pairs", "a few", lambda s: _within(s, expiring.purge_pairs))
    yield Case("expiring.purge_windows", "a few", lambda s: _within(s, expiring.purge_windows))


def _webhooks() -> Iterator[Case]:
    for who, after in product((None, HUGE, SMALL), (0, 20)):
        yield Case(
            "WebhookStore.page",
            f"of {who} after {after}",
            lambda s, of=(who, after): s.webhooks.page(account_id=of[0], after=of[1], count=PAGE),
        )
    yield Case("WebhookStore.enabled", "all", lambda s: s.webhooks.enabled(), CONFIGURED)
    for endpoint_id, deep, failed in product((1, 200), (False, True), (False, True)):
        yield Case(
            "WebhookStore.attempts",
            f"at {endpoint_id}, deep {deep}, failed {failed}",
            lambda s, of=(endpoint_id, deep, failed): s.webhooks.attempts(
                of[0], before=s.place.id(MESSAGES // 2, "7004") if of[1] else None, count=PAGE, failed=of[2]
            ),
        )
    for endpoint_id, per_message in ((1, False), (26, False), (26, True)):
        # It looks through a thousand events of everybody at a time.
        yield Case(
            "WebhookStore.replay",
            f"an hour, to {endpoint_id}, per message {per_message}",
            lambda s, of=(endpoint_id, per_message): _replay(s, *of),
            rows=1000 + FEW,
        )
    yield Case("WebhookStore.replay_event", "one", _replay_event)
    yield Case("WebhookStore.named", "one", lambda s: s.webhooks.named(HUGE, "https://customer.example/1"))
    yield Case("WebhookStore.purge", "a few", lambda s: s.webhooks.purge(s.place.at(200)))
    yield Case("KeyedCallStore.purge", "a few", lambda s: s.calls.purge(s.place.at(500)))
    # The claim walks from endpoint to endpoint.
    yield Case(
        "WebhookQueue.claim", "a window", lambda s: s.hooks.claim(PAGE, each=PAGE, at_most={}, lease=LEASE), 4000
    )
    yield Case("WebhookQueue.finish", "one, and one again", _finish)
    yield Case("WebhookQueue.drop", "what waits for one", lambda s: s.hooks.drop([399]))


async def _replay(s: Stores, endpoint_id: int, per_message: bool) -> None:
    endpoint = replace(await s.webhooks.get(endpoint_id), per_message=per_message)
    await s.webhooks.replay(endpoint, s.place.now - timedelta(hours=1), s.place.now)


async def _finish(s: Stores) -> None:
    event_id = s.place.id(900_004, "7003")
    ended = Ended(endpoint_id=1, event_id=event_id, status=200, error=None, milliseconds=1, ended_at=s.place.now)
    again = replace(ended, event_id=s.place.id(900_008, "7003"), error="status 500", again_after=timedelta(0))
    await s.hooks.finish([ended, again])


async def _replay_event(s: Stores) -> None:
    await s.webhooks.replay_event(await s.webhooks.get(1), s.place.id(500_004, "7003"))


async def _all(rows: Any) -> None:
    async for _ in rows:
        pass


async def _within(s: Stores, purge: Callable[..., Awaitable[int]]) -> None:
    async with s.database.write() as connection:
        await purge(connection, now=s.place.at(MESSAGES // 2), rows=PAGE)


CASES: Final = tuple(
    case
    for some in (_accounts, _numbers, _opt_outs, _boxes, _conversations, _lists, _operator, _jobs, _webhooks)
    for case in some()
)
