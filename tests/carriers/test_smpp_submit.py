"""Submissions as submit_sm, and answers as outcomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.carriers.port import Accepted, Deferred, Outcome, Rejected
from longcode.carriers.smpp_settings import Alphabet, LongMessages, ReceiptIds, ReceiptPolicy, SmppSettings, Validity
from longcode.carriers.smpp_submit import REJECTED, TEMPORARY, THROTTLED, cut, is_throttle, outcome_of, submit_sm
from longcode.encoding.gsm7 import DEFAULT_ALPHABET, EXTENSION, Unencodable
from longcode.encoding.segments import Encoding, choose
from longcode.smpp import codec
from longcode.smpp.constants import Tag
from longcode.smpp.pdu import GenericNack, Response, SubmitSm, SubmitSmResp
from longcode.smpp.text import read
from tests.carriers.smpp_world import settings_for, submission

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
PLAIN = settings_for(2775)
GSM_TEXT = st.text(DEFAULT_ALPHABET.replace("\x1b", "") + "".join(EXTENSION.values()), min_size=1, max_size=700)
ANY_TEXT = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=400)


def pdus(
    text: str, settings: SmppSettings, reference: int = 0x1234, encoding: Encoding | None = None
) -> list[SubmitSm]:
    """The submit_sm PDUs of a text, as they come off the wire."""
    pieces = cut(text, encoding or choose(text), reference, settings)
    found = []
    for piece in pieces:
        one = submission(
            piece.text,
            encoding=piece.encoding.value,
            segment_index=piece.index,
            segment_total=piece.total,
            segment_reference=reference,
        )
        _, pdu = codec.decode(codec.encode(submit_sm(one, settings), 1))
        assert isinstance(pdu, SubmitSm)
        found.append(pdu)
    return found


# Text


@pytest.mark.parametrize("form", LongMessages)
@given(text=st.one_of(GSM_TEXT, ANY_TEXT), reference=st.integers(0, 0xFFFF))
def test_what_is_cut_and_carried_is_read_as_it_was(form: LongMessages, text: str, reference: int) -> None:
    settings = replace(PLAIN, long_messages=form)
    received = [read(pdu) for pdu in pdus(text, settings, reference)]
    assert "".join(one.text or "" for one in received) == text
    if len(received) > 1:
        parts = [one.part for one in received]
        assert [part.sequence for part in parts if part] == list(range(1, len(parts) + 1))
        assert {part.reference for part in parts if part} == {reference & (0xFF if form == "udh8" else 0xFFFF)}
        assert all(len(one.octets) <= 153 for one in received)


def test_an_escape_and_a_surrogate_pair_are_never_split() -> None:
    assert [read(pdu).text for pdu in pdus("a" * 152 + "€" + "b" * 20, PLAIN)] == ["a" * 152, "€" + "b" * 20]
    assert [read(pdu).text for pdu in pdus("я" * 66 + "😀" + "я" * 20, PLAIN)] == ["я" * 66, "😀" + "я" * 20]


def test_a_payload_is_one_piece_and_a_short_text_needs_none() -> None:
    settings = replace(PLAIN, long_messages=LongMessages.PAYLOAD)
    (long,) = pdus("x" * 1000, settings)
    assert (long.short_message, long.tlv(Tag.message_payload)) == (b"", b"x" * 1000)
    (short,) = pdus("x" * 160, settings)
    assert (short.short_message, short.tlvs) == (b"x" * 160, ())


@dataclass(frozen=True, slots=True)
class Coding:
    """A text, the settings, and what goes out."""

    name: str
    text: str
    settings: dict[str, Any]
    data_coding: int
    octets: bytes


CODINGS = [
    Coding("GSM 7 bit, with an escape", "a€", {}, 0, b"a\x1be"),
    Coding("UCS-2", "я", {}, 8, b"\x04\x4f"),
    Coding("the carrier's own number for UCS-2", "я", {"data_coding_ucs2": 0x18}, 0x18, b"\x04\x4f"),
    Coding("Latin-1 where it may be used and holds the text", "çã", {"latin1": True}, 3, b"\xe7\xe3"),
    Coding("UCS-2 where Latin-1 does not hold it", "я", {"latin1": True}, 8, b"\x04\x4f"),
    Coding("an SMSC whose default is Latin-1", "@è", {"default_alphabet": Alphabet.LATIN1}, 0, b"@\xe8"),
    Coding("what such an SMSC's default lacks", "a€", {"default_alphabet": Alphabet.LATIN1}, 8, b"\0a\x20\xac"),
]


@pytest.mark.parametrize("case", CODINGS, ids=lambda case: case.name)
def test_the_alphabet_is_what_the_carrier_knows(case: Coding) -> None:
    (pdu,) = pdus(case.text, replace(PLAIN, **case.settings))
    assert (pdu.data_coding, pdu.short_message) == (case.data_coding, case.octets)


def test_what_an_encoding_lacks_is_unencodable() -> None:
    with pytest.raises(Unencodable):
        submit_sm(submission("я", encoding="gsm7"), PLAIN)


# The other fields


@dataclass(frozen=True, slots=True)
class Address:
    """A number or a name, and its TON, NPI and digits."""

    value: str
    expected: tuple[int, int, str]
    settings: dict[str, int]


ADDRESSES = [
    Address("+12025550101", (1, 1, "12025550101"), {}),
    Address("12025550101", (1, 1, "12025550101"), {}),
    Address("+1 (202) 555-0101", (1, 1, "12025550101"), {}),
    Address("20255", (3, 0, "20255"), {}),
    Address("20255501", (3, 0, "20255501"), {}),
    Address("+20255501", (1, 1, "20255501"), {}),
    Address("MyCorp", (5, 0, "MyCorp"), {}),
    Address("MyCorp", (0, 9, "MyCorp"), {"source_ton": 0, "source_npi": 9, "dest_ton": 0, "dest_npi": 9}),
]


@pytest.mark.parametrize("case", ADDRESSES, ids=lambda case: f"{case.value} {case.settings or ''}")
def test_an_address_has_the_type_that_it_looks_like(case: Address) -> None:
    settings = replace(PLAIN, **case.settings)
    pdu = submit_sm(submission(sender=case.value, recipient=case.value), settings)
    assert (pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr) == case.expected
    assert (pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr) == case.expected


@pytest.mark.parametrize(
    ("form", "left", "expected"),
    [
        (Validity.RELATIVE, timedelta(hours=4), "000000040000000R"),
        (Validity.RELATIVE, timedelta(days=2, hours=3, minutes=4, seconds=5), "000002030405000R"),
        (Validity.RELATIVE, timedelta(days=90), "000031000000000R"),
        (Validity.RELATIVE, timedelta(seconds=-5), "000000000001000R"),
        (Validity.ABSOLUTE, timedelta(hours=4), "261122140000000+"),
        (Validity.NONE, timedelta(hours=4), ""),
    ],
)
def test_the_validity_is_told_in_the_carriers_form(form: Validity, left: timedelta, expected: str) -> None:
    pdu = submit_sm(submission(expires_at=NOW + left, valid_for=left), replace(PLAIN, validity=form))
    assert pdu.validity_period == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(ReceiptPolicy.SEGMENT, [1, 1, 1]), (ReceiptPolicy.MESSAGE, [0, 0, 1]), (ReceiptPolicy.NONE, [0, 0, 0])],
)
def test_receipts_are_asked_for_as_often_as_the_carrier_gives_them(policy: ReceiptPolicy, expected: list[int]) -> None:
    sent = pdus("x" * 400, replace(PLAIN, receipts=policy))
    assert [pdu.registered_delivery for pdu in sent] == expected


def test_service_type_and_registered_delivery_are_the_carriers() -> None:
    pdu = submit_sm(submission(), replace(PLAIN, service_type="CMT", registered_delivery=0x11))
    assert (pdu.service_type, pdu.registered_delivery) == ("CMT", 0x11)


# Outcomes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and what it means."""

    name: str
    response: Response
    outcome: Outcome
    throttles: bool = False


