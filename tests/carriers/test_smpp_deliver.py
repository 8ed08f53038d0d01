"""What a carrier delivers: receipts in every form in use, messages, and the commit before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.carriers.port import CarrierReceipt, InboundPart, InboundSms, ReceiptStatus
from longcode.carriers.smpp_deliver import STATES, Gather, inbound_sms, receipt_in, response_to
from longcode.carriers.smpp_settings import Alphabet, ReceiptIds, ReceiptPolicy
from longcode.encoding.segments import Encoding, split
from longcode.errors import StorageDown
from longcode.smpp.constants import MessageState, Tag
from longcode.smpp.fields import Tlv
from longcode.smpp.pdu import DataSm, DataSmResp, DeliverSm, DeliverSmResp
from longcode.smpp.text import Concatenation, carry
from tests.carriers.smpp_world import CARRIER_ID, mo, settings_for, until
from tests.smpp.strategies import one

PLAIN = settings_for(2775)


def _receipt(text: str = "", *tlvs: Tlv, **fields: Any) -> CarrierReceipt:
    pdu = DeliverSm(
        source_addr="12025550101",
        destination_addr="MyCorp",
        esm_class=4,
        short_message=text.encode("latin-1"),
        tlvs=tlvs,
    )
    found = receipt_in(pdu, CARRIER_ID, replace(PLAIN, **fields))
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class Form:
    """A receipt as a carrier writes it, and what it says."""

    name: str
    text: str
    tlvs: tuple[Tlv, ...]
    reference: str
    status: ReceiptStatus
    error_code: str | None = None
    also: str | None = None


FORMS = [
    Form(
        "the form of Appendix B",
        "id:4f2 sub:001 dlvrd:001 submit date:2611221000 done date:2611221001 stat:DELIVRD err:000 text:Hello",
        (),
        "4f2",
        ReceiptStatus.DELIVERED,
    ),
    Form(
        "hexadecimal where the answer was decimal",
        "id:4f2 stat:DELIVRD",
        (),
        "4f2",
        ReceiptStatus.DELIVERED,
        also="1266",
    ),
    Form(
        "decimal where the answer was hexadecimal",
        "id:1266 stat:DELIVRD",
        (),
        "1266",
        ReceiptStatus.DELIVERED,
        also="4f2",
    ),
    Form("padded", "id:0000001266 stat:DELIVRD", (), "0000001266", ReceiptStatus.DELIVERED, also="1266"),
    Form("upper case", "id:4F2A stat:DELIVRD", (), "4F2A", ReceiptStatus.DELIVERED, also="4f2a"),
    Form("undeliverable, and why", "id:1 stat:UNDELIV err:069", (), "1", ReceiptStatus.UNDELIVERED, "undeliv:069"),
    Form("expired without a code", "id:1 stat:EXPIRED", (), "1", ReceiptStatus.UNDELIVERED, "expired"),
    Form(
        "a code that does not end",
        f"id:1 stat:REJECTD err:{'9' * 200}",
        (),
        "1",
        ReceiptStatus.UNDELIVERED,
        "rejectd:" + "9" * 56,
    ),
    Form("on its way", "id:1 stat:ACCEPTD err:000", (), "1", ReceiptStatus.ENROUTE),
    Form("nobody knows", "id:1 stat:UNKNOWN", (), "1", ReceiptStatus.ENROUTE),
    Form("a state that no table knows", "id:1 stat:HUNGRY", (), "1", ReceiptStatus.ENROUTE),
    Form(
        "only parameters",
        "",
        (Tlv(Tag.receipted_message_id, "77"), Tlv(Tag.message_state, 2)),
        "77",
        ReceiptStatus.DELIVERED,
    ),
    Form(
        "parameters before text",
        "id:1 stat:UNDELIV err:001",
        (Tlv(Tag.receipted_message_id, "77"), Tlv(Tag.message_state, 2)),
        "77",
        ReceiptStatus.DELIVERED,
    ),
    Form(
        "the network's code where the text has none",
        "id:1 stat:UNDELIV",
        (Tlv(Tag.network_error_code, b"\x03\x00\x1b"),),
        "1",
        ReceiptStatus.UNDELIVERED,
        "undeliv:27",
    ),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_receipt_in_this_form_is_understood(form: Form) -> None:
    receipt = _receipt(form.text, *form.tlvs)
    assert (receipt.reference, receipt.status, receipt.error_code) == (form.reference, form.status, form.error_code)
    assert form.also is None or form.also in receipt.alternatives
    assert receipt.reference not in receipt.alternatives
    assert (receipt.carrier_id, receipt.sender, receipt.recipient) == (CARRIER_ID, "MyCorp", "12025550101")


def test_a_receipt_that_names_no_message_is_like_its_repeat_and_like_no_other() -> None:
    texts = ["", "", "stat:DELIVRD err:000", "stat:DELIVRD err:000", "stat:UNDELIV err:001"]
    found = [_receipt(text) for text in texts]
    assert all(not receipt.alternatives for receipt in found)
    names = [receipt.reference for receipt in found]
    assert names[0] == names[1] != names[2] == names[3] != names[4]
    assert found[0].status is ReceiptStatus.ENROUTE
    assert all(name and len(name) <= 64 for name in names)


def test_every_state_settles_something_or_says_that_it_does_not() -> None:
    assert set(STATES) == {state.name for state in MessageState}


def test_a_carrier_whose_ids_are_verbatim_has_no_other_forms() -> None:
    assert _receipt("id:4f2 stat:DELIVRD", receipt_ids=ReceiptIds.VERBATIM).alternatives == ()


def test_a_receipt_a_message_reports_on_the_whole_message() -> None:
    assert _receipt("id:1 stat:DELIVRD", receipts=ReceiptPolicy.MESSAGE).whole_message
    assert not _receipt("id:1 stat:DELIVRD").whole_message


def test_the_record_keeps_what_came_and_no_nul() -> None:
    receipt = _receipt("id:1 stat:DELIVRD\0", Tlv(Tag.message_state, 2), Tlv(0x1400, b"\x01"))
    assert receipt.raw == "id:1 stat:DELIVRD\ufffd message_state=2 0x1400=01"
    assert len(_receipt("x" * 254, Tlv(0x1400, b"x" * 5000)).raw) == 2000


def test_a_data_sm_may_be_a_receipt() -> None:
    pdu = DataSm(esm_class=4, tlvs=(Tlv(Tag.receipted_message_id, "77"), Tlv(Tag.message_state, 5)))
    found = receipt_in(pdu, CARRIER_ID, PLAIN)
    assert found is not None
    assert (found.reference, found.error_code) == ("77", "undeliv")


# Messages


def _read(pdu: DeliverSm | DataSm, **settings: Any) -> InboundSms:
    return inbound_sms(pdu, CARRIER_ID, replace(PLAIN, **settings), b"print")


@dataclass(frozen=True, slots=True)
class Mo:
    """A message as it comes, and its text."""

    name: str
    pdu: DeliverSm | DataSm
    text: str
    settings: dict[str, Any]


MESSAGES = [
    Mo("GSM 7 bit", mo(b"5 \x1be"), "5 €", {}),
    Mo("Latin-1", mo(b"\xe9", data_coding=3), "é", {}),
    Mo("UCS-2", mo(b"\xd8\x3d\xde\x00", data_coding=8), "😀", {}),
    Mo("a default alphabet that is Latin-1", mo(b"\xe9@"), "é@", {"default_alphabet": Alphabet.LATIN1}),
    Mo("in message_payload", mo(b"", tlvs=(Tlv(Tag.message_payload, b"long"),)), "long", {}),
    Mo("by data_sm", DataSm(tlvs=(Tlv(Tag.message_payload, b"data"),)), "data", {}),
    Mo("data, not text", mo(b"\x00\xff", data_coding=4), "00ff", {}),
    Mo("U+0000, which no table takes", mo(b"a\0b", data_coding=3), "a\ufffdb", {}),
    Mo("half a character, alone", mo(b"\xd8\x3d", data_coding=8), "\ufffd", {}),
]


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.name)
def test_a_message_is_read(case: Mo) -> None:
    message = _read(case.pdu, **case.settings)
    assert (message.text, message.part, message.fingerprint) == (case.text, None, b"print")


def test_an_international_number_has_its_plus_and_others_stay_as_they_are() -> None:
    message = _read(mo(destination_addr="20255", dest_addr_ton=3))
    assert (message.sender, message.recipient) == ("+12025550101", "20255")
    assert _read(mo(source_addr="Bank", source_addr_ton=1)).sender == "Bank"


@pytest.mark.parametrize("by", Concatenation)
def test_parts_say_where_they_belong(by: Concatenation) -> None:
    parts = []
    for segment in split("x" * 400, reference=77):
        carried = carry(segment, by=by)
        parts.append(_read(mo(carried.short_message, esm_class=carried.esm_class, tlvs=carried.tlvs)))
    assert [part.part for part in parts] == [InboundPart(77, 3, index) for index in range(3)]
    assert "".join(part.text for part in parts) == "x" * 400


def test_a_character_that_was_cut_in_two_is_whole_again_when_the_parts_are_joined() -> None:
    octets = "😀".encode("utf-16-be")
    header = b"\x05\x00\x03\x09\x02"
    first = _read(mo(header + b"\x01" + octets[:2], esm_class=0x40, data_coding=8))
    second = _read(mo(header + b"\x02" + octets[2:], esm_class=0x40, data_coding=8))
    joined = (first.text + second.text).encode("utf-16", "surrogatepass").decode("utf-16")
    assert joined == "😀"


@dataclass(frozen=True, slots=True)
class Octets:
    """What a part brings to be joined with the others before all is decoded."""

    name: str
    data_coding: int
    octets: bytes
    encoding: Encoding | None
    default: Alphabet = Alphabet.GSM7


OCTETS = [
    Octets("an escape without what it changes", 0, b"5 \x1b", Encoding.GSM7),
    Octets("a message class, and its escape", 0xF1, b"5 \x1b", Encoding.GSM7),
    Octets("UCS-2 cut within a unit", 8, b"\x00a\x00", Encoding.UCS2),
    Octets("a default alphabet that is Latin-1", 0, b"\xe9", Encoding.LATIN1, Alphabet.LATIN1),
    Octets("an alphabet of one octet a character that is none of ours", 6, b"\xb0", None),
    Octets("data", 4, b"\x00\xff", None),
]


@pytest.mark.parametrize("case", OCTETS, ids=lambda case: case.name)
def test_a_part_brings_its_octets_where_they_are_in_an_encoding_of_ours(case: Octets) -> None:
    pdu = mo(b"\x05\x00\x03\x09\x02\x01" + case.octets, esm_class=0x40, data_coding=case.data_coding)
    part = _read(pdu, default_alphabet=case.default)
    assert (part.encoding, part.octets) == (case.encoding, case.octets if case.encoding else b"")


@given(delivery=st.one_of(one(DeliverSm), one(DataSm)), default=st.sampled_from(Alphabet))
def test_whatever_comes_can_be_kept(delivery: DeliverSm | DataSm, default: Alphabet) -> None:
    settings = replace(PLAIN, default_alphabet=default)
    message = inbound_sms(delivery, CARRIER_ID, settings, b"print")
    kept = [message.sender, message.recipient, message.text, message.raw]
    receipt = receipt_in(delivery, CARRIER_ID, settings)
    if receipt is not None:
        assert len(receipt.error_code or "") <= 64
        kept += [
            receipt.reference,
            receipt.error_code or "",
            receipt.raw,
            receipt.sender or "",
            receipt.recipient or "",
        ]
        kept += receipt.alternatives
    assert not any("\0" in text for text in kept)
    if message.part is None:
        message.text.encode()


# Commit, then answer


class Table:
    """Takes what it is told to take."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def take(self, items: Sequence[str]) -> None:
        await self.gate.wait()
        if self.down:
            raise StorageDown("down")
        if "poison" in items:
            raise RuntimeError("no table takes this")
        self.batches.append(list(items))


