"""Segmentation: which encoding, how many parts, and that they join again."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.encoding import gsm7
from longcode.encoding.gsm7 import Unencodable
from longcode.encoding.segments import Encoding, Segment, TooManySegments, choose, count, split
from longcode.errors import InvalidField


@dataclass(frozen=True, slots=True)
class SplitCase:
    name: str
    text: str
    encoding: Encoding
    lengths: tuple[int, ...]
    asked: Encoding | None = None
    reference_bits: Literal[8, 16] = 8

    def __str__(self) -> str:
        return self.name


GSM7, LATIN1, UCS2 = Encoding.GSM7, Encoding.LATIN1, Encoding.UCS2
CASES = [
    SplitCase("an empty text is one empty segment", "", GSM7, (0,)),
    SplitCase("160 septets travel alone", "a" * 160, GSM7, (160,)),
    SplitCase("161 septets are cut at 153", "a" * 161, GSM7, (153, 8)),
    SplitCase("306 septets fill two segments", "a" * 306, GSM7, (153, 153)),
    SplitCase("307 septets begin a third", "a" * 307, GSM7, (153, 153, 1)),
    SplitCase("80 euros are 160 septets", "€" * 80, GSM7, (80,)),
    SplitCase("81 euros leave a septet free rather than divide a pair", "€" * 81, GSM7, (76, 5)),
    SplitCase("159 letters and a euro are one septet too many", "a" * 159 + "€", GSM7, (153, 7)),
    SplitCase("a pair that would straddle 153 moves on whole", "a" * 152 + "€" + "b" * 10, GSM7, (152, 11)),
    SplitCase("a pair that ends at 153 stays", "a" * 151 + "€" + "b" * 10, GSM7, (152, 10)),
    SplitCase("a moved pair can cost a segment", "a" * 152 + "€" * 77 + "b", GSM7, (152, 76, 2)),
    SplitCase("70 UTF-16 units travel alone", "ж" * 70, UCS2, (70,)),
    SplitCase("71 UTF-16 units are cut at 67", "ж" * 71, UCS2, (67, 4)),
    SplitCase("134 UTF-16 units fill two segments", "ж" * 134, UCS2, (67, 67)),
    SplitCase("135 UTF-16 units begin a third", "ж" * 135, UCS2, (67, 67, 1)),
    SplitCase("35 emoji are 70 units", "🙂" * 35, UCS2, (35,)),
    SplitCase("36 emoji leave a unit free rather than divide a pair", "🙂" * 36, UCS2, (33, 3)),
    SplitCase("a surrogate pair that would straddle 67 moves on whole", "ж" * 66 + "🙂" + "ж" * 5, UCS2, (66, 6)),
    SplitCase("one foreign character makes the whole text UCS-2", "a" * 70 + "ç", UCS2, (67, 4)),
    SplitCase("extension characters are one unit in UCS-2", "€" * 70, UCS2, (70,), asked=UCS2),
    SplitCase("140 Latin-1 octets travel alone", "ç" * 140, LATIN1, (140,), asked=LATIN1),
    SplitCase("141 Latin-1 octets are cut at 134", "ç" * 141, LATIN1, (134, 7), asked=LATIN1),
    SplitCase("a 16 bit reference leaves 160 alone", "a" * 160, GSM7, (160,), reference_bits=16),
    SplitCase("a 16 bit reference leaves 152 septets", "a" * 161, GSM7, (152, 9), reference_bits=16),
    SplitCase("a 16 bit reference leaves 66 UTF-16 units", "ж" * 71, UCS2, (66, 5), reference_bits=16),
    SplitCase("a 16 bit reference leaves 133 octets", "ç" * 141, LATIN1, (133, 8), asked=LATIN1, reference_bits=16),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_text_is_cut_where_the_specification_says(case: SplitCase) -> None:
    segments = split(case.text, reference=7, encoding=case.asked, reference_bits=case.reference_bits)
    assert tuple(len(segment.text) for segment in segments) == case.lengths
    assert "".join(segment.text for segment in segments) == case.text
    assert [(s.index, s.total, s.encoding, s.reference) for s in segments] == [
        (index, len(case.lengths), case.encoding, 7) for index in range(len(case.lengths))
    ]
    assert count(case.text, case.asked, reference_bits=case.reference_bits) == len(case.lengths)


def test_choose_prefers_gsm7_and_never_picks_latin1() -> None:
    assert choose("Grüße {€}") is Encoding.GSM7
    assert choose("façade") is Encoding.UCS2


def test_255_segments_are_the_most() -> None:
    assert len(split("a" * 153 * 255)) == 255
    with pytest.raises(TooManySegments):
        split("a" * (153 * 255 + 1))
    assert count("a" * (153 * 255 + 1)) == 256


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param("ç", Encoding.GSM7, id="GSM 7 bit has no small c with cedilla"),
        pytest.param("€", Encoding.LATIN1, id="Latin-1 has no euro"),
    ],
)
def test_an_encoding_that_lacks_a_character_is_refused(text: str, encoding: Encoding) -> None:
    with pytest.raises(Unencodable):
        split(text, encoding=encoding)
    with pytest.raises(Unencodable):
        count(text, encoding)


@pytest.mark.parametrize(
    ("reference", "reference_bits", "fits"),
    [
        pytest.param(255, 8, True, id="255 fits eight bits"),
        pytest.param(256, 8, False, id="256 does not"),
        pytest.param(65535, 16, True, id="65535 fits sixteen bits"),
        pytest.param(65536, 16, False, id="65536 does not"),
        pytest.param(-1, 8, False, id="a negative one never does"),
    ],
)
def test_the_reference_fits_its_bits(reference: int, reference_bits: Literal[8, 16], fits: bool) -> None:
    if fits:
        assert split("a", reference=reference, reference_bits=reference_bits)[0].reference == reference
    else:
        with pytest.raises(InvalidField):
            split("a", reference=reference, reference_bits=reference_bits)


def units(segment: Segment) -> int:
    match segment.encoding:
        case Encoding.GSM7:
            return len(gsm7.encode(segment.text))
        case Encoding.LATIN1:
            return len(segment.text.encode("latin-1"))
        case Encoding.UCS2:
            return len(segment.text.encode("utf-16-be")) // 2


gsm7_texts = st.text(st.sampled_from("aé€{^"), max_size=700)
ucs2_texts = st.text(st.sampled_from("aж€🙂𝄞"), max_size=300)
latin1_texts = st.text(st.characters(max_codepoint=0xFF), max_size=500)


@given(
    st.one_of(
        st.tuples(st.none(), gsm7_texts),
        st.tuples(st.none(), ucs2_texts),
        st.tuples(st.just(Encoding.UCS2), gsm7_texts),
        st.tuples(st.just(Encoding.LATIN1), latin1_texts),
    ),
    st.sampled_from([8, 16]),
)
@settings(max_examples=100)
def test_segments_join_to_the_text_and_each_fits(
    asked: tuple[Encoding | None, str], reference_bits: Literal[8, 16]
) -> None:
    encoding, text = asked
    segments = split(text, encoding=encoding, reference_bits=reference_bits)
    assert "".join(segment.text for segment in segments) == text
    assert count(text, encoding, reference_bits=reference_bits) == len(segments)
    alone, joined = {GSM7: (160, (153, 152)), LATIN1: (140, (134, 133)), UCS2: (70, (67, 66))}[segments[0].encoding]
    most = alone if len(segments) == 1 else joined[reference_bits == 16]
    assert all(units(segment) <= most for segment in segments)
    # Filled greedily: what was moved on would not have fitted.
    for segment, following in pairwise(segments):
        first = Segment(following.text[0], 0, 1, following.encoding, 0)
        assert units(segment) + units(first) > most