def _refused(status: int) -> SubmitSmResp:
    return SubmitSmResp(command_status=status)


CARRIER = replace(PLAIN, throttle_statuses=(0x400,), temporary_statuses=(0x45, 0x401))
ONE = submission()
REPLIES = [
    Reply("taken", SubmitSmResp(message_id="m-4711"), Accepted("m-4711", ("M-4711",))),
    Reply("taken under a name with spaces around it", SubmitSmResp(message_id=" 4-7 "), Accepted("4-7")),
    Reply("taken under spaces", SubmitSmResp(message_id="  "), Accepted(f"unnamed-{ONE.attempt_id.hex}")),
    Reply("taken without a name", SubmitSmResp(), Accepted(f"unnamed-{ONE.attempt_id.hex}")),
    Reply("too fast", _refused(0x58), Deferred(1.0, "throttled", "ESME_RTHROTTLED (0x58)"), True),
    Reply("queue full", _refused(0x14), Deferred(1.0, "queue_full", "ESME_RMSGQFUL (0x14)"), True),
    Reply("the carrier's own too fast", _refused(0x400), Deferred(1.0, "throttled", "0x00000400 (0x400)"), True),
    Reply("system error", _refused(0x08), Deferred(2.0, "system_error", "ESME_RSYSERR (0x08)")),
    Reply("temporary error", _refused(0x64), Deferred(2.0, "temporary_error", "ESME_RX_T_APPN (0x64)")),
    Reply("not bound", _refused(0x04), Deferred(2.0, "not_bound", "ESME_RINVBNDSTS (0x04)")),
    Reply("the carrier's own passing fault", _refused(0x401), Deferred(2.0, "temporary_error", "0x00000401 (0x401)")),
    Reply("made passing by the operator", _refused(0x45), Deferred(2.0, "temporary_error", "ESME_RSUBMITFAIL (0x45)")),
    Reply("wrong recipient", _refused(0x0B), Rejected("invalid_destination", "ESME_RINVDSTADR (0x0B)")),
    Reply("wrong sender", _refused(0x0A), Rejected("invalid_sender", "ESME_RINVSRCADR (0x0A)")),
    Reply("wrong validity", _refused(0x62), Rejected("invalid_validity", "ESME_RINVEXPIRY (0x62)")),
    Reply("rejected by the application", _refused(0x66), Rejected("refused_by_carrier", "ESME_RX_R_APPN (0x66)")),
    Reply("permanent error", _refused(0x65), Rejected("permanent_error", "ESME_RX_P_APPN (0x65)")),
    Reply("a status without a code of ours", _refused(0x0E), Rejected("smpp_0x0e", "ESME_RINVPASWD (0x0E)")),
    Reply("a vendor's status", _refused(0x445), Rejected("smpp_0x445", "0x00000445 (0x445)")),
    Reply("generic_nack", GenericNack(command_status=0x03), Rejected("invalid_command", "ESME_RINVCMDID (0x03)")),
    Reply(
        "generic_nack for the rate",
        GenericNack(command_status=0x58),
        Deferred(1.0, "throttled", "ESME_RTHROTTLED (0x58)"),
        True,
    ),
    Reply(
        "generic_nack without a reason",
        GenericNack(),
        Rejected("not_understood", "The carrier answered with generic_nack."),
    ),
]


