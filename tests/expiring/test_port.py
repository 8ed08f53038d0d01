"""What both adapters of the port promise, on the real servers."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longcode.expiring.port import Pair, Question, Verdict
from tests.expiring.conftest import Opened
from tests.expiring.states import LIMIT, STOP_TTL_SECONDS, WINDOW_SECONDS, State

ANNA = "12025550101"
BERT = "12025550102"
A_TO_B = Pair(1, ANNA, BERT)
GO_ON = Verdict()
STOPPED = Verdict(stopped=True)


def count(pair: Pair = A_TO_B) -> Question:
    return Question(ask=pair, count=True)


def ask(pair: Pair = A_TO_B) -> Question:
    return Question(ask=pair)


def mark(*pairs: Pair) -> Question:
    return Question(marks=pairs)


@dataclass(frozen=True, slots=True)
class HoldCase:
    name: str
    marked: Pair
    asked: Pair
    holds: bool


HOLD_CASES = [
    HoldCase("a marked pair holds", A_TO_B, A_TO_B, holds=True),
    HoldCase("the pair is ordered", A_TO_B, Pair(1, BERT, ANNA), holds=False),
    HoldCase("another account knows nothing of it", A_TO_B, Pair(2, ANNA, BERT), holds=False),
    HoldCase("another recipient may be written to", A_TO_B, Pair(1, ANNA, "12025550103"), holds=False),
    HoldCase("a colon divides nothing", Pair(1, "a:b", "c"), Pair(1, "a", "b:c"), holds=False),
    HoldCase("an account's number does not run into the sender", Pair(1, "1:a", "b"), Pair(11, "a", "b"), holds=False),
    HoldCase("an escape is not what it stands for", Pair(1, "a%3Ab", "c"), Pair(1, "a:b", "c"), holds=False),
    HoldCase("a backslash escape is not what it stands for", Pair(1, "a\\x00", "c"), Pair(1, "a\0", "c"), holds=False),
    HoldCase("case counts", Pair(1, "MyCorp", "c"), Pair(1, "mycorp", "c"), holds=False),
    HoldCase("letters of any script are kept", Pair(1, "Añ😀:%", "ж"), Pair(1, "Añ😀:%", "ж"), holds=True),
    HoldCase("NUL and a lone surrogate are characters", Pair(1, "\0", "\ud800"), Pair(1, "\0", "\ud800"), holds=True),
    HoldCase("what follows NUL counts", Pair(1, "a\0b", "c"), Pair(1, "a\0c", "c"), holds=False),
    HoldCase("quotes are characters", Pair(1, "'\";--", "{c}"), Pair(1, "'\";--", "{c}"), holds=True),
    HoldCase("an account's number may be large", Pair(2**62, ANNA, BERT), Pair(2**62, ANNA, BERT), holds=True),
]


@pytest.mark.parametrize("case", HOLD_CASES, ids=lambda case: case.name)
async def test_which_pairs_hold(state: State, case: HoldCase) -> None:
    assert await state.expiring.settle([mark(case.marked)]) == [GO_ON]

    verdict = Verdict(stopped=case.holds)
    assert await state.expiring.settle([ask(case.asked)]) == [verdict]
    assert await state.expiring.settle([count(case.asked)]) == [verdict]
    assert await state.expiring.stopped([case.asked]) == ({case.asked} if case.holds else set())


async def test_asking_about_nothing_is_answered(state: State) -> None:
    assert await state.expiring.settle([]) == []
    assert await state.expiring.settle([Question()]) == [GO_ON]
    assert await state.expiring.settle([Question(count=True)]) == [GO_ON]
    assert await state.expiring.stopped([]) == set()
    await state.expiring.give_back([])
    await state.expiring.give_back([ask(), mark(A_TO_B)])
    await state.expiring.restore([])


async def test_a_pair_holds_for_its_lifetime_and_not_longer(state: State) -> None:
    await state.expiring.settle([mark(A_TO_B)])

    await state.later(STOP_TTL_SECONDS - 600)
    assert await state.expiring.settle([ask()]) == [STOPPED]

    await state.later(600)
    assert await state.expiring.settle([ask()]) == [GO_ON]
    assert await state.expiring.stopped([A_TO_B]) == set()


async def test_another_stop_refreshes_the_lifetime(state: State) -> None:
    await state.expiring.settle([mark(A_TO_B)])
    await state.later(STOP_TTL_SECONDS - 600)

    await state.expiring.settle([mark(A_TO_B)])

    await state.later(STOP_TTL_SECONDS - 600)
    assert await state.expiring.settle([ask()]) == [STOPPED]
    await state.later(600)
    assert await state.expiring.settle([ask()]) == [GO_ON]


async def test_a_question_marks_before_it_asks(state: State) -> None:
    question = Question(marks=(Pair(1, BERT, ANNA), A_TO_B), ask=A_TO_B, count=True)

    assert await state.expiring.settle([count(), question, count()]) == [GO_ON, STOPPED, STOPPED]
    assert await state.expiring.stopped([Pair(1, BERT, ANNA)]) == {Pair(1, BERT, ANNA)}


async def test_the_limit_is_reached_by_the_fifty_first_call(state: State) -> None:
    verdicts = [verdict for _ in range(LIMIT) for verdict in await state.expiring.settle([count()])]
    assert verdicts == [GO_ON] * LIMIT

    [refused] = await state.expiring.settle([count()])
    assert not refused.stopped
    assert 0 < refused.over_limit_seconds <= WINDOW_SECONDS


async def test_one_batch_counts_its_calls_in_their_order(state: State) -> None:
    await state.expiring.settle([count()] * (LIMIT - 2))

    first, second, other, third, asked = await state.expiring.settle(
        [count(), count(), count(Pair(1, BERT, ANNA)), count(), ask()]
    )

    assert (first, second, other, asked) == (GO_ON, GO_ON, GO_ON, GO_ON)
    assert third.over_limit_seconds > 0
    # What was refused above was not counted either: one given back is one to spend.
    await state.expiring.give_back([count()])
    assert await admitted(state, count(), calls=3) == 1


@dataclass(frozen=True, slots=True)
class QuotaCase:
    name: str
    pair: Pair
    spent: bool


QUOTA_CASES = [
    QuotaCase("the quota is the sender's, whoever receives", Pair(1, ANNA, "12025550103"), spent=True),
    QuotaCase("another sender has its own", Pair(1, BERT, ANNA), spent=False),
    QuotaCase("another account has its own", Pair(2, ANNA, BERT), spent=False),
]


@pytest.mark.parametrize("case", QUOTA_CASES, ids=lambda case: case.name)
async def test_whose_quota_is_spent(state: State, case: QuotaCase) -> None:
    await state.expiring.settle([count()] * LIMIT)

    [verdict] = await state.expiring.settle([count(case.pair)])

    assert (verdict.over_limit_seconds > 0) is case.spent


async def test_a_window_opens_at_its_first_call_and_does_not_slide(state: State) -> None:
    await state.expiring.settle([count()])
    await state.later(WINDOW_SECONDS - 1200)
    await state.expiring.settle([count()] * (LIMIT - 1))

    [refused] = await state.expiring.settle([count()])
    assert 0 < refused.over_limit_seconds <= 1200

    await state.later(1200)
    assert await admitted(state, count(), calls=LIMIT + 1) == LIMIT


async def test_a_refused_call_does_not_extend_the_window(state: State) -> None:
    await state.expiring.settle([count()] * LIMIT)
    await state.later(WINDOW_SECONDS - 1200)

    assert await admitted(state, count(), calls=3) == 0

    await state.later(1200)
    assert await state.expiring.settle([count()]) == [GO_ON]


async def test_a_stopped_call_is_not_counted(state: State) -> None:
    other = count(Pair(1, ANNA, "12025550103"))
    await state.expiring.settle([mark(A_TO_B)])

    assert await state.expiring.settle([count()] * 3) == [STOPPED] * 3

    assert await admitted(state, other, calls=LIMIT + 1) == LIMIT
    assert await state.expiring.settle([count()]) == [STOPPED]


async def test_asking_without_counting_counts_nothing(state: State) -> None:
    await state.expiring.settle([ask()] * LIMIT)
    await state.expiring.settle([ask(), mark(Pair(1, BERT, ANNA))] * LIMIT)

    assert await admitted(state, count(), calls=LIMIT + 1) == LIMIT


async def test_two_hundred_calls_at_once_are_fifty(state: State) -> None:
    assert await admitted(state, count(), calls=200) == LIMIT


async def test_batches_at_once_are_fifty_for_each_sender(state: State) -> None:
    pairs = [Pair(1, f"1202555{n:04}", BERT) for n in range(100, 108)]
    # Orders differ, as they do between processes.
    batches = [[count(pair) for pair in (pairs if n % 2 else reversed(pairs))] * 5 for n in range(20)]

    answers = await asyncio.gather(*map(state.expiring.settle, batches))

    counted = Counter(
        question.ask
        for batch, verdicts in zip(batches, answers, strict=True)
        for question, verdict in zip(batch, verdicts, strict=True)
        if verdict == GO_ON
    )
    assert counted == dict.fromkeys(pairs, LIMIT)


async def test_what_is_given_back_can_be_spent_again(state: State) -> None:
    await state.expiring.settle([count()] * LIMIT)

    await state.expiring.give_back([count(), ask(), count(), mark(A_TO_B)])

    assert await admitted(state, count(), calls=5) == 2


async def test_giving_back_does_not_move_the_end_of_the_window(state: State) -> None:
    await state.expiring.settle([count()] * LIMIT)
    await state.later(WINDOW_SECONDS - 1200)

    await state.expiring.give_back([count()])

    _, refused = await state.expiring.settle([count(), count()])
    assert 0 < refused.over_limit_seconds <= 1200


async def test_a_window_whose_every_call_was_given_back_was_never_opened(state: State) -> None:
    await state.expiring.settle([count()])
    await state.later(WINDOW_SECONDS - 1200)
    await state.expiring.give_back([count()])

    await state.expiring.settle([count()] * LIMIT)

    [refused] = await state.expiring.settle([count()])
    assert refused.over_limit_seconds > 1200


async def test_more_than_was_counted_cannot_be_given_back(state: State) -> None:
    await state.expiring.settle([count()])

    await state.expiring.give_back([count()] * 5)
    await state.expiring.give_back([count(), count(Pair(1, "nobody", BERT))])

    assert await admitted(state, count(), calls=LIMIT + 5) == LIMIT


async def test_a_window_that_ended_takes_nothing_back(state: State) -> None:
    await state.expiring.settle([count()] * LIMIT)
    await state.later(WINDOW_SECONDS)

    await state.expiring.give_back([count()])

    assert await admitted(state, count(), calls=LIMIT + 1) == LIMIT


async def test_a_restored_pair_holds_for_what_is_left_of_its_lifetime(state: State) -> None:
    old, fresh = Pair(1, BERT, ANNA), Pair(2, ANNA, BERT)
    half_ago = state.now() - timedelta(seconds=STOP_TTL_SECONDS / 2)
    long_ago = state.now() - timedelta(seconds=STOP_TTL_SECONDS + 60)

    await state.expiring.restore([(A_TO_B, half_ago), (old, long_ago), (fresh, state.now())])

    assert await state.expiring.complete()
    assert await state.expiring.stopped([A_TO_B, old, fresh]) == {A_TO_B, fresh}
    await state.later(STOP_TTL_SECONDS // 2)
    assert await state.expiring.stopped([A_TO_B, old, fresh]) == {fresh}


async def test_restoring_never_shortens(state: State) -> None:
    half_ago = state.now() - timedelta(seconds=STOP_TTL_SECONDS / 2)
    long_ago = state.now() - timedelta(seconds=STOP_TTL_SECONDS + 60)
    await state.expiring.settle([mark(A_TO_B)])

    await state.expiring.restore([(A_TO_B, half_ago), (A_TO_B, long_ago)])

    await state.later(STOP_TTL_SECONDS - 600)
    assert await state.expiring.stopped([A_TO_B]) == {A_TO_B}


async def test_restoring_lengthens(state: State) -> None:
    await state.expiring.settle([mark(A_TO_B)])
    await state.later(STOP_TTL_SECONDS - 600)

    await state.expiring.restore([(A_TO_B, state.now())])

    await state.later(1200)
    assert await state.expiring.stopped([A_TO_B]) == {A_TO_B}


async def test_thousands_of_pairs_are_restored_and_asked(state: State) -> None:
    pairs = [Pair(1, ANNA, str(n)) for n in range(2500)]

    await state.expiring.restore([(pair, state.now()) for pair in pairs[::2]])

    assert await state.expiring.stopped(pairs) == set(pairs[::2])


async def test_purging_drops_only_what_has_expired(state: State) -> None:
    stale = [Pair(1, BERT, str(n)) for n in range(1200)]
    await state.expiring.settle([mark(*stale), count(Pair(1, BERT, ANNA))])
    await state.later(WINDOW_SECONDS)
    await state.expiring.settle([mark(A_TO_B), *[count(Pair(1, ANNA, ANNA))] * LIMIT])

    await state.expiring.purge()

    assert await state.expiring.stopped([A_TO_B, *stale]) == {A_TO_B}
    assert await admitted(state, count(Pair(1, ANNA, ANNA)), calls=1) == 0


PARTIES = st.sampled_from(["a", "b", "a:b"])
NUMBERS = itertools.count(1000)
SMALL_LIMIT = 3


def questions_of(account_id: int) -> st.SearchStrategy[list[Question]]:
    pairs = st.builds(Pair, st.just(account_id), PARTIES, PARTIES)
    marks = st.lists(pairs, max_size=1).map(tuple)
    question = st.builds(Question, marks=marks, ask=st.none() | pairs, count=st.booleans())
    return st.lists(question, min_size=1, max_size=12)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_a_batch_is_answered_as_its_questions_one_by_one(opened: Opened, data: st.DataObject) -> None:
    account_id = next(NUMBERS)
    batches = data.draw(st.lists(questions_of(account_id), min_size=1, max_size=3))
    async with opened(limit=SMALL_LIMIT) as state:
        answers = [
            [(verdict.stopped, verdict.over_limit_seconds > 0) for verdict in await state.expiring.settle(batch)]
            for batch in batches
        ]
    assert answers == _one_by_one(batches)


def _one_by_one(batches: list[list[Question]]) -> list[list[tuple[bool, bool]]]:
    marked: set[Pair] = set()
    calls: Counter[str] = Counter()

    def answer(question: Question) -> tuple[bool, bool]:
        marked.update(question.marks)
        if question.ask is None or question.ask in marked or not question.count:
            return (question.ask in marked, False)
        calls[question.ask.sender] += 1
        return (False, calls[question.ask.sender] > SMALL_LIMIT)

    return [[answer(question) for question in batch] for batch in batches]


async def admitted(state: State, question: Question, *, calls: int) -> int:
    """How many of so many calls at once may go on."""
    answers = await asyncio.gather(*[state.expiring.settle([question]) for _ in range(calls)])
    return answers.count([GO_ON])
