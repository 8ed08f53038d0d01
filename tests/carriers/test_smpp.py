"""The SMPP driver before a scripted SMSC, over real connections, with each fault that carriers show."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from longcode.carriers.port import Accepted, Capacity, Deferred, ReceiptStatus, Rejected, Unconfirmed
from longcode.carriers.smpp_link import pause_seconds
from longcode.carriers.smpp_settings import LongMessages, Mode, ReceiptPolicy
from longcode.smpp import pdu
from longcode.smpp.incoming import Answer
from longcode.smpp.session import Session
from tests.carriers.smpp_world import (
    RECIPIENT,
    Desk,
    accepted,
    driven,
    one_bind,
    open_desk,
    submission,
    until,
)
from tests.smpp.smsc import Script, Smsc
from tests.smpp.test_tls import Identity, identity  # noqa: F401 - a fixture

TO = RECIPIENT.removeprefix("+")


def each_once(desk: Desk) -> bool:
    """Whether every submission has exactly one outcome."""
    return set(map(len, desk.outcomes.values())) == {1}


# Good days


async def test_submissions_are_accepted_under_the_names_that_receipts_have() -> None:
    async with driven() as (smsc, desk):
        outcomes = await desk.send(*(submission(f"m{number}") for number in range(250)))
        assert accepted(outcomes)
        await until(lambda: len(desk.receipts) == 250)
        references = [outcome.reference for outcome in desk.ended(Accepted)]
        assert {receipt.reference for receipt in desk.receipts} == set(references)
        assert {receipt.status for receipt in desk.receipts} == {ReceiptStatus.DELIVERED}
        assert [bytes.fromhex(taken.short_message).decode() for taken in smsc.taken] == [f"m{n}" for n in range(250)]
        assert max(desk.batches) > 1
        assert desk.kicks == 1
        assert (one_bind(desk).state, one_bind(desk).accepted, one_bind(desk).in_flight) == ("bound", 250, 0)


async def test_a_pair_submits_on_one_connection_and_hears_on_the_other() -> None:
    async with driven(mode=Mode.PAIR, binds=2) as (smsc, desk):
        assert sorted(session.state.value for session in smsc.sessions) == ["bound_rx"] * 2 + ["bound_tx"] * 2
        assert accepted(await desk.send(*(submission() for _ in range(20))))
        await until(lambda: len(desk.receipts) == 20)
        names = ["transmitter 1", "receiver 1", "transmitter 2", "receiver 2"]
        assert [status.name for status in desk.driver.status()] == names


@pytest.mark.parametrize("form", LongMessages)
async def test_a_long_message_has_a_receipt_for_each_segment_that_the_carrier_sees(form: LongMessages) -> None:
    async with driven(long_messages=form) as (smsc, desk):
        outcomes = await desk.send_text("A long message. " * 30)
        pieces = 1 if form is LongMessages.PAYLOAD else 4
        assert len(outcomes) == len(smsc.taken) == pieces
        await until(lambda: len(desk.receipts) == pieces)


@pytest.mark.parametrize(("policy", "receipts"), [(ReceiptPolicy.MESSAGE, 1), (ReceiptPolicy.NONE, 0)])
async def test_receipts_come_as_the_carrier_gives_them(policy: ReceiptPolicy, receipts: int) -> None:
    async with driven(receipts=policy) as (smsc, desk):
        assert accepted(await desk.send_text("A long message. " * 30))
        assert sum(taken.registered_delivery for taken in smsc.taken) == receipts
        await until(lambda: len(desk.receipts) == receipts)
        assert all(receipt.whole_message for receipt in desk.receipts)


async def test_binds_share_the_work() -> None:
    async with driven(Script(answer_delay_seconds=0.05), binds=3, window=10) as (_, desk):
        assert accepted(await desk.send(*(submission() for _ in range(30))))
        assert [status.submits for status in desk.driver.status()] == [10, 10, 10]


async def test_more_than_the_windows_hold_waits_its_turn() -> None:
    async with driven(window=5) as (smsc, desk):
        assert accepted(await desk.send(*(submission(f"{number}") for number in range(50))))
        assert [bytes.fromhex(taken.short_message).decode() for taken in smsc.taken] == [str(n) for n in range(50)]


async def test_capacity_is_what_the_windows_hold_and_never_crumbs() -> None:
    async with driven(Script(never_answer=True), window=20, binds=2, response_timeout_seconds=1.0) as (_, desk):
        assert desk.driver.capacity() == Capacity(40)
        await desk.submit(*(submission() for _ in range(25)))
        assert desk.driver.capacity() == Capacity(15)
        await desk.submit(*(submission() for _ in range(10)))
        assert desk.driver.capacity().segments == 0
        await desk.submit(*(submission() for _ in range(10)))
        assert desk.driver.capacity().segments == 0


async def test_answers_that_make_room_say_so() -> None:
    async with driven(Script(answer_delay_seconds=0.05), window=20) as (_, desk):
        await desk.submit(*(submission() for _ in range(20)))
        assert desk.driver.capacity() == Capacity(0)
        await until(lambda: desk.kicks == 2)
        assert desk.driver.capacity().segments >= 5


async def test_the_carriers_cap_holds_for_all_binds_together() -> None:
    async with driven(segments_per_second=40, binds=2) as (smsc, desk):
        assert accepted(await desk.send(*(submission() for _ in range(60))))
        times = [taken.time for taken in smsc.taken]
        assert times[-1] - times[0] > 1.4
        # The SMSC's clock sees them a little later than ours, and not all equally.
        assert max(sum(1 for other in times if time <= other < time + 0.95) for time in times) <= 41


# Refusals


async def test_each_refusal_is_an_outcome_of_its_own() -> None:
    refusals = (("12025550111", 0x0B), ("12025550112", 0x58), ("12025550113", 0x08), ("12025550114", 0x445))
    async with driven(Script(reject=refusals)) as (_, desk):
        outcomes = await desk.send(*(submission(recipient=number) for number, _ in refusals), submission())
        assert [(type(one), getattr(one, "code", "")) for one in outcomes] == [
            (Rejected, "invalid_destination"),
            (Deferred, "throttled"),
            (Deferred, "system_error"),
            (Rejected, "smpp_0x445"),
            (Accepted, ""),
        ]


async def test_what_no_pdu_holds_is_rejected_and_nothing_is_sent() -> None:
    async with driven() as (smsc, desk):
        outcomes = await desk.send(
            submission("я", encoding="gsm7"), submission(sender="Я"), submission(sender="x" * 30), submission()
        )
        assert [getattr(outcome, "code", "") for outcome in outcomes] == ["unencodable"] * 3 + [""]
        assert len(smsc.taken) == 1


async def test_a_throttled_answer_teaches_the_pace_and_loses_no_receipt() -> None:
    async with driven(Script(per_second=20)) as (smsc, desk):
        outcomes = await desk.send(*(submission() for _ in range(60)))
        assert Counter(map(type, outcomes)) == {Accepted: 20, Deferred: 40}
        assert one_bind(desk).pace == pytest.approx(20 * 0.97)
        assert one_bind(desk).throttled == 40
        assert desk.driver.capacity().segments == 0
        refused = smsc.refused
        assert accepted(await desk.send(*(submission() for _ in range(15))))
        assert smsc.refused == refused
        await until(lambda: len(desk.receipts) == 35)


async def test_a_bind_that_the_carrier_has_forgotten_is_made_anew() -> None:
    async with driven(Script(reject=((TO, 0x04),))) as (smsc, desk):
        (outcome,) = await desk.send(submission())
        assert isinstance(outcome, Deferred)
        smsc.script = Script()
        await until(lambda: desk.bound and one_bind(desk).reconnects == 1)
        assert accepted(await desk.send(submission()))


class Forgetful(Smsc):
    """Knows nothing of the bind, and says so to one submit at once, and to the others when it is told to."""

    told = asyncio.Event()
    asked = 0

    def _handle(self, session: Session, request: pdu.Pdu) -> Answer:
        if isinstance(request, pdu.SubmitSm):
            self.asked += 1
            return cast(Answer, self._refuse(self.asked))
        return super()._handle(session, request)

    async def _refuse(self, number: int) -> Answer:
        if number > 1:
            await self.told.wait()
        return pdu.SubmitSmResp(command_status=0x04)


async def test_what_crosses_the_word_that_a_bind_is_forgotten_is_answered_too() -> None:
    Forgetful.told = asyncio.Event()
    async with driven(smsc_type=Forgetful) as (_, desk):
        sent = [submission() for _ in range(10)]
        await desk.submit(*sent)
        await until(lambda: not desk.driver.capacity().segments)
        assert len(desk.outcomes) == 1
        Forgetful.told.set()
        await until(lambda: len(desk.outcomes) == 10)
        assert {one.code for one in desk.ended(Deferred)} == {"not_bound"}
        assert len(desk.ended(Deferred)) == 10
        await until(lambda: one_bind(desk).reconnects == 1)
        assert one_bind(desk).last_error == "the carrier says that it is not bound"


async def test_a_forgetful_carrier_that_answers_no_more_is_left_when_the_driver_closes() -> None:
    Forgetful.told = asyncio.Event()
    async with driven(smsc_type=Forgetful, response_timeout_seconds=0.2) as (_, desk):
        await desk.submit(*(submission() for _ in range(3)))
        await until(lambda: not desk.driver.capacity().segments)
        await desk.driver.close()
        assert Counter(map(type, desk.last)) == {Deferred: 1, Unconfirmed: 2}


# Answers that are late, twice, out of order, or never come


async def test_answers_out_of_order_find_their_own_submissions() -> None:
    async with driven(Script(out_of_order=10)) as (smsc, desk):
        sent = [submission(f"m{number}") for number in range(30)]
        outcomes = await desk.send(*sent)
        names = {bytes.fromhex(taken.short_message).decode(): taken.message_id for taken in smsc.taken}
        assert [cast(Accepted, one).reference for one in outcomes] == [names[one.text] for one in sent]


async def test_an_answer_that_comes_twice_counts_once() -> None:
    async with driven(Script(answer_twice=True)) as (_, desk):
        assert accepted(await desk.send(*(submission() for _ in range(20))))
        assert each_once(desk)


async def test_a_receipt_may_come_before_its_answer_and_twice() -> None:
    async with driven(Script(receipt_before_answer=True, receipt_twice=True)) as (_, desk):
        (outcome,) = await desk.send(submission())
        assert isinstance(outcome, Accepted)
        await until(lambda: len(desk.receipts) == 2)
        assert {receipt.reference for receipt in desk.receipts} == {outcome.reference}


async def test_a_late_answer_proves_what_was_unconfirmed() -> None:
    async with driven(Script(answer_delay_seconds=0.4, receipts=False), response_timeout_seconds=0.1) as (smsc, desk):
        desk.storage_down = True
        late = submission()
        assert [type(outcome) for outcome in await desk.send(late)] == [Unconfirmed]
        await until(lambda: desk.refused_commits > 0)
        desk.storage_down = False
        await until(lambda: bool(desk.receipts))
        (receipt,) = desk.receipts
        assert (receipt.attempt_id, receipt.status) == (late.attempt_id, ReceiptStatus.ENROUTE)
        assert receipt.reference == smsc.taken[0].message_id
        assert one_bind(desk).reconnects == 0
        assert each_once(desk)


class Hesitant(Smsc):
    """Refuses every submit, but only when it is told to."""

    told = asyncio.Event()
    status = 0x0B

    def _handle(self, session: Session, request: pdu.Pdu) -> Answer:
        if isinstance(request, pdu.SubmitSm):
            return cast(Answer, self._refuse())
        return super()._handle(session, request)

    async def _refuse(self) -> Answer:
        await self.told.wait()
        return pdu.SubmitSmResp(command_status=self.status)


async def test_a_late_refusal_ends_what_was_unconfirmed() -> None:
    Hesitant.told = asyncio.Event()
    async with driven(smsc_type=Hesitant, response_timeout_seconds=0.1) as (_, desk):
        late = submission()
        assert [type(outcome) for outcome in await desk.send(late)] == [Unconfirmed]
        Hesitant.told.set()
        await until(lambda: bool(desk.receipts))
        (receipt,) = desk.receipts
        assert (receipt.status, receipt.error_code) == (ReceiptStatus.UNDELIVERED, "invalid_destination")
        assert receipt.attempt_id == late.attempt_id
        assert each_once(desk)


class Overloaded(Hesitant):
    """As Hesitant, for its load."""

    status = 0x14


async def test_a_late_answer_that_it_was_too_much_puts_off_what_was_unconfirmed() -> None:
    Hesitant.told = asyncio.Event()
    async with driven(smsc_type=Overloaded, response_timeout_seconds=0.1) as (_, desk):
        late = submission()
        assert [type(outcome) for outcome in await desk.send(late)] == [Unconfirmed]
        Hesitant.told.set()
        await until(lambda: len(desk.outcomes[late]) == 2)
        assert [outcome.code for outcome in desk.ended(Deferred)] == ["queue_full"]


async def test_a_bind_that_never_answers_risks_one_at_a_time_until_it_does() -> None:
    script = Script(never_answer=True, receipts=False)
    async with driven(script, response_timeout_seconds=0.2, window=10) as (smsc, desk):
        outcomes = await desk.send(*(submission() for _ in range(10)))
        assert {type(outcome) for outcome in outcomes} == {Unconfirmed}
        assert desk.driver.capacity() == Capacity(1)
        assert [type(outcome) for outcome in await desk.send(submission())] == [Unconfirmed]
        await until(lambda: desk.bound and one_bind(desk).reconnects == 1)
        assert desk.driver.capacity() == Capacity(1)
        assert one_bind(desk).last_error == "no answer to a submit within 0.2 s"
        smsc.script = Script(receipts=False)
        assert accepted(await desk.send(submission()))
        assert desk.driver.capacity() == Capacity(10)
        assert len(smsc.taken) == 12


# Connections that end


@pytest.mark.parametrize(
    ("failures", "refused", "shortest", "longest"),
    [
        (0, False, 0.25, 0.5),
        (1, False, 0.5, 1.0),
        (4, False, 4.0, 8.0),
        (5, False, 5.0, 10.0),
        (99, False, 5.0, 10.0),
        (0, True, 5.0, 10.0),
        (1, True, 30.0, 60.0),
    ],
)
def test_pauses_grow_with_jitter_and_spare_an_account_that_is_refused(
    failures: int, refused: bool, shortest: float, longest: float
) -> None:
    assert pause_seconds(failures, refused=refused, random=lambda: 0.0) == shortest
    assert pause_seconds(failures, refused=refused, random=lambda: 1.0) == longest


@pytest.mark.parametrize("script", [Script(cut_after=5), Script(close_after=5)], ids=["cut in a PDU", "closed"])
async def test_a_connection_that_ends_leaves_what_was_written_unconfirmed(script: Script) -> None:
    async with driven(script) as (smsc, desk):
        outcomes = await desk.send(*(submission() for _ in range(8)))
        assert Counter(map(type, outcomes)) == {Accepted: 4, Unconfirmed: 4}
        assert each_once(desk)
        await until(lambda: desk.bound and one_bind(desk).reconnects == 1)
        assert accepted(await desk.send(*(submission() for _ in range(8))))
        assert smsc.refused == 0


class Hundred(Smsc):
    """Closes after every hundred submits, with every answer but the last."""

    def answer(self, session: object, sequence_number: int, response: pdu.SubmitSmResp) -> None:
        super().answer(session, sequence_number, response)  # type: ignore[arg-type]
        if len(self.taken) % 100 == 0:
            session.leave()  # type: ignore[attr-defined]


async def test_an_smsc_that_closes_after_every_hundred_submits_is_sent_everything_once() -> None:
    async with driven(smsc_type=Hundred, window=50) as (smsc, desk):
        texts = [f"m{number}" for number in range(500)]
        while texts:
            room = desk.driver.capacity().segments
            if not room:
                await until(lambda: desk.driver.capacity().segments > 0)
                continue
            batch, texts = texts[:room], texts[room:]
            outcomes = await desk.send(*(submission(text) for text in batch))
            texts += [text for text, one in zip(batch, outcomes, strict=True) if isinstance(one, Deferred)]
        assert each_once(desk)
        names = Counter(taken.short_message for taken in smsc.taken)
        assert set(names.values()) == {1}
        # What is unconfirmed was written and is nowhere twice; the rest is accepted.
        assert len(desk.ended(Accepted)) + len(desk.ended(Unconfirmed)) == 500
        assert len(desk.ended(Accepted)) == len(smsc.taken)
        assert one_bind(desk).reconnects >= 4


@pytest.mark.parametrize("jitter", [0.0, 1.0])
async def test_the_first_try_after_an_end_is_within_a_second(jitter: float) -> None:
    loop = asyncio.get_running_loop()
    async with driven(random=lambda: jitter) as (smsc, desk):
        assert accepted(await desk.send(submission()))
        began = loop.time()
        smsc.cut()
        await until(lambda: not desk.bound)
        assert desk.driver.capacity() == Capacity(0)
        await until(lambda: desk.bound)
        assert loop.time() - began < 1
        assert desk.kicks == 2
        assert accepted(await desk.send(submission()))


async def test_without_a_bind_everything_is_deferred_at_once() -> None:
    smsc = await Smsc.start()
    port = smsc.port
    await smsc.stop()
    async with open_desk(port, start=False) as desk:
        outcomes = await desk.send(submission(), submission())
        assert [getattr(outcome, "code", "") for outcome in outcomes] == ["not_connected"] * 2
        await until(lambda: one_bind(desk).state == "waiting")
        assert one_bind(desk).last_error == "no connection: Connection refused"


async def test_a_refused_bind_is_told_in_the_specifications_words() -> None:
    smsc = await Smsc.start(Script(password="another"))
    async with open_desk(smsc.port, start=False) as desk:
        await until(lambda: one_bind(desk).state == "waiting")
        assert one_bind(desk).last_error == "the bind was refused with ESME_RINVPASWD"
        assert smsc.taken == []
    await smsc.stop()


async def test_a_bind_that_the_carrier_lets_wait_holds_up_no_other() -> None:
    async with driven(binds=2, window=10, response_timeout_seconds=20.0) as (smsc, desk):
        blocked = smsc.sessions[0]
        blocked._transport.pause_reading()
        sent = [submission() for _ in range(200)]
        await desk.submit(*sent)
        await until(lambda: len(desk.outcomes) == 190)
        assert accepted(desk.last)
        assert sorted(status.in_flight for status in desk.driver.status()) == [0, 10]
        assert desk.driver.capacity().segments == 10
        blocked._transport.resume_reading()
        await until(lambda: len(desk.outcomes) == 200)
        assert accepted(desk.last)


async def test_closing_waits_for_answers_and_unbinds() -> None:
    async with driven(Script(answer_delay_seconds=0.1)) as (smsc, desk):
        await desk.submit(*(submission() for _ in range(5)))
        await desk.driver.close()
        assert accepted(desk.last)
        assert len(desk.last) == 5
        await until(lambda: not smsc.sessions)
        assert one_bind(desk).state == "closed"
        (outcome,) = await desk.send(submission())
        assert isinstance(outcome, Deferred)


async def test_closing_defers_what_was_not_written_and_leaves_the_rest_unconfirmed() -> None:
    async with driven(Script(never_answer=True), window=2, response_timeout_seconds=0.2) as (_, desk):
        await desk.submit(*(submission() for _ in range(5)))
        await desk.driver.close()
        assert Counter(map(type, desk.last)) == {Unconfirmed: 2, Deferred: 3}
        assert each_once(desk)


async def test_tls_binds_with_certificates_on_both_ends(identity: Identity) -> None:  # noqa: F811 - the fixture
    smsc = await Smsc.start(ssl=identity.context(ssl.Purpose.CLIENT_AUTH))
    pem = str(identity.pem)
    async with open_desk(smsc.port, tls=True, tls_ca=pem, tls_cert=pem) as desk:
        assert accepted(await desk.send(submission()))
    async with open_desk(smsc.port, tls=True, tls_verify=False, tls_cert=pem) as desk:
        assert accepted(await desk.send(submission()))
    async with open_desk(smsc.port, tls=True, start=False) as desk:
        await until(lambda: one_bind(desk).state == "waiting")
        assert "certificate verify failed" in one_bind(desk).last_error
    async with open_desk(smsc.port, tls=True, tls_ca=str(Path(pem).parent / "none"), start=False) as desk:
        await until(lambda: one_bind(desk).state == "waiting")
        assert f"tls_ca {Path(pem).parent / 'none'}: No such file" in one_bind(desk).last_error
    await smsc.stop()
