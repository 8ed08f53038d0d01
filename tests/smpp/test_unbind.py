"""The end of a session: who unbinds, and what becomes of what is outstanding."""

from __future__ import annotations

import asyncio

import pytest

from longcode.smpp import pdu
from longcode.smpp.constants import CommandStatus
from longcode.smpp.endpoints import connect, listen
from longcode.smpp.errors import ConnectionCut, ResponseTimeout
from longcode.smpp.framer import Frame
from longcode.smpp.session import Session
from longcode.smpp.states import Role, State
from tests.smpp.loopback import QUICK, SHORT, Holding, accept, pair, raw_esme, raw_smsc, submit_sm, until


async def test_closing_unbinds_and_ends_both_ends() -> None:
    async with pair() as ends:
        await ends.esme.close()
        await ends.smsc.wait_closed()
        assert ends.smsc.close_reason == "the peer unbound"
        assert (ends.esme.state, ends.smsc.state) == (State.CLOSED, State.CLOSED)
        with pytest.raises(ConnectionCut) as caught:
            await ends.esme.request(submit_sm("late"))
        assert not caught.value.written


async def test_the_smsc_may_unbind_too() -> None:
    async with pair() as ends:
        await asyncio.gather(ends.smsc.close(), ends.smsc.close(), ends.esme.wait_closed())
        assert ends.esme.close_reason == "the peer unbound"


async def test_both_may_unbind_at_once() -> None:
    async with pair() as ends:
        async with asyncio.timeout(2):
            await asyncio.gather(ends.smsc.close(), ends.esme.close())


async def test_what_crosses_the_peers_unbind_still_gets_its_answer() -> None:
    session = Session(Role.ESME, accept, timers=QUICK)
    async with raw_smsc(session) as peer:
        answers = [asyncio.ensure_future(session.request(submit_sm(text))) for text in "ab"]
        sent = [await peer.read(), await peer.read()]
        peer.send(pdu.Unbind(), 9)
        await until(lambda: session.state is State.UNBINDING)
        peer.send(pdu.SubmitSmResp(message_id="taken"), sent[0].sequence_number)
        peer.send(pdu.SubmitSmResp(command_status=CommandStatus.ESME_RINVBNDSTS), sent[1].sequence_number)
        assert [answer.command_status for answer in await asyncio.gather(*answers)] == [0, 4]
        assert await peer.read() == Frame(9, pdu.UnbindResp())
        assert await peer.ended()


async def test_an_unbind_that_leaves_requests_unanswered_is_answered_when_their_time_is_over() -> None:
    session = Session(Role.ESME, accept, timers=SHORT)
    async with raw_smsc(session) as peer:
        answer = asyncio.ensure_future(session.request(submit_sm("a")))
        await peer.read()
        peer.send(pdu.Unbind(), 9)
        assert await peer.read() == Frame(9, pdu.UnbindResp())
        with pytest.raises((ResponseTimeout, ConnectionCut)):
            await answer


async def test_closing_waits_for_what_is_outstanding() -> None:
    holding = Holding()
    async with pair(smsc=lambda: Session(Role.SMSC, holding, timers=QUICK)) as ends:
        answer = asyncio.ensure_future(ends.esme.request(submit_sm("a")))
        await until(lambda: len(holding.held) == 1)
        closing = asyncio.ensure_future(ends.esme.close())
        await until(lambda: ends.esme.state is State.UNBINDING)
        holding.release()
        await closing
        assert await answer == pdu.SubmitSmResp(message_id="a")


async def test_an_unbind_is_answered_after_what_came_before_it() -> None:
    holding = Holding()
    async with raw_esme(holding) as (peer, _):
        peer.send(submit_sm("a"), 2)
        peer.send(pdu.Unbind(), 3)
        await until(lambda: len(holding.held) == 1)
        holding.release()
        assert await peer.read() == Frame(2, pdu.SubmitSmResp(message_id="a"))
        assert await peer.read() == Frame(3, pdu.UnbindResp())
        assert await peer.ended()


async def test_an_unbind_that_is_not_answered_still_ends() -> None:
    session = Session(Role.ESME, accept, timers=SHORT)
    async with raw_smsc(session):
        await session.close()
        assert session.state is State.CLOSED


async def test_a_closing_server_unbinds_its_sessions() -> None:
    server = await listen("127.0.0.1", 0, lambda: Session(Role.SMSC, accept, timers=QUICK))
    session = await connect("127.0.0.1", server.port, Session(Role.ESME, accept, timers=QUICK))
    await session.bind(pdu.BindTransceiver())
    await server.close()
    await session.wait_closed()
    assert session.close_reason == "the peer unbound"
    assert server.sessions == set()
