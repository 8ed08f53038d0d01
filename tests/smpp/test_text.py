"""Texts over SMPP: what is carried comes back, and what others send is understood."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.encoding.gsm7 import Unencodable
from longcode.encoding.segments import Encoding, split
from longcode.smpp import text
from longcode.smpp.constants import Tag
from longcode.smpp.fields import Tlv
from longcode.smpp.pdu import DataSm, DeliverSm, SubmitSm

LONG = "All work and no play makes a message long. " * 12


@pytest.mark.parametrize("by", list(text.Concatenation))
@pytest.mark.parametrize("message", ["hello", LONG, "naïve €5 {ok}" * 30, "δοκιμή 😀 " * 30], ids=lambda m: m[:9])
def test_a_text_comes_back_from_its_parts(message: str, by: text.Concatenation) -> None:
    segments = split(message, reference=200, reference_bits=16 if by is text.Concatenation.UDH_16 else 8)
    parts = []
    for segment in segments:
        carried = text.carry(segment, by=by)
        assert len(carried.short_message) <= (140 if segment.encoding is Encoding.UCS2 else 160)
        received = text.read(
            SubmitSm(
                esm_class=carried.esm_class,
                data_coding=carried.data_coding,
                short_message=carried.short_message,
                tlvs=carried.tlvs,
            )
        )
        if len(segments) > 1:
            assert received.part is not None
            assert (received.part.reference, received.part.total) == (200, len(segments))
            assert received.part.sequence == segment.index + 1
        parts.append(received.text or "")
    assert "".join(parts) == message


@given(st.binary(max_size=160), st.integers(0, 255), st.integers(0, 255))
@settings(max_examples=100)
def test_any_message_can_be_read(octets: bytes, esm_class: int, data_coding: int) -> None:
    text.read(DeliverSm(esm_class=esm_class, data_coding=data_coding, short_message=octets))


@given(st.binary(max_size=40))
@settings(max_examples=100)
def test_a_header_never_hides_octets_that_it_does_not_own(octets: bytes) -> None:
    user_data = text.parse_udh(octets)
    assert octets.endswith(user_data.octets)


@dataclass(frozen=True, slots=True)
class CodingCase:
    """Octets under a data_coding, and what they say."""

    name: str
    data_coding: int
    octets: bytes
    says: str | None
    default: Encoding = Encoding.GSM7


CODINGS = [
    CodingCase("the default alphabet", 0, b"\0\x1be", "@€"),
    CodingCase("a default that is Latin-1", 0, b"@\xe9", "@é", Encoding.LATIN1),
    CodingCase("IA5", 1, b"a@b_c", "a@b_c"),
    CodingCase("Latin-1", 3, b"\xe9t\xe9", "été"),
    CodingCase("UCS-2", 8, "δ😀".encode("utf-16-be"), "δ😀"),
    CodingCase("UCS-2 with an octet too many", 8, b"\0a\0", "a\ufffd"),
    CodingCase("Cyrillic", 6, "да".encode("iso8859_5"), "да"),
    CodingCase("octets", 4, b"\1\2", None),
    CodingCase("octets of the other kind", 2, b"\1\2", None),
    CodingCase("a flash message", 0xF0, b"hi", "hi"),
    CodingCase("data of a class", 0xF5, b"hi", None),
    CodingCase("a flash message in UCS-2", 0x18, b"\0h\0i", "hi"),
    CodingCase("a coding that nobody defined", 0x80, b"hi", None),
]


@pytest.mark.parametrize("case", CODINGS, ids=lambda case: case.name)
def test_data_coding_says_how_to_read(case: CodingCase) -> None:
    assert text.decode_text(case.octets, case.data_coding, default=case.default) == case.says


UDH_CASES = [
    ("an 8 bit reference", b"\5\0\3\x2a\2\1hi", text.Part(0x2A, 2, 1), b"hi"),
    ("a 16 bit reference", b"\6\x08\4\1\2\3\2hi", text.Part(0x102, 3, 2, 16), b"hi"),
    ("another element before it", b"\x09\x24\1\1\0\3\7\2\2\0hi", text.Part(7, 2, 2), b"hi"),
    ("part 0", b"\5\0\3\7\2\0hi", None, b"hi"),
    ("part 3 of 2", b"\5\0\3\7\2\3hi", None, b"hi"),
    ("no concatenation", b"\3\x24\1\1hi", None, b"hi"),
    ("an element longer than the header", b"\3\0\3\7hi", None, b"hi"),
    ("a header longer than the message", b"\x20\0\3hi", None, b"\x20\0\3hi"),
    ("nothing", b"", None, b""),
]


@pytest.mark.parametrize(("octets", "part", "rest"), [c[1:] for c in UDH_CASES], ids=[c[0] for c in UDH_CASES])
def test_a_user_data_header_is_read(octets: bytes, part: text.Part | None, rest: bytes) -> None:
    user_data = text.parse_udh(octets)
    assert (user_data.part, user_data.octets) == (part, rest)


def test_a_payload_is_read_where_the_short_message_is_empty() -> None:
    carried = text.carry_payload(LONG, Encoding.GSM7)
    assert text.read(DeliverSm(tlvs=carried.tlvs)).text == LONG
    assert text.read(DataSm(tlvs=carried.tlvs)).text == LONG


def test_sar_parameters_that_cannot_be_are_ignored() -> None:
    tlvs = (Tlv(Tag.sar_msg_ref_num, 1), Tlv(Tag.sar_total_segments, 2), Tlv(Tag.sar_segment_seqnum, 3))
    assert text.read(DeliverSm(short_message=b"hi", tlvs=tlvs)).part is None


def test_a_character_that_the_encoding_lacks_is_refused() -> None:
    with pytest.raises(Unencodable):
        text.encode_text("δ", Encoding.LATIN1)
