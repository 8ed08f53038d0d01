"""Sessions: both roles against each other, and each against a peer that errs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.smpp import codec, pdu
from longcode.smpp.constants import CommandStatus
from longcode.smpp.endpoints import connect, listen
from longcode.smpp.errors import (
    BindRefused,
    ConnectionCut,
    EncodeError,
    ResponseTimeout,
    ResponseUnusable,
    WindowFull,
    WrongBindState,
)
from longcode.smpp.framer import Frame
from longcode.smpp.incoming import Answer
from longcode.smpp.session import Session
from longcode.smpp.states import Role, State
from longcode.smpp.terms import LateResponse, Timers
from longcode.smpp.window import Outcome
from tests.smpp.loopback import QUICK, SHORT, Holding, accept, pair, raw_esme, raw_smsc, submit_sm, until

# Both ends together


async def test_messages_go_both_ways_and_each_gets_its_own_answer() -> None:
    async with pair() as ends:
        answers = await asyncio.gather(*(ends.esme.request(submit_sm(f"m{n}")) for n in range(200)))
        assert answers == [pdu.SubmitSmResp(message_id=f"m{n}") for n in range(200)]
        assert await ends.smsc.request(pdu.DeliverSm(short_message=b"mo")) == pdu.DeliverSmResp()
        assert (ends.esme.state, ends.smsc.state) == (State.BOUND_TRX, State.BOUND_TRX)
        assert ends.smsc.bound_by == pdu.BindTransceiver(system_id="esme")


async def test_the_window_bounds_what_the_peer_holds_and_keeps_the_order() -> None:
    holding = Holding()
    async with pair(
        esme=lambda: Session(Role.ESME, accept, timers=QUICK, window=2),
        smsc=lambda: Session(Role.SMSC, holding, timers=QUICK),
    ) as ends:
        assert ends.esme.free_slots == 2
        answers = [asyncio.ensure_future(ends.esme.request(submit_sm(text))) for text in "abcd"]
        await until(lambda: len(holding.held) == 2)
        assert (ends.esme.free_slots, ends.esme.outstanding) == (0, 2)
        with pytest.raises(WindowFull):
            ends.esme.submit(submit_sm("x"), lambda _: None)
        answers[2].cancel()
        holding.release(1)
        await until(lambda: len(holding.held) == 2)
        assert [request.short_message for request, _ in holding.held] == [b"a", b"d"]  # type: ignore[attr-defined]
        holding.release()
        holding.release()
        assert [(await answers[index]) for index in (0, 1, 3)] == [pdu.SubmitSmResp(message_id=text) for text in "abd"]


async def test_a_callback_gets_the_outcome_and_a_failing_one_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outcomes: list[Outcome] = []

    def fail(outcome: Outcome) -> None:
        raise RuntimeError("the owner's fault")

    async with pair() as ends:
        ends.esme.submit(submit_sm("a"), fail)
        ends.esme.submit(submit_sm("b"), outcomes.append)
        await until(lambda: bool(outcomes))
        assert outcomes == [pdu.SubmitSmResp(message_id="b")]
    assert "owner failed" in caplog.text


async def test_what_cannot_be_encoded_is_not_sent() -> None:
    async with pair() as ends:
        with pytest.raises(EncodeError):
            await ends.esme.request(pdu.SubmitSm(source_addr="x" * 30))
        assert ends.esme.outstanding == 0


@dataclass(frozen=True, slots=True)
class ForbiddenCase:
    """A bind, and a request that it does not allow."""

    name: str
    bind: pdu.Bind | None
    request: pdu.Request


FORBIDDEN = [
    ForbiddenCase("submit before the bind", None, pdu.SubmitSm()),
    ForbiddenCase("enquire_link before the bind", None, pdu.EnquireLink()),
    ForbiddenCase("submit on a receiver", pdu.BindReceiver(), pdu.SubmitSm()),
    ForbiddenCase("query on a receiver", pdu.BindReceiver(), pdu.QuerySm()),
    ForbiddenCase("deliver from an ESME", pdu.BindTransceiver(), pdu.DeliverSm()),
    ForbiddenCase("a second bind", pdu.BindTransmitter(), pdu.BindReceiver()),
]


@pytest.mark.parametrize("case", FORBIDDEN, ids=lambda case: case.name)
async def test_we_do_not_send_what_the_state_forbids(case: ForbiddenCase) -> None:
    async with pair(bind=case.bind) as ends:
        with pytest.raises(WrongBindState):
            await ends.esme.request(case.request)


@pytest.mark.parametrize("case", FORBIDDEN, ids=lambda case: case.name)
async def test_a_peer_that_does_is_told_so(case: ForbiddenCase) -> None:
    async with raw_esme(bound=False) as (peer, session):
        if case.bind is not None:
            peer.send(case.bind, 1)
            await peer.read()
        peer.send(case.request, 2)
        second_bind = isinstance(case.request, pdu.Bind)
        status = CommandStatus.ESME_RALYBND if second_bind else CommandStatus.ESME_RINVBNDSTS
        assert await peer.read() == Frame(2, pdu.refusal(case.request.command_id, status))
        assert session.counters.misplaced == 1


async def test_deliver_sm_does_not_go_to_a_transmitter() -> None:
    async with pair(bind=pdu.BindTransmitter()) as ends:
        with pytest.raises(WrongBindState):
            await ends.smsc.request(pdu.DeliverSm())


async def test_a_refused_bind_says_why_and_can_be_tried_again() -> None:
    def picky(session: Session, request: pdu.Pdu) -> Answer:
        if isinstance(request, pdu.Bind) and request.password != "right":
            return pdu.BindTransceiverResp(command_status=CommandStatus.ESME_RINVPASWD)
        return accept(session, request)

    async with pair(bind=None, smsc=lambda: Session(Role.SMSC, picky, timers=QUICK)) as ends:
        with pytest.raises(BindRefused) as caught:
            await ends.esme.bind(pdu.BindTransceiver(password="wrong"))
        assert caught.value.command_status == CommandStatus.ESME_RINVPASWD
        await ends.esme.bind(pdu.BindTransceiver(password="right"))
        assert ends.esme.state is State.BOUND_TRX


async def test_a_handler_that_fails_is_answered_for() -> None:
    async def fail(session: Session, request: pdu.Pdu) -> Answer:
        if isinstance(request, pdu.Bind):
            return accept(session, request)
        if isinstance(request, pdu.QuerySm):
            return pdu.SubmitSmResp()
        raise RuntimeError("no database")

    async with pair(smsc=lambda: Session(Role.SMSC, fail, timers=QUICK)) as ends:
        failed = pdu.SubmitSmResp(command_status=CommandStatus.ESME_RSYSERR)
        assert await ends.esme.request(submit_sm("a")) == failed
        misfit = pdu.QuerySmResp(command_status=CommandStatus.ESME_RSYSERR)
        assert await ends.esme.request(pdu.QuerySm(message_id="1")) == misfit


async def test_an_alert_and_an_outbind_reach_the_handler_and_are_not_answered() -> None:
    seen: list[pdu.Pdu] = []

    def note(session: Session, request: pdu.Pdu) -> Answer:
        seen.append(request)
        return None

    async with pair(bind=None, esme=lambda: Session(Role.ESME, note, timers=QUICK)) as ends:
        ends.smsc.notify(pdu.Outbind(system_id="smsc"))
        await until(lambda: len(seen) == 1)
        await ends.esme.bind(pdu.BindReceiver())
        ends.smsc.notify(pdu.AlertNotification(source_addr="12025550101"))
        await until(lambda: len(seen) == 2)
        assert ends.smsc.counters.unexpected_responses == 0


# Cuts, timeouts and late answers


async def test_a_cut_tells_what_was_written_from_what_was_not() -> None:
    session = Session(Role.ESME, accept, timers=QUICK, window=1)
    async with raw_smsc(session) as peer:
        written = asyncio.ensure_future(session.request(submit_sm("a")))
        queued = asyncio.ensure_future(session.request(submit_sm("b")))
        await peer.read()
        peer.writer.transport.abort()
        outcomes = await asyncio.gather(written, queued, return_exceptions=True)
        assert [(type(error), error.written) for error in outcomes] == [  # type: ignore[union-attr]
            (ConnectionCut, True),
            (ConnectionCut, False),
        ]


async def test_a_request_cut_before_the_loop_turned_was_not_written() -> None:
    session = Session(Role.ESME, accept, timers=QUICK)
    outcomes: list[Outcome] = []
    async with raw_smsc(session) as peer:
        session.submit(submit_sm("a"), outcomes.append)
        session.abort()
        assert await peer.ended()
        await session.wait_closed()
    assert [(type(error), error.written) for error in outcomes] == [(ConnectionCut, False)]  # type: ignore[union-attr]


async def test_a_late_response_is_reported_with_its_request() -> None:
    late: list[LateResponse] = []
    session = Session(Role.ESME, accept, timers=SHORT, on_late_response=late.append)
    async with raw_smsc(session) as peer:
        with pytest.raises(ResponseTimeout) as caught:
            await session.request(submit_sm("a"))
        frame = await peer.read()
        assert caught.value.sequence_number == frame.sequence_number
        answer = pdu.SubmitSmResp(message_id="77")
        peer.send(answer, frame.sequence_number)
        await until(lambda: bool(late))
        assert late == [LateResponse(frame.sequence_number, submit_sm("a"), answer)]
        peer.send(answer, frame.sequence_number)
        await until(lambda: session.counters.unexpected_responses == 1)


async def test_a_second_response_is_counted_and_ignored() -> None:
    session = Session(Role.ESME, accept, timers=QUICK)
    async with raw_smsc(session) as peer:
        answer = asyncio.ensure_future(session.request(submit_sm("a")))
        frame = await peer.read()
        for _ in range(2):
            peer.send(pdu.SubmitSmResp(message_id="1"), frame.sequence_number)
        assert await answer == pdu.SubmitSmResp(message_id="1")
        await until(lambda: session.counters.unexpected_responses == 1)


async def test_the_answer_to_a_cancelled_request_is_reported_as_late() -> None:
    late: list[LateResponse] = []
    session = Session(Role.ESME, accept, timers=QUICK, on_late_response=late.append)
    async with raw_smsc(session) as peer:
        request = asyncio.ensure_future(session.request(submit_sm("a")))
        frame = await peer.read()
        request.cancel()
        await asyncio.wait((request,))
        peer.send(pdu.SubmitSmResp(message_id="1"), frame.sequence_number)
        await until(lambda: len(late) == 1)


@dataclass(frozen=True, slots=True)
class UnusableCase:
    """Octets of a response after its sequence_number, and what the requester gets."""

    name: str
    command_id: int
    body: bytes


UNUSABLE = [
    UnusableCase("the answer to another command", pdu.DeliverSmResp.command_id, b"\0"),
    UnusableCase("a message_id without NUL", pdu.SubmitSmResp.command_id, b"abc"),
]


@pytest.mark.parametrize("case", UNUSABLE, ids=lambda case: case.name)
async def test_an_unusable_response_fails_only_its_request(case: UnusableCase) -> None:
    session = Session(Role.ESME, accept, timers=QUICK)
    async with raw_smsc(session) as peer:
        request = asyncio.ensure_future(session.request(submit_sm("a")))
        number = (await peer.read()).sequence_number
        peer.writer.write(codec.HEADER.pack(16 + len(case.body), case.command_id, 0, number) + case.body)
        with pytest.raises(ResponseUnusable):
            await request
        assert session.state is State.BOUND_TRX


async def test_a_generic_nack_is_the_response_to_its_request() -> None:
    session = Session(Role.ESME, accept, timers=QUICK)
    async with raw_smsc(session) as peer:
        request = asyncio.ensure_future(session.request(submit_sm("a")))
        peer.send(pdu.GenericNack(command_status=3), (await peer.read()).sequence_number)
        assert await request == pdu.GenericNack(command_status=3)


# Faulty peers


async def test_an_unknown_command_is_nacked_and_the_session_goes_on() -> None:
    async with raw_esme() as (peer, session):
        peer.writer.write(codec.HEADER.pack(20, 0x00000777, 0, 8) + b"abcd")
        assert await peer.read() == Frame(8, pdu.GenericNack(command_status=CommandStatus.ESME_RINVCMDID))
        peer.send(submit_sm("ok"), 9)
        assert await peer.read() == Frame(9, pdu.SubmitSmResp(message_id="ok"))
        assert session.counters.malformed == 1


async def test_an_impossible_length_is_nacked_and_ends_the_session() -> None:
    async with raw_esme() as (peer, _):
        peer.writer.write(codec.HEADER.pack(0x7FFFFFFF, 4, 0, 8))
        assert await peer.read() == Frame(8, pdu.GenericNack(command_status=CommandStatus.ESME_RINVCMDLEN))
        assert await peer.ended()


async def test_a_faulty_field_is_refused_in_the_commands_own_response() -> None:
    async with raw_esme() as (peer, _):
        peer.writer.write(codec.HEADER.pack(22, 4, 0, 8) + b"ABCDEF")
        assert await peer.read() == Frame(8, pdu.SubmitSmResp(command_status=CommandStatus.ESME_RINVPARLEN))


@given(st.lists(st.binary(max_size=100), max_size=5))
@settings(max_examples=30, deadline=None)
def test_no_octets_of_a_peer_harm_another_session(pieces: list[bytes]) -> None:
    async def scenario() -> None:
        async with raw_esme() as (peer, session):
            for piece in pieces:
                peer.writer.write(piece)
            peer.writer.write(codec.HEADER.pack(3, 0, 0, 0) * 7)
            peer.writer.write_eof()
            async with asyncio.timeout(10):
                await session.wait_closed()

    with asyncio.Runner() as runner:
        faults: list[dict[str, object]] = []
        runner.get_loop().set_exception_handler(lambda _, context: faults.append(context))
        runner.run(scenario())
    assert faults == []


async def test_a_peer_with_too_many_requests_is_not_read_from_until_some_are_answered() -> None:
    holding = Holding()
    async with raw_esme(holding, max_incoming=3) as (peer, _):
        for number in range(3):
            peer.send(submit_sm("x"), number + 2)
        await until(lambda: len(holding.held) == 3)
        peer.send(submit_sm("y"), 9)
        peer.send(pdu.EnquireLink(), 10)
        for _ in range(20):
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        assert len(holding.held) == 3
        holding.release()
        await until(lambda: len(holding.held) == 3)
        holding.release()
        assert {(await peer.read()).sequence_number for _ in range(3)} == {2, 3, 10}


async def test_a_peer_that_does_not_read_holds_back_requests_and_they_go_out_later() -> None:
    session = Session(Role.ESME, accept, timers=QUICK, window=100_000)
    async with raw_smsc(session) as peer:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0
        while session.free_slots:
            session.submit(submit_sm("x" * 100), lambda _: None)
            sent += 1
            if sent % 500 == 0:
                await asyncio.sleep(0)
        assert sent < 100_000
        with pytest.raises(WindowFull):
            session.submit(submit_sm("x"), lambda _: None)
        peer.reader._transport.resume_reading()  # type: ignore[attr-defined]
        taken = [await peer.read() for _ in range(sent)]
        assert [frame.sequence_number for frame in taken] == list(range(2, sent + 2))
        assert session.free_slots == 100_000 - sent


# Timers


async def test_a_silent_peer_is_asked_and_then_given_up() -> None:
    timers = Timers(response=0.05, enquire_link=0.05)
    session = Session(Role.ESME, accept, timers=timers)
    async with raw_smsc(session) as peer:
        assert (await peer.read()).pdu == pdu.EnquireLink()
        await session.wait_closed()
        assert session.close_reason == "enquire_link was not answered"


async def test_peers_that_answer_enquire_link_stay_together() -> None:
    timers = Timers(response=1, enquire_link=0.02)
    session = Session(Role.ESME, accept, timers=timers)
    async with raw_smsc(session) as peer:
        for _ in range(3):
            frame = await peer.read()
            assert frame.pdu == pdu.EnquireLink()
            peer.send(pdu.EnquireLinkResp(), frame.sequence_number)
        peer.send(pdu.EnquireLink(), 500)
        assert await peer.read() == Frame(500, pdu.EnquireLinkResp())
        assert session.state is State.BOUND_TRX


async def test_a_peer_that_never_binds_is_closed() -> None:
    timers = Timers(session_init=0.05)
    async with raw_esme(timers=timers, bound=False) as (peer, session):
        assert await peer.ended()
        assert session.close_reason == "no bind in time"


async def test_an_idle_session_is_unbound() -> None:
    timers = Timers(response=1, enquire_link=None, inactivity=0.05)
    async with raw_esme(timers=timers) as (peer, _):
        frame = await peer.read()
        assert frame.pdu == pdu.Unbind()
        peer.send(pdu.UnbindResp(), frame.sequence_number)
        assert await peer.ended()


# Connecting


async def test_a_refused_connection_is_proof_that_nothing_was_sent() -> None:
    server = await listen("127.0.0.1", 0, lambda: Session(Role.SMSC, accept))
    port = server.port
    await server.close()
    with pytest.raises(ConnectionCut) as caught:
        await connect("127.0.0.1", port, Session(Role.ESME, accept))
    assert not caught.value.written
