"""A message that the carrier repeats, told from one that a person sent twice; and when it is known no more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from longcode.carriers.smpp_repeats import KEPT_SECONDS, PROMPT_SECONDS, Forgetting, Repeats
from longcode.errors import StorageDown
from longcode.smpp.fields import Tlv
from tests.carriers.smpp_world import mo, until


@dataclass(frozen=True, slots=True)
class Again:
    """The same content comes twice; what happened in between, and whether it is the same message."""

    name: str
    answered: bool | None
    ended_after: float | None
    again_after: float
    same: bool
    other_session: bool = False
    answer_after: float = 0.01


AGAINS = [
    Again("answered on this session: a person wrote it twice", True, None, 60, False),
    Again("both at once on this session: a person wrote it twice", None, None, 0.1, False),
    Again("refused: the carrier repeats it", False, None, 60, True),
    Again("answered too late: the carrier repeats it", True, None, 30, True, answer_after=20),
    Again("never answered, and the connection ended", None, 1, 60, True, True),
    Again("the connection ended right after the answer", True, 0.02, 60, True, True),
    Again("the connection ended long after the answer", True, 3600, 3700, False, True),
    Again("answered, on another connection that still lives", True, None, 60, False, True),
    Again("not answered yet, on another connection", None, None, 1, True, True),
]


@pytest.mark.parametrize("case", AGAINS, ids=lambda case: case.name)
def test_a_repeat_is_told_from_a_second_message(case: Again) -> None:
    repeats, here, there = Repeats(), object(), object()
    content, first = repeats.fingerprint(mo(), here, 100.0)
    if case.answered is not None:
        repeats.answered(content, 100 + case.answer_after, ok=case.answered)
    if case.ended_after is not None:
        repeats.session_ended(here, 100 + case.ended_after)
    _, second = repeats.fingerprint(mo(), there if case.other_session else here, 100 + case.again_after)
    assert (first == second) is case.same


@pytest.mark.parametrize(("age", "new"), [(3600.0, True), (KEPT_SECONDS, False)])
def test_what_was_pushed_out_while_it_is_kept_is_new_when_it_comes_again(age: float, new: bool) -> None:
    repeats, session = Repeats(remembered=2), object()
    prints = []
    for arrived_at, text in ((100.0, b"Yes"), (100.0 + age, b"No"), (100.0 + age, b"Maybe"), (101.0 + age, b"Yes")):
        content, print_ = repeats.fingerprint(mo(text), session, arrived_at)
        repeats.answered(content, arrived_at, ok=True)
        prints.append(print_)
    assert (prints[0] != prints[3]) is new


def test_other_content_is_another_message_and_a_new_process_gives_the_same_prints() -> None:
    session = object()
    different = [mo(), mo(b"Ho"), mo(source_addr="12025550103"), mo(data_coding=3), mo(tlvs=(Tlv(0x204, 1),))]
    prints = {Repeats().fingerprint(pdu, session, 1.0)[1] for pdu in different}
    assert len(prints) == len(different)
    assert {Repeats().fingerprint(pdu, object(), 2.0)[1] for pdu in different} == prints


@dataclass(frozen=True, slots=True)
class End:
    """A message comes at 100, once or twice; whether its answers have surely arrived some time later."""

    name: str
    settled: bool
    ok: bool = True
    answer_after: float = 0.01
    ended_after: float | None = None
    read_after: float | None = None
    again_after: float | None = None
    asked_after: float = 60.0


ENDS = [
    End("answered, and the session goes on", True),
    End("answered a moment ago", False, asked_after=1),
    End("refused", False, ok=False),
    End("answered too late", False, answer_after=20),
    End("the connection ended right after the answer", False, ended_after=0.02),
    End("the connection ended long after the answer", True, ended_after=30),
    End("the carrier answered an unbind behind it", True, ended_after=0.5, read_after=0.1),
    End("the carrier answered an unbind before it", False, ended_after=0.5, read_after=0.001),
    End("the same words came again, and are not answered", False, again_after=1),
]


@pytest.mark.parametrize("case", ENDS, ids=lambda case: case.name)
def test_what_has_arrived_is_settled(case: End) -> None:
    repeats, session = Repeats(), object()
    content, print_ = repeats.fingerprint(mo(), session, 100.0)
    repeats.answered(content, 100 + case.answer_after, ok=case.ok)
    if case.again_after is not None:
        repeats.fingerprint(mo(), session, 100 + case.again_after)
    if case.ended_after is not None:
        read_until = None if case.read_after is None else 100 + case.read_after
        repeats.session_ended(session, 100 + case.ended_after, read_until)
    settled = repeats.settled(100 + case.asked_after)
    assert [one.fingerprints for one in settled] == ([(print_,)] if case.settled else [])


def test_the_same_words_several_times_are_settled_together() -> None:
    repeats, session, prints = Repeats(), object(), []
    for second in range(3):
        content, print_ = repeats.fingerprint(mo(), session, 100.0 + second)
        repeats.answered(content, 100.0 + second, ok=True)
        prints.append(print_)
    assert repeats.settled(101 + PROMPT_SECONDS) == []
    (settled,) = repeats.settled(102 + PROMPT_SECONDS)
    assert len(set(prints)) == 3
    assert settled.fingerprints == tuple(prints)


def test_what_is_forgotten_begins_anew_and_what_came_meanwhile_does_not() -> None:
    repeats, session = Repeats(), object()
    content, first = repeats.fingerprint(mo(), session, 100.0)
    repeats.answered(content, 100.0, ok=True)
    settled = repeats.settled(110.0)
    _, meanwhile = repeats.fingerprint(mo(), session, 110.0)
    assert meanwhile != first  # the first is not forgotten yet
    repeats.forgotten(settled)
    repeats.answered(content, 110.0, ok=True)
    again = repeats.settled(120.0)
    assert [one.fingerprints for one in again] == [(meanwhile,)]
    repeats.forgotten(again)
    assert repeats.fingerprint(mo(), session, 120.0)[1] == first


async def test_they_are_forgotten_batch_by_batch_once_the_database_is_there() -> None:
    repeats, session, gone = Repeats(), object(), list[bytes]()
    down = True

    async def forget(fingerprints: Sequence[bytes]) -> None:
        nonlocal down
        if down:
            down = False
            raise StorageDown("the database did not answer")
        gone.extend(fingerprints)

    now = asyncio.get_running_loop().time() - 2 * PROMPT_SECONDS
    prints = []
    for text in (b"Yes", b"No"):
        content, print_ = repeats.fingerprint(mo(text), session, now)
        repeats.answered(content, now, ok=True)
        prints.append(print_)
    forgetting = Forgetting(repeats, forget)
    forgetting.start()
    try:
        await until(lambda: len(gone) == 2)
    finally:
        await forgetting.close()
    assert gone == prints
