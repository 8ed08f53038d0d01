"""The smpp34 package, a codec and client that we did not write, against our SMSC role and our ESME role."""

from __future__ import annotations

import asyncio

import pytest
import smpp34
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.smpp import codec, pdu
from longcode.smpp.endpoints import connect
from longcode.smpp.incoming import Answer
from longcode.smpp.session import Session
from longcode.smpp.states import Role
from tests.smpp.loopback import QUICK, until
from tests.smpp.smsc import Script, Smsc

ADDRESSES = st.from_regex(r"[0-9A-Za-z+]{1,20}", fullmatch=True)
OCTET = st.integers(0, 255)


@given(ADDRESSES, ADDRESSES, st.binary(max_size=254), OCTET, OCTET, st.integers(1, 0x7FFFFFFF))
@settings(max_examples=50)
def test_both_codecs_write_the_same_octets(
    source: str, destination: str, message: bytes, data_coding: int, esm_class: int, sequence_number: int
) -> None:
    theirs = smpp34.SubmitSm(
        source,
        destination,
        message,
        data_coding=data_coding,
        esm_class=esm_class,
        validity_period="000001000000000R",
        tlvs=[smpp34.Tlv(0x020C, b"\1\2")],
        sequence_number=sequence_number,
    ).encode()
    number, ours = codec.decode(theirs)
    assert isinstance(ours, pdu.SubmitSm)
    assert (number, ours.source_addr, ours.short_message) == (sequence_number, source, message)
    assert (ours.tlv(0x020C), ours.validity_period) == (0x0102, "000001000000000R")
    assert codec.encode(ours, number) == theirs


@pytest.mark.parametrize("bind_type", ["TRX", "TX", "RX"])
async def test_its_client_binds_submits_gets_receipts_and_unbinds(bind_type: str) -> None:
    smsc = await Smsc.start(Script(password="secret"))
    try:
        client = smpp34.Client("127.0.0.1", smsc.port, "esme", "secret", bind_type=bind_type)
        peer = await client.connect()
        if bind_type != "RX":
            answer = await peer.submit_sm("12025550102", b"hello", source_addr="12025550101", registered_delivery=1)
            assert answer.is_success
            assert answer.message_id == smsc.taken[0].message_id
            assert bytes.fromhex(smsc.taken[0].short_message) == b"hello"
        if bind_type == "TRX":
            receipt = await peer.next()
            assert isinstance(receipt, smpp34.DeliverSmEvent)
            assert receipt.esm_class == 0x04
            assert b"stat:DELIVRD" in receipt.short_message
        if bind_type != "TX":
            statuses = await smsc.deliver(source="12025550102", destination="12025550101", text="hi there")
            assert statuses == [0]
            delivered = await peer.next()
            assert isinstance(delivered, smpp34.DeliverSmEvent)
            assert delivered.short_message == b"hi there"
        await peer.unbind()
        await until(lambda: not smsc.sessions)
        await client.stop()
    finally:
        await smsc.stop()


async def test_its_client_with_a_wrong_password_is_refused() -> None:
    smsc = await Smsc.start(Script(password="secret"))
    try:
        with pytest.raises(smpp34.SmppError):
            await smpp34.Client("127.0.0.1", smsc.port, "esme", "wrong", connect_timeout_ms=1000).connect()
    finally:
        await smsc.stop()


async def test_its_server_takes_our_messages_and_delivers_to_us(unused_tcp_port: int) -> None:
    delivered: list[bytes] = []

    def take(session: Session, request: pdu.Pdu) -> Answer:
        assert isinstance(request, pdu.DeliverSm)
        delivered.append(request.short_message)
        return pdu.DeliverSmResp()

    async def serve() -> None:
        while True:
            event = await server.next()
            match event:
                case smpp34.Esme():
                    await event.deliver_sm("12025550101", b"welcome", source_addr="12025550102")
                case smpp34.SubmitSmEvent():
                    event.accept(event.short_message.decode())

    server = smpp34.Server("127.0.0.1", unused_tcp_port, system_id="rust")
    await server.start()
    serving = asyncio.ensure_future(serve())
    session = await connect("127.0.0.1", unused_tcp_port, Session(Role.ESME, take, timers=QUICK, window=50))
    try:
        assert (await session.bind(pdu.BindTransceiver(system_id="esme", password="x"))).system_id == "rust"
        submits = (pdu.SubmitSm(destination_addr="1", short_message=b"%d" % n) for n in range(200))
        answers = await asyncio.gather(*(session.request(submit) for submit in submits))
        assert answers == [pdu.SubmitSmResp(message_id=str(n)) for n in range(200)]
        await until(lambda: delivered == [b"welcome"])
        await session.close()
    finally:
        session.abort()
        serving.cancel()
        await server.stop()
