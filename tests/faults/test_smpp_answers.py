"""An SMSC that answers late, never, twice, out of order or in pieces: each message ends once, none is sent twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from tests.faults.smpp_installation import ANSWERED_WITHIN_SECONDS, ONCE, WINDOW, Installation
from tests.faults.smpp_traffic import DELIVERED, UNKNOWN, Receipts, Traffic
from tests.processes import wait_until_async
from tests.smpp.smsc import Script

MESSAGES = 2000

THROTTLED_SECONDS = 10.0
# Each leaves up to a window unanswered, besides the hundred.
CLOSINGS = 9
LATE = Script(answer_delay_seconds=ANSWERED_WITHIN_SECONDS + 0.5)


@dataclass(frozen=True, slots=True)
class AnswerCase:
    """script: for the first window only, where `first_window` says so."""

    name: str
    script: Script
    first_window: bool = False


ANSWERS = (
    AnswerCase("answers come late", LATE, first_window=True),
    AnswerCase("answers never come", Script(never_answer=True), first_window=True),
    AnswerCase("answers come twice", Script(answer_twice=True)),
    AnswerCase("answers come out of order", Script(out_of_order=10)),
    AnswerCase("receipts come before their answers, and twice", Script(receipt_before_answer=True, receipt_twice=True)),
)


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.name)
async def test_everything_is_delivered_once_where(smpp: Installation, case: AnswerCase) -> None:
    traffic = Traffic(smpp, MESSAGES)
    async with traffic.sending(case.script):
        if case.first_window:
            await traffic.taken(WINDOW // 2)
            smpp.smsc.script = Script()
        await traffic.taken(MESSAGES)
    assert await traffic.ends(receipts=Receipts.SENT) == {DELIVERED: MESSAGES}
    assert (await traffic.unconfirmed() > 0) is case.first_window


async def test_without_answers_and_receipts_nothing_is_sent_again_and_the_end_is_unknown(smpp: Installation) -> None:
    traffic = Traffic(smpp, MESSAGES)
    async with traffic.sending(Script(never_answer=True, receipts=False)):
        await traffic.taken(WINDOW // 2)
        smpp.smsc.script = Script()
        await traffic.taken(MESSAGES)
    ends = await traffic.ends(receipts=Receipts.NONE)
    assert ends[UNKNOWN] >= WINDOW // 2
    assert ends[DELIVERED] + ends[UNKNOWN] == MESSAGES


async def test_an_answer_that_is_cut_in_the_middle_proves_nothing(smpp: Installation) -> None:
    traffic = Traffic(smpp, MESSAGES)
    async with traffic.sending(Script(cut_after=traffic.at(WINDOW // 2))):
        await wait_until_async(lambda: not smpp.bound(ONCE), what="the cut")
    assert set(await traffic.ends()) <= {DELIVERED, UNKNOWN}
    assert await traffic.unconfirmed() > 0


async def test_an_smsc_that_closes_after_every_hundred_submits(smpp: Installation) -> None:
    traffic = Traffic(smpp, MESSAGES)
    end = traffic.at(100)

    def closed() -> bool:
        return len(smpp.smsc.taken) >= end and not smpp.bound(ONCE)

    async with traffic.sending(Script(close_after=end)):
        for _ in range(CLOSINGS):
            await wait_until_async(closed, what="an SMSC that closes")
            # Beside those that it took without an answer, as the connection was closing.
            end = len(smpp.smsc.taken) + 100
            smpp.smsc.script = Script(close_after=end)
    assert set(await traffic.ends()) <= {DELIVERED, UNKNOWN}
    assert await traffic.unconfirmed() >= CLOSINGS


async def test_throttling_for_ten_seconds_delays_and_changes_nothing_else(smpp: Installation) -> None:
    traffic, loop = Traffic(smpp, MESSAGES), asyncio.get_running_loop()
    ends_at = loop.time() + THROTTLED_SECONDS
    refused = smpp.smsc.refused
    async with traffic.sending(Script(per_second=150)):
        await wait_until_async(lambda: loop.time() >= ends_at, 2 * THROTTLED_SECONDS, what="the end of the throttling")
        taken = len(smpp.smsc.taken)
        assert taken < traffic.at(MESSAGES)
        smpp.smsc.script = Script()
        await traffic.taken(MESSAGES)
    assert smpp.smsc.refused > refused
    assert await traffic.ends(receipts=Receipts.SENT) == {DELIVERED: MESSAGES}
    # A link begins without the pace that the last one learned.
    smpp.link.kill()
    await smpp.start_link()