def test_an_answer_says_how_its_receipt_may_spell_its_name() -> None:
    answer = SubmitSmResp(message_id="4f2")
    verbatim = replace(CARRIER, receipt_ids=ReceiptIds.VERBATIM)
    taken = outcome_of(answer, ONE, CARRIER)
    assert isinstance(taken, Accepted)
    assert {"1266", "0000001266", "4F2", "000004f2"} <= set(taken.alternatives)
    assert outcome_of(answer, ONE, verbatim) == Accepted("4f2")


@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case.name)
def test_an_answer_means(case: Reply) -> None:
    assert outcome_of(case.response, ONE, CARRIER) == case.outcome
    assert is_throttle(case.response.command_status, CARRIER) is case.throttles


def test_a_failure_is_permanent_where_the_operator_says_nothing() -> None:
    assert outcome_of(_refused(0x45), ONE, PLAIN) == Rejected("submit_failed", "ESME_RSUBMITFAIL (0x45)")


def test_the_page_explains_every_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "carriers" / "smpp.md").read_text()
    for status, code in {**THROTTLED, **TEMPORARY, **REJECTED}.items():
        row = next((line for line in page.splitlines() if line.startswith(f"| `{code}` |")), "")
        assert f"0x{status:02X}" in row or "0xC0–0xC4" in row, code
