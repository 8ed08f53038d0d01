"""The pace of a bind: even, never above its cap, learned from refusals, regained after them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.carriers.pace import Pace, capped


@given(st.floats(0.5, 5000), st.lists(st.floats(0.0001, 0.3), min_size=1, max_size=60))
def test_no_second_ever_has_more_than_the_cap(rate: float, pauses: list[float]) -> None:
    meter = capped(rate)
    now = 1000.0
    went: list[float] = []
    for pause in pauses:
        now += pause
        allowed = meter.allowed(now)
        assert allowed is not None
        for _ in range(allowed):
            meter.take(now)
            went.append(now)
        assert meter.allowed(now) == 0
        assert sum(1 for instant in went if instant > now - 1) <= ceil(rate)


def test_a_cap_of_nothing_is_no_cap() -> None:
    assert capped(0).allowed(1.0) is None
    assert Pace().allowed(1.0) is None
    assert Pace().rate is None


def test_a_meter_says_how_many_may_go_ahead_of_their_turn() -> None:
    meter = capped(100)
    meter.take(10.0)
    assert (meter.allowed(10.0), meter.allowed(10.0, 0.1)) == (1, 11)


@dataclass(frozen=True, slots=True)
class Trial:
    """A carrier, simulated: what it takes at an instant, given what it took in the last second."""

    name: str
    seconds: float
    takes: Callable[[float, int], bool]
    at_least: int
    refusals_at_most: int


TRIALS = [
    Trial("50 a second", 6.2, lambda now, lately: lately < 50, 295, 60),
    Trial("5 a second", 10.0, lambda now, lately: lately < 5, 44, 110),
    Trial("1,000 a second", 5.0, lambda now, lately: lately < 1000, 4600, 110),
    Trial("nothing for 10 s, then 50 a second", 20.0, lambda now, lately: now > 10 and lately < 50, 280, 120),
    Trial("nothing from second 3 to 13", 20.0, lambda now, lately: not 3 < now < 13 and lately < 50, 400, 80),
    Trial("50 a second, 20 after 5 s", 15.0, lambda now, lately: lately < (50 if now < 5 else 20), 390, 80),
    Trial("20 a second, 200 after 5 s", 25.0, lambda now, lately: lately < (20 if now < 5 else 200), 1200, 200),
]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_the_pace_of_a_carrier_that_takes(trial: Trial) -> None:
    """A window of 100, answers after 20 ms, always something to send."""
    pace = Pace()
    taken: list[float] = []
    refused = 0
    answers: list[tuple[float, float, bool]] = []
    for tick in range(int(trial.seconds * 1000)):
        now = 100 + tick / 1000
        while answers and answers[0][0] <= now:
            _, submitted_at, ok = answers.pop(0)
            if ok:
                pace.accepted(now)
            else:
                pace.throttled(now, submitted_at)
        allowed = pace.allowed(now)
        for _ in range(min(100 - len(answers), 100 if allowed is None else allowed)):
            pace.take(now)
            ok = trial.takes(tick / 1000, sum(1 for instant in taken[-1100:] if instant > now - 1))
            if ok:
                taken.append(now)
            refused += not ok
            answers.append((now + 0.02, now, ok))
    assert len(taken) >= trial.at_least
    assert refused <= trial.refusals_at_most


def test_refusals_of_what_was_under_way_teach_one_lesson() -> None:
    pace = Pace()
    for _ in range(50):
        pace.accepted(10.0)
    pace.throttled(10.0, 9.9)
    rate = pace.rate
    assert rate == pytest.approx(48.5)
    for _ in range(50):
        pace.throttled(10.01, 9.9)
    assert pace.rate == rate
    assert pace.opens_in(10.01) == pytest.approx(1.0)


def test_one_refusal_of_little_traffic_costs_little_speed() -> None:
    pace = Pace()
    for _ in range(100):
        pace.accepted(10.0)
    pace.throttled(10.0, 9.9)
    pace.accepted(20.0)
    pace.throttled(20.0, 19.9)
    assert pace.rate is not None
    assert pace.rate > 65
