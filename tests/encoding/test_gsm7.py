"""The GSM 7 bit alphabet: its tables, its escapes, and packing."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.encoding import gsm7

GSM7_CHARS = gsm7.DEFAULT_ALPHABET.replace("\x1b", "") + "".join(gsm7.EXTENSION.values())
gsm7_texts = st.text(st.sampled_from(GSM7_CHARS), max_size=400)
septet_strings = st.binary(max_size=200).map(lambda data: bytes(octet & 0x7F for octet in data))


@dataclass(frozen=True, slots=True)
class TextCase:
    name: str
    text: str
    encoded: bytes | None

    def __str__(self) -> str:
        return self.name


TEXTS = [
    TextCase("an empty text is no septets", "", b""),
    TextCase("the at sign is zero", "@", b"\x00"),
    TextCase("letters and digits keep their ASCII codes", "Az09", b"Az09"),
    TextCase("the dollar sign is not at its ASCII code", "$", b"\x02"),
    TextCase("the underscore is not at its ASCII code", "_", b"\x11"),
    TextCase("line feed and carriage return are in the alphabet", "\r\n", b"\x0d\x0a"),
    TextCase(
        "Greek capitals without a Latin look-alike are in the alphabet",
        "ΔΦΓΛΩΠΨΣΘΞ",
        bytes([0x10, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A]),
    ),
    TextCase("the last row ends with a grave", "äöñüà", b"\x7b\x7c\x7d\x7e\x7f"),
    TextCase("the capital C with cedilla is there", "Ç", b"\x09"),
    TextCase("the euro takes an escape", "€", b"\x1b\x65"),
    TextCase(
        "all ten extension characters take an escape",
        "\f^{}\\[~]|€",
        bytes.fromhex("1b0a 1b14 1b28 1b29 1b2f 1b3c 1b3d 1b3e 1b40 1b65"),
    ),
    TextCase("the small c with cedilla is not there", "ç", None),
    TextCase("the backtick is not there", "`", None),
    TextCase("a tab is not there", "\t", None),
    TextCase("a bare escape is not text", "\x1b", None),
    TextCase("a Greek small letter is not there", "α", None),
    TextCase("a curly quote is not there", "it’s", None),
    TextCase("an emoji is not there", "hi 🙂", None),
    TextCase("the ohm sign is not the Greek omega", "\u2126", None),
    TextCase("a letter and a combining accent are not the composed letter", "e\u0301", None),
]


@pytest.mark.parametrize("case", TEXTS, ids=str)
def test_text_is_in_the_alphabet_or_is_refused(case: TextCase) -> None:
    if case.encoded is None:
        assert not gsm7.is_gsm7(case.text)
        with pytest.raises(gsm7.Unencodable):
            gsm7.encode(case.text)
    else:
        assert gsm7.is_gsm7(case.text)
        assert gsm7.encode(case.text) == case.encoded
        assert gsm7.decode(case.encoded) == case.text
        assert gsm7.length_septets(case.text) == len(case.encoded)


def test_the_alphabet_has_128_codes_without_repeats() -> None:
    assert len(gsm7.DEFAULT_ALPHABET) == 128
    assert len(set(gsm7.DEFAULT_ALPHABET)) == 128
    assert gsm7.DEFAULT_ALPHABET[gsm7.ESCAPE] == "\x1b"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"\x1b\x41", "A", id="an escape before a free code gives the default character"),
        pytest.param(b"a\x1b", "a ", id="an escape at the end gives a space"),
        pytest.param(b"\x1b\x1b\x65", " e", id="an escape before an escape gives one space"),
        pytest.param(b"\x1b\x0d", "\r", id="the reserved control code stays a carriage return"),
        pytest.param(b"a\x80\xffb", "a\ufffd\ufffdb", id="octets that are no septets are marked"),
    ],
)
def test_decode_shows_what_a_handset_would(data: bytes, text: str) -> None:
    assert gsm7.decode(data) == text


@pytest.mark.parametrize(
    ("septets", "fill_bits", "packed"),
    [
        pytest.param(b"", 0, "", id="nothing packs to nothing"),
        pytest.param(b"1", 0, "31", id="one septet is one octet"),
        pytest.param(b"12", 0, "3119", id="the second septet's lowest bit tops up the first octet"),
        pytest.param(b"hellohello", 0, "e8329bfd4697d9ec37", id="ten septets are nine octets"),
        pytest.param(b"AAAAAAAA", 0, "c16030180c0683", id="eight septets are seven octets"),
        pytest.param(b"1", 1, "62", id="one fill bit shifts the first septet up"),
        pytest.param(b"1", 6, "400c", id="six fill bits push a septet into a second octet"),
    ],
)
def test_packing_follows_the_figures(septets: bytes, fill_bits: int, packed: str) -> None:
    assert gsm7.pack(septets, fill_bits=fill_bits).hex() == packed
    assert gsm7.unpack(bytes.fromhex(packed), count=len(septets), fill_bits=fill_bits) == septets


def test_pack_refuses_what_is_not_a_septet() -> None:
    with pytest.raises(gsm7.Unencodable):
        gsm7.pack(b"\x80")


def test_unpack_refuses_more_septets_than_there_are() -> None:
    with pytest.raises(gsm7.Unencodable):
        gsm7.unpack(b"\x31", count=2)


def test_unpack_without_a_count_cannot_tell_seven_spare_bits_from_an_at_sign() -> None:
    assert gsm7.unpack(gsm7.pack(b"AAAAAAA")) == b"AAAAAAA\x00"


@given(gsm7_texts)
@settings(max_examples=60)
def test_decoding_undoes_encoding(text: str) -> None:
    encoded = gsm7.encode(text)
    assert len(encoded) == gsm7.length_septets(text)
    assert max(encoded, default=0) <= 0x7F
    assert gsm7.decode(encoded) == text


@given(septet_strings, st.integers(0, 6))
@settings(max_examples=60)
def test_unpacking_undoes_packing(septets: bytes, fill_bits: int) -> None:
    packed = gsm7.pack(septets, fill_bits=fill_bits)
    assert len(packed) == (-(-(len(septets) * 7 + fill_bits) // 8) if septets else 0)
    assert gsm7.unpack(packed, count=len(septets), fill_bits=fill_bits) == septets


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_decode_never_fails(data: bytes) -> None:
    assert len(gsm7.decode(data)) <= len(data)


@given(st.text(max_size=50))
@settings(max_examples=60)
def test_is_gsm7_agrees_with_encode(text: str) -> None:
    try:
        gsm7.encode(text)
    except gsm7.Unencodable:
        assert not gsm7.is_gsm7(text)
    else:
        assert gsm7.is_gsm7(text)
