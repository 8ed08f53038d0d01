"""What people write, as a bound driver takes it: committed, then acknowledged, and told from its repeat."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from longcode.carriers.port import InboundPart
from longcode.smpp import pdu
from longcode.smpp.text import Concatenation
from tests.carriers.smpp_world import CARRIER_ID, driven, one_bind, until


async def test_a_message_of_a_person_is_acknowledged_after_its_commit() -> None:
    async with driven() as (smsc, desk):
        desk.gate.clear()
        delivering = asyncio.ensure_future(smsc.deliver(source="12025550102", destination="12025550101", text="Hi"))
        await until(lambda: bool(desk.driver._inbound._task))
        assert not delivering.done()
        desk.gate.set()
        assert await delivering == [0]
        (message,) = desk.inbound
        assert (message.carrier_id, message.text, message.part) == (CARRIER_ID, "Hi", None)


async def test_a_database_that_is_down_makes_the_carrier_try_again() -> None:
    async with driven() as (smsc, desk):
        desk.storage_down = True
        assert await smsc.deliver(source="12025550102", destination="12025550101", text="Hi") == [0x64]
        desk.storage_down = False
        assert await smsc.deliver(source="12025550102", destination="12025550101", text="Hi") == [0]
        assert len(desk.inbound) == 1


@pytest.mark.parametrize("by", Concatenation)
async def test_the_parts_of_a_message_come_one_by_one(by: Concatenation) -> None:
    text = "A long message of a person. " * 10
    async with driven() as (smsc, desk):
        assert await smsc.deliver(source="12025550102", destination="12025550101", text=text, by=by) == [0, 0]
        assert [message.part for message in desk.inbound] == [InboundPart(1, 2, 0), InboundPart(1, 2, 1)]
        assert "".join(message.text for message in desk.inbound) == text
        assert len({message.fingerprint for message in desk.inbound}) == 2


@pytest.mark.parametrize("in_order", [True, False], ids=["after an unbind", "after a cut"])
async def test_what_was_answered_before_an_unbind_is_known_no_more(in_order: bool) -> None:
    async with driven() as (smsc, desk):
        await smsc.deliver(source="12025550102", destination="12025550101", text="YES")
        if not in_order:
            smsc.cut()
            await until(lambda: not desk.bound)
        await desk.driver.close()
        (message,) = desk.inbound
        assert desk.forgotten == ([message.fingerprint] if in_order else [])


async def test_the_same_words_twice_are_two_messages_and_a_repeat_is_one() -> None:
    async with driven() as (smsc, desk):
        deliver = partial(smsc.deliver, source="12025550102", destination="12025550101", text="YES")
        await deliver()
        await deliver()
        assert desk.inbound[0].fingerprint != desk.inbound[1].fingerprint
        smsc.cut()
        await until(lambda: one_bind(desk).reconnects == 1 and desk.bound)
        await deliver()
        assert desk.inbound[2].fingerprint == desk.inbound[1].fingerprint


async def test_a_command_that_nobody_expects_is_refused() -> None:
    async with driven() as (smsc, desk):
        request = pdu.DataSm(source_addr="12025550102", destination_addr="12025550101")
        assert await smsc.sessions[0].request(request) == pdu.DataSmResp()
        smsc.sessions[0].notify(pdu.AlertNotification(source_addr="12025550102"))
        assert await smsc.deliver(source="12025550102", destination="12025550101", text="still here") == [0]
        assert [message.text for message in desk.inbound] == ["", "still here"]