async def test_what_comes_together_is_committed_together_and_answered_after() -> None:
    table = Table()
    table.gate.clear()
    gather = Gather(table.take)
    futures = [gather.put(f"{number}", mo()) for number in range(1200)]
    futures.append(gather.put("data", DataSm()))
    table.gate.set()
    assert await asyncio.gather(*futures) == [DeliverSmResp()] * 1200 + [DataSmResp()]
    assert [len(batch) for batch in table.batches] == [500, 500, 201]


async def test_nothing_is_answered_before_its_commit() -> None:
    table = Table()
    table.gate.clear()
    gather = Gather(table.take)
    future = gather.put("a", mo())
    await until(lambda: not gather._waiting)
    assert not future.done()
    table.gate.set()
    assert await future == DeliverSmResp()


async def test_a_database_that_is_down_asks_for_it_again() -> None:
    table = Table()
    table.down = True
    gather = Gather(table.take)
    assert await gather.put("a", mo()) == DeliverSmResp(command_status=0x64)
    table.down = False
    assert await gather.put("a", mo()) == DeliverSmResp()


async def test_one_bad_delivery_fails_alone() -> None:
    table = Table()
    gather = Gather(table.take)
    answers = await asyncio.gather(*(gather.put(item, mo()) for item in ("a", "poison", "b")))
    assert answers == [DeliverSmResp(), DeliverSmResp(command_status=0x64), DeliverSmResp()]
    assert table.batches == [["a"], ["b"]]


async def test_closing_finishes_what_arrived() -> None:
    table = Table()
    gather = Gather(table.take)
    future = gather.put("a", mo())
    await gather.close()
    assert future.done()


def test_each_kind_of_delivery_has_its_response() -> None:
    assert response_to(mo()) == DeliverSmResp()
    assert response_to(DataSm(), 0x64) == DataSmResp(command_status=0x64)
