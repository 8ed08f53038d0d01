"""The window: numbers go around, and none is used twice while an answer may come."""

from __future__ import annotations

from longcode.smpp.constants import MAX_SEQUENCE_NUMBER
from longcode.smpp.pdu import EnquireLink
from longcode.smpp.window import Pending, Window


def _hold(window: Window, deadline: float = 1.0) -> Pending:
    pending = Pending(EnquireLink(), lambda _: None, None, True)
    pending.sequence_number = window.next_sequence_number()
    pending.deadline = deadline
    window.add(pending)
    return pending


def test_numbers_start_at_one_after_the_last() -> None:
    window = Window(10, first_sequence_number=MAX_SEQUENCE_NUMBER)
    assert [_hold(window).sequence_number for _ in range(3)] == [MAX_SEQUENCE_NUMBER, 1, 2]


def test_a_number_in_flight_or_late_is_passed_over() -> None:
    window = Window(10)
    first, second = _hold(window, deadline=1.0), _hold(window, deadline=2.0)
    assert list(window.expire(1.5)) == [first]
    again = Window(10, first_sequence_number=MAX_SEQUENCE_NUMBER)
    again._outstanding, again._late = window._outstanding, window._late
    assert [again.next_sequence_number() for _ in range(2)] == [MAX_SEQUENCE_NUMBER, 3]
    assert window.take(second.sequence_number) is second
    assert window.take_late(first.sequence_number) is first
    assert window.take_late(first.sequence_number) is None


def test_slots_come_back_when_a_request_is_taken_or_expires() -> None:
    window = Window(2)
    first, _ = _hold(window, deadline=1.0), _hold(window, deadline=2.0)
    assert window.free_slots == 0
    window.take(first.sequence_number)
    assert window.free_slots == 1
    assert window.next_deadline() == 2.0
    assert len(list(window.expire(3.0))) == 1
    assert (window.free_slots, len(window), window.next_deadline()) == (2, 0, None)
