"""Receipts as SMSCs really write them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.smpp.constants import MessageState, Tag
from longcode.smpp.fields import Tlv
from longcode.smpp.pdu import DeliverSm
from longcode.smpp.receipts import DeliveryReceipt, parse, reference_candidates


@dataclass(frozen=True, slots=True)
class ReceiptCase:
    """A deliver_sm, and the receipt in it."""

    name: str
    text: bytes
    receipt: DeliveryReceipt | None
    esm_class: int = 0x04
    data_coding: int = 0
    tlvs: tuple[Tlv, ...] = ()


RECEIPTS = [
    ReceiptCase(
        "the form of Appendix B",
        b"id:0123456789 sub:001 dlvrd:001 submit date:2611210930 done date:2611210931 "
        b"stat:DELIVRD err:000 text:Hello there",
        DeliveryReceipt("0123456789", "DELIVRD", "000", "2611210930", "2611210931", "Hello there"),
    ),
    ReceiptCase(
        "capitals, and seconds in the dates",
        b"ID:ab-12_x SUB:001 DLVRD:000 SUBMIT DATE:261121093000 DONE DATE:261121093105 "
        b"STAT:undeliv ERR:069 TEXT:",
        DeliveryReceipt("ab-12_x", "UNDELIV", "069", "261121093000", "261121093105", ""),
    ),
    ReceiptCase(
        "another order and missing fields",
        b"stat:EXPIRED done date:2611210931 id:7",
        DeliveryReceipt("7", "EXPIRED", None, None, "2611210931", None),
    ),
    ReceiptCase("spaces after the colons", b"id: 7 stat: REJECTD err: 8", DeliveryReceipt("7", "REJECTD", "8")),
    ReceiptCase("commas between the fields", b"id:7,stat:ACCEPTD,err:0", DeliveryReceipt("7", "ACCEPTD", "0")),
    ReceiptCase("underscores", b"id:7 submit_date:1 done_date:2 stat:DELETED",
                DeliveryReceipt("7", "DELETED", None, "1", "2")),
    ReceiptCase("a state in full", b"id:7 stat:DELIVERED", DeliveryReceipt("7", "DELIVRD")),
    ReceiptCase("a state that nobody defined", b"id:7 stat:LOST", DeliveryReceipt("7", "UNKNOWN")),
    ReceiptCase("a NUL at the end", b"id:7 stat:DELIVRD\0", DeliveryReceipt("7", "DELIVRD")),
    ReceiptCase(
        "a text that pretends",
        b"id:7 sub:001 stat:UNDELIV err:001 text:id:8 stat:DELIVRD",
        DeliveryReceipt("7", "UNDELIV", "001", text="id:8 stat:DELIVRD"),
    ),
    ReceiptCase(
        "parameters go before the text",
        b"id:123 stat:ENROUTE err:000",
        DeliveryReceipt("7b", "DELIVRD", "000"),
        tlvs=(Tlv(Tag.receipted_message_id, "7b"), Tlv(Tag.message_state, MessageState.DELIVRD)),
    ),
    ReceiptCase(
        "parameters alone, without the type bits",
        b"",
        DeliveryReceipt("7b", "UNDELIV", "27"),
        esm_class=0,
        tlvs=(
            Tlv(Tag.receipted_message_id, "7b"),
            Tlv(Tag.message_state, MessageState.UNDELIV),
            Tlv(Tag.network_error_code, b"\3\0\x1b"),
        ),
    ),
    ReceiptCase(
        "a state beyond the table leaves it to the text",
        b"id:7 stat:DELIVRD",
        DeliveryReceipt("7", "DELIVRD"),
        tlvs=(Tlv(Tag.message_state, 99),),
    ),
    ReceiptCase(
        "the text in message_payload",
        b"",
        DeliveryReceipt("7", "DELIVRD"),
        tlvs=(Tlv(Tag.message_payload, b"id:7 stat:DELIVRD"),),
    ),
    ReceiptCase(
        "UCS-2", "id:7 stat:DELIVRD".encode("utf-16-be"), DeliveryReceipt("7", "DELIVRD"), data_coding=8
    ),
    ReceiptCase(
        "an intermediate notification", b"id:7 stat:ENROUTE", DeliveryReceipt("7", "ENROUTE"), esm_class=0x20
    ),
    ReceiptCase("nothing to go by", b"thanks", DeliveryReceipt("", "UNKNOWN")),
    ReceiptCase("a person's message", b"id:7 stat:DELIVRD", None, esm_class=0),
    ReceiptCase("a person's message in parts", b"\5\0\3\1\2\1hi", None, esm_class=0x40),
]  # fmt: skip


@pytest.mark.parametrize("case", RECEIPTS, ids=lambda case: case.name)
def test_a_receipt_is_read(case: ReceiptCase) -> None:
    pdu = DeliverSm(esm_class=case.esm_class, data_coding=case.data_coding, short_message=case.text, tlvs=case.tlvs)
    assert parse(pdu) == case.receipt


@given(st.binary(max_size=254), st.integers(0, 255))
@settings(max_examples=100)
def test_any_deliver_sm_can_be_asked_for_a_receipt(octets: bytes, esm_class: int) -> None:
    parse(DeliverSm(esm_class=esm_class, short_message=octets))


CANDIDATES = [
    ("hexadecimal in the response, decimal in the receipt", "439041101", "1a2b3c4d"),
    ("the same in capitals", "439041101", "1A2B3C4D"),
    ("decimal in the response, hexadecimal in the receipt", "1A2B3C4D", "439041101"),
    ("zeros in the receipt only", "0000000042", "42"),
    ("zeros in the response only", "42", "0000000042"),
    ("hexadecimal with zeros in the response", "42", "0000002A"),
    ("another case", "ab-CD-12", "AB-CD-12"),
    ("a UUID as it is", "0198c0de-7d3b-7000-8000-1234567890ab", "0198c0de-7d3b-7000-8000-1234567890ab"),
    ("a space around it", " 42", "42"),
]


@pytest.mark.parametrize(("receipt", "response"), [c[1:] for c in CANDIDATES], ids=[c[0] for c in CANDIDATES])
def test_the_form_of_the_response_is_among_the_candidates(receipt: str, response: str) -> None:
    candidates = reference_candidates(receipt)
    assert response in candidates
    assert candidates[0] == receipt


@given(st.text(max_size=64))
@settings(max_examples=100)
def test_candidates_are_few_and_each_is_named_once(reference: str) -> None:
    candidates = reference_candidates(reference)
    assert len(set(candidates)) == len(candidates) <= 22
