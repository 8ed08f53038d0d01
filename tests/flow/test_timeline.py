"""The timeline's sentences: what each record is told as, and what is said to happen next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from longcode.carriers.smpp_submit import REJECTED, TEMPORARY, THROTTLED
from longcode.domain.causes import FAILURES, why_failed, why_undelivered
from longcode.domain.message import Direction, Medium, Status, is_final
from longcode.flow.outlook import KnownCarrier, Names
from longcode.flow.story import Numbered
from longcode.flow.timeline import carrier_of, tell
from longcode.store.timeline import Ended, History, Queued, Reported, Tried
from tests.messages import text_message

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
NAMES = Names({7: KnownCarrier("north"), 8: KnownCarrier("south", paused=True)})


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def tried(number: int, seconds: float, index: int = 0, total: int = 1, carrier_id: int = 7) -> Tried:
    return Tried(UUID(int=number), index, total, carrier_id, at(seconds))


def ended(
    number: int,
    kind: str,
    seconds: float,
    index: int = 0,
    total: int = 1,
    *,
    reference: str | None = None,
    code: str | None = None,
    reason: str | None = None,
    carrier_id: int = 7,
) -> Ended:
    return Ended(UUID(int=number), kind, index, total, carrier_id, reference, code, reason, at(seconds))


def reported(status: str, seconds: float, reference: str = "ref", **changes: Any) -> Reported:
    values: dict[str, Any] = {"carrier_id": 7, "error_code": None, "whole_message": False}
    values |= changes
    return Reported(
        UUID(int=99),
        values["carrier_id"],
        reference,
        status,
        values["error_code"],
        values["whole_message"],
        None,
        None,
        at(seconds),
    )


def queued(due: float = 0, *, carrier_id: int | None = 7, leased: float | None = None) -> Queued:
    return Queued(carrier_id, 5, at(due), None if leased is None else at(leased), at(86400), 0)


@dataclass(frozen=True, slots=True)
class TimelineCase:
    """said: (event, part of its sentence) of all events, in order."""

    what: str
    status: Status
    said: list[tuple[str, str]]
    queued: Queued | None = None
    attempts: tuple[Tried, ...] = ()
    outcomes: tuple[Ended, ...] = ()
    receipts: tuple[Reported, ...] = ()
    message: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    now: float = 100

    def history(self) -> History:
        values: dict[str, Any] = {"id": UUID(int=1), "status": self.status, "created_at": START}
        return History(
            message=text_message(**values | self.message),
            account="acme",
            updated_at=at(50),
            key=self.key,
            queued=self.queued,
            attempts=self.attempts,
            outcomes=self.outcomes,
            receipts=self.receipts,
        )


ACCEPTED = ended(1, "accepted", 2, reference="ref")
SENT_ONCE = [("accepted", ""), ("queued", "waits for carrier north"), ("claimed", ""), ("handed_over", "the message")]
CASES = [
    TimelineCase(
        "a message with its key that was delivered",
        Status.DELIVERED,
        [
            ("accepted", "accepted from account acme by /api/messages/ with key one"),
            ("queued", "waits for carrier north"),
            ("claimed", "claimed for carrier north; the attempt is on record before anything is sent"),
            ("handed_over", "the message handed over to carrier north"),
            ("answered", "carrier north accepted the message as ref"),
            ("receipt", "carrier north reports the message (ref) delivered"),
            ("ended", "delivered: its receipts report every segment delivered"),
            ("state", "delivered: nothing follows"),
        ],
        attempts=(tried(1, 1),),
        outcomes=(ACCEPTED,),
        receipts=(reported("delivered", 3),),
        key="messages:one",
    ),
    TimelineCase(
        "waiting for its turn",
        Status.QUEUED,
        [
            ("accepted", "without a reference"),
            ("queued", "waits for carrier north, priority 5 (0 goes first), valid until 2026-11-23T10:00:00.000Z"),
            ("state", "queued: waits for its turn at carrier north, due since 2026-11-22T10:00:00.000Z"),
        ],
        queued=queued(),
    ),
    TimelineCase(
        "waiting for a time",
        Status.QUEUED,
        [("accepted", ""), ("queued", ""), ("state", "waits until 2026-11-22T10:05:00.000Z for its next try")],
        queued=queued(300),
    ),
    TimelineCase(
        "scheduled",
        Status.SCHEDULED,
        [("accepted", ""), ("queued", ""), ("state", "is scheduled for 2026-11-22T10:05:00.000Z at carrier north")],
        queued=queued(300),
    ),
    TimelineCase(
        "scheduled, and put off for a pace",
        Status.SCHEDULED,
        [("accepted", ""), ("queued", ""), ("state", "waits until 2026-11-22T10:05:00.000Z for its next try")],
        queued=replace(queued(300), deferrals=1),
    ),
    TimelineCase(
        "no route",
        Status.ACCEPTED,
        [("accepted", ""), ("state", "accepted: no route carries +12025550101; it waits for one until 2026-11-23")],
        queued=queued(carrier_id=None),
    ),
    TimelineCase(
        "a paused carrier",
        Status.QUEUED,
        [
            ("accepted", ""),
            ("queued", "carrier south"),
            ("state", "carrier south is paused; it waits until 2026-11"),
        ],
        queued=queued(carrier_id=8),
    ),
    TimelineCase(
        "past its validity",
        Status.QUEUED,
        [("accepted", ""), ("queued", ""), ("state", "about to fail as expired")],
        queued=queued(),
        now=90000,
    ),
    TimelineCase(
        "in a process's hands",
        Status.QUEUED,
        [*SENT_ONCE, ("state", "a process has claimed it for carrier north")],
        queued=queued(leased=160),
        attempts=(tried(1, 99),),
    ),
    TimelineCase(
        "put off twice, then again",
        Status.QUEUED,
        [
            *SENT_ONCE,
            (
                "answered",
                "put the message off: throttled: the carrier takes no more at this rate (slow down); tried "
                "again at 2026-11-22T10:00:05.000Z",
            ),
            ("claimed", "claimed for carrier north, try 2"),
            ("handed_over", ""),
            (
                "answered",
                "put the message off: queue_full: the carrier's own queue is full; tried again at "
                "2026-11-22T10:05:00.000Z",
            ),
            ("state", "waits until 2026-11-22T10:05:00.000Z for its next try at carrier north"),
        ],
        queued=queued(300),
        attempts=(tried(1, 1), tried(2, 5)),
        outcomes=(
            ended(1, "deferred", 2, code="throttled", reason="slow down"),
            ended(2, "deferred", 6, code="queue_full"),
        ),
    ),
    TimelineCase(
        "refused by one carrier, then taken by the next",
        Status.SENT,
        [
            ("accepted", ""),
            ("queued", "waits for carrier north"),
            ("claimed", "claimed for carrier north;"),
            ("handed_over", ""),
            ("answered", "carrier north rejected the message: system_error"),
            ("moved", "goes on to carrier south: carrier north refused it (system_error)"),
            ("claimed", "claimed for carrier south, try 2"),
            ("handed_over", "to carrier south"),
            ("answered", "carrier south accepted"),
            ("state", "sent"),
        ],
        attempts=(tried(1, 1), tried(2, 3, carrier_id=8)),
        outcomes=(
            ended(1, "rejected", 2, code="system_error"),
            ended(2, "accepted", 4, reference="ref", carrier_id=8),
        ),
    ),
    TimelineCase(
        "put off by one carrier, waits for the next",
        Status.QUEUED,
        [
            ("accepted", ""),
            ("queued", "waits for carrier north"),
            ("claimed", ""),
            ("handed_over", ""),
            ("answered", "put the message off"),
            ("moved", "goes on to carrier south: carrier north put it off too often or too long (throttled)"),
            ("state", "carrier south is paused"),
        ],
        queued=queued(2, carrier_id=8),
        attempts=(tried(1, 1),),
        outcomes=(ended(1, "deferred", 2, code="throttled"),),
    ),
    TimelineCase(
        "rejected",
        Status.FAILED,
        [
            *SENT_ONCE,
            ("answered", "carrier north rejected the message: invalid_sender: the carrier does not allow this sender"),
            ("ended", "failed: invalid_sender: the carrier does not allow this sender"),
            ("state", "failed: nothing follows"),
        ],
        attempts=(tried(1, 1),),
        outcomes=(ended(1, "rejected", 2, code="invalid_sender"),),
        message={"error": "invalid_sender"},
    ),
    TimelineCase(
        "not answered, waiting for proof",
        Status.SENDING,
        [
            *SENT_ONCE,
            (
                "answered",
                "no answer from carrier north about the message (timeout): it may have been sent; sent again "
                "only if this carrier deduplicates",
            ),
            (
                "state",
                "may have been sent; waits for a receipt as proof; at 2026-11-23T10:15:00.000Z it fails as "
                "outcome_unknown",
            ),
        ],
        queued=queued(86400 + 900),
        attempts=(tried(1, 1),),
        outcomes=(ended(1, "unconfirmed", 31, reason="timeout"),),
    ),
    TimelineCase(
        "not answered, asked again at a carrier that deduplicates",
        Status.SENDING,
        [*SENT_ONCE, ("answered", ""), ("state", "carrier north is asked again at 2026-11-22T10:02:00.000Z")],
        queued=queued(120),
        attempts=(tried(1, 1),),
        outcomes=(ended(1, "unconfirmed", 31),),
    ),
    TimelineCase(
        "cut before its answer",
        Status.QUEUED,
        [*SENT_ONCE, ("state", "may have been sent; carrier north is asked again now if it deduplicates")],
        queued=queued(leased=61),
        attempts=(tried(1, 1),),
    ),
    TimelineCase(
        "the second segment put off: only that one is tried again",
        Status.SENT,
        [
            ("accepted", ""),
            ("queued", ""),
            ("claimed", "claimed for carrier north;"),
            ("handed_over", "segment 1 of 2"),
            ("handed_over", "segment 2 of 2"),
            ("answered", "accepted segment 1 of 2 as one"),
            ("answered", "put segment 2 of 2 off"),
            ("claimed", "try 2"),
            ("handed_over", "segment 2 of 2"),
            ("answered", "accepted segment 2 of 2 as two"),
            ("receipt", "reports segment 2 of 2 (two) delivered"),
            ("state", "the carrier has every segment; 1 of 2 are reported delivered so far"),
        ],
        attempts=(tried(1, 1, 0, 2), tried(2, 1, 1, 2), tried(3, 4, 1, 2)),
        outcomes=(
            ended(1, "accepted", 2, 0, 2, reference="one"),
            ended(2, "deferred", 2, 1, 2, code="throttled"),
            ended(3, "accepted", 5, 1, 2, reference="two"),
        ),
        receipts=(reported("delivered", 6, "two"),),
    ),
    TimelineCase(
        "sent, without a receipt",
        Status.SENT,
        [*SENT_ONCE, ("answered", ""), ("state", "sent: the carrier has every segment; waits for a receipt")],
        attempts=(tried(1, 1),),
        outcomes=(ACCEPTED,),
    ),
    TimelineCase(
        "receipts twice and out of order",
        Status.UNDELIVERED,
        [
            *SENT_ONCE,
            ("receipt", "carrier north reports the message (ref) on its way"),
            ("answered", ""),
            ("receipt", "undelivered: undeliv:011: the network could not deliver it (the carrier's error 011)"),
            ("receipt", "(the carrier's error 011); a repeat, it changes nothing"),
            ("receipt", "signed report reports the message (ref) delivered; it came after the final one"),
            ("ended", "undelivered: undeliv:011: the network could not deliver it"),
            ("state", "nothing follows"),
        ],
        attempts=(tried(1, 1),),
        outcomes=(ACCEPTED,),
        receipts=(
            reported("enroute", 1.5),
            reported("undelivered", 3, error_code="undeliv:011"),
            reported("undelivered", 4, error_code="undeliv:011"),
            reported("delivered", 5, carrier_id=None, whole_message=True),
        ),
        message={"error": "undeliv:011"},
    ),
    TimelineCase(
        "on-net",
        Status.DELIVERED,
        [("accepted", ""), ("ended", "to a number of this server, without a carrier"), ("state", "")],
    ),
    TimelineCase(
        "opted out while it waited",
        Status.FAILED,
        [("accepted", ""), ("ended", "failed: opted_out: the recipient opted out"), ("state", "")],
        message={"error": "opted_out"},
    ),
    TimelineCase(
        "opted out at the last moment",
        Status.FAILED,
        [
            ("accepted", ""),
            ("queued", ""),
            ("claimed", ""),
            ("answered", "was kept back and not written to"),
            ("ended", "failed: opted_out: the recipient opted out"),
            ("state", ""),
        ],
        attempts=(tried(1, 1),),
        outcomes=(ended(1, "unwritten", 2),),
        message={"error": "opted_out"},
    ),
    TimelineCase(
        "received",
        Status.RECEIVED,
        [("accepted", "received for account acme"), ("ended", "it came in and is kept"), ("state", "")],
        message={"direction": Direction.INBOUND},
    ),
    TimelineCase(
        "recorded",
        Status.RECORDED,
        [("accepted", "with reference u1"), ("ended", "somebody else carries it"), ("state", "")],
        message={"client_reference": "u1"},
    ),
    TimelineCase(
        "canceled", Status.CANCELED, [("accepted", ""), ("ended", "taken back before"), ("state", "nothing follows")]
    ),
    TimelineCase(
        "a mailbox's",
        Status.DELIVERED,
        [("accepted", "for a mailbox of account acme"), ("ended", "in its recipient's mailbox"), ("state", "")],
        message={"medium": Medium.MAILBOX},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_timeline_says_in_order_what_happened_and_what_follows(case: TimelineCase) -> None:
    events = tell(case.history(), NAMES, at(case.now))
    assert [event.event for event in events] == [event for event, _ in case.said]
    for event, (_, said) in zip(events, case.said, strict=True):
        assert said in event.detail
    assert [event.at for event in events[:-1]] == sorted(event.at for event in events[:-1])
    assert events[-1].at == at(case.now)


@pytest.mark.parametrize("status", Status)
def test_every_status_has_an_ending_or_an_outlook(status: Status) -> None:
    events = tell(TimelineCase("", status, []).history(), NAMES, at(1))
    assert events[-1].detail.startswith(f"{status.value}: ")
    assert any(event.event == "ended" for event in events) is is_final(status)


def test_a_carrier_that_is_gone_is_told_by_its_number() -> None:
    history = TimelineCase("", Status.QUEUED, [], queued=queued(carrier_id=9)).history()
    assert "carrier 9 (removed)" in tell(history, NAMES, at(1))[1].detail
    assert carrier_of(history) == 9


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (ended(1, "deferred", 2, code="not_connected", reason="refused: 10.0.0.1:2775"), False),
        (ended(1, "unconfirmed", 31, reason="10.0.0.1 did not answer"), False),
        (ended(1, "rejected", 2, code="30034", reason="sender 10.0.0.1 is not registered"), True),
    ],
)
def test_an_account_is_told_what_a_carrier_says_and_not_where_it_is(outcome: Ended, told: bool) -> None:
    history = TimelineCase("", Status.QUEUED, [], attempts=(tried(1, 1),), outcomes=(outcome,)).history()
    carriers = {7: KnownCarrier("north")}
    for names, expected in ((Names(carriers), True), (Numbered(carriers), told)):
        details = " ".join(event.detail for event in tell(history, names, at(60)))
        assert ("10.0.0.1" in details) is expected


def test_a_message_at_the_simulator_says_why_it_may_not_be_where_the_routes_lead() -> None:
    names = Names({7: KnownCarrier("simulator", simulated=True), 8: KnownCarrier("north")})

    def told(carrier_id: int, leads_to: int | None) -> str:
        history = TimelineCase("", Status.QUEUED, [], queued=queued(carrier_id=carrier_id)).history()
        return tell(history, names, at(1), leads_to=leads_to)[1].detail

    assert "lead to carrier north now: they changed since, or the call was anonymous" in told(7, 8)
    for carrier_id, leads_to in ((7, 7), (7, None), (8, 7), (8, 8)):
        assert "anonymous" not in told(carrier_id, leads_to)


def test_a_code_that_only_the_carrier_knows_is_said_to_be_that() -> None:
    assert "carrier's own" in why_failed("smpp_0x45f")
    assert "carrier's own" in why_undelivered("777")


def test_every_code_that_the_flow_and_the_smpp_driver_give_is_explained() -> None:
    given = {*REJECTED.values(), *TEMPORARY.values(), *THROTTLED.values(), "expired", "outcome_unknown", "opted_out"}
    assert given <= FAILURES.keys()
