"""What both adapters of the port promise about paces, on the real servers.

The buckets here fill so slowly that what time the servers take adds nothing.
"""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.expiring.buckets import SECOND, grant
from longcode.expiring.port import Bucket
from tests.expiring.conftest import Opened
from tests.expiring.states import State

FILLS_IN = 1000  # seconds for one token
BURST = 10  # tokens
SLACK = 60.0


def wish(tokens: int = 1, name: str = "a") -> Bucket:
    return Bucket(name, 1 / FILLS_IN, tokens, burst_seconds=FILLS_IN * BURST)


def granted(answers: list[list[float]]) -> int:
    return sum(not any(waits) for waits in answers)


async def test_a_bucket_gives_its_burst_and_then_as_it_fills(state: State) -> None:
    assert granted(await state.expiring.pace([[wish()]] * (BURST + 5))) == BURST
    assert granted(await state.expiring.pace([[wish()]])) == 0
    await state.later(FILLS_IN * 3 + 1)
    assert granted(await state.expiring.pace([[wish()]] * 5)) == 3


async def test_a_bucket_never_holds_more_than_its_burst(state: State) -> None:
    await state.expiring.pace([[wish(BURST)]])
    await state.later(FILLS_IN * BURST * 9)
    assert granted(await state.expiring.pace([[wish()]] * BURST * 2)) == BURST


async def test_a_refusal_says_how_long_to_wait_and_takes_nothing(state: State) -> None:
    await state.expiring.pace([[wish(BURST - 2)]])
    for _ in range(3):
        [[seconds]] = await state.expiring.pace([[wish(5)]])
        assert seconds == pytest.approx(3 * FILLS_IN, abs=SLACK)
    assert granted(await state.expiring.pace([[wish(2)]])) == 1


async def test_the_small_do_not_overtake_the_big_within_one_question(state: State) -> None:
    await state.expiring.pace([[wish(BURST - 2)]])
    answers = await state.expiring.pace([[wish(5)], [wish(1)], [wish(1, "b")]])
    assert [bool(waits[0]) for waits in answers] == [True, True, False]


async def test_more_than_a_bucket_holds_is_granted_once_it_is_full_and_paid_for_later(state: State) -> None:
    assert granted(await state.expiring.pace([[wish(BURST * 2)]])) == 1
    [[seconds]] = await state.expiring.pace([[wish()]])
    assert seconds == pytest.approx((BURST + 1) * FILLS_IN, abs=SLACK)
    [[seconds]] = await state.expiring.pace([[wish(BURST * 2)]])
    assert seconds == pytest.approx(BURST * 2 * FILLS_IN, abs=SLACK)


async def test_a_wish_takes_from_all_its_buckets_or_from_none(state: State) -> None:
    await state.expiring.pace([[wish(BURST, "account")]])
    [[free, empty]] = await state.expiring.pace([[wish(1, "sender"), wish(1, "account")]])
    assert free == 0
    assert empty == pytest.approx(FILLS_IN, abs=SLACK)
    assert granted(await state.expiring.pace([[wish(BURST, "sender")]])) == 1


async def test_asking_for_nothing_is_answered(state: State) -> None:
    assert await state.expiring.pace([]) == []
    assert await state.expiring.pace([[], []]) == [[], []]
    assert await state.expiring.pace([[], [wish()]]) == [[], [0.0]]


@pytest.mark.parametrize("name", ["sender:1:Añ😀:%", "'\";--", "a:\\x00", "a\0", "a\0b"])
async def test_names_are_kept_apart(state: State, name: str) -> None:
    await state.expiring.pace([[wish(BURST, name)]])
    assert granted(await state.expiring.pace([[wish(1, name)], [wish(1, "sender:1:A")], [wish(1, "a")]])) == 2


async def test_processes_that_ask_at_once_share_one_bucket(opened: Opened) -> None:
    async with opened() as one, opened() as other:
        questions = [
            state.expiring.pace([[wish(1, "a"), wish(1, "b")], [wish(1, "b"), wish(1, "c")]])
            for state in (one, other) * 10
        ]
        answers = await asyncio.gather(*questions)
    assert sum(map(granted, answers)) == BURST


WISHES = st.lists(
    st.tuples(st.integers(1, 6), st.floats(0, 5), st.sampled_from([("a",), ("b",), ("a", "b")])), max_size=40
)


@given(rate=st.floats(0.5, 50), burst=st.floats(0.05, 2), asked=WISHES)
def test_within_any_time_a_bucket_gives_no_more_than_its_rate_and_one_burst(
    rate: float, burst: float, asked: list[tuple[int, float, tuple[str, ...]]]
) -> None:
    now = 0.0
    kept = {"a": 0.0, "b": 0.0}
    given_at: list[tuple[float, int]] = []
    for tokens, pause, names in asked:
        now += pause
        answers, changed = grant([[Bucket(name, rate, tokens, burst) for name in names]], kept, now * SECOND)
        kept |= changed
        if not any(answers[0]) and "a" in names:
            given_at.append((now, tokens))
    for first, (start, _) in enumerate(given_at):
        for last in range(first, len(given_at)):
            # The last wish may be more than the bucket holds.
            before = sum(tokens for _, tokens in given_at[first:last])
            end, tokens = given_at[last]
            most = max(rate * (end - start + burst), rate * (end - start) + tokens)
            assert before + tokens <= most + 1e-6
