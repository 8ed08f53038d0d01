"""The checks of single fields."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.errors import InvalidField, MissingField
from longcode.wire.fields import is_clean, require, string


@dataclass(frozen=True, slots=True)
class StringCase:
    name: str
    value: object
    valid: bool

    def __str__(self) -> str:
        return self.name


STRINGS = [
    StringCase("two characters are the shortest", "ab", True),
    StringCase("four characters are the longest", "abcd", True),
    StringCase("one character is too short", "a", False),
    StringCase("five characters are too long", "abcde", False),
    StringCase("lengths count code points and not UTF-16 units", "😀😀😀😀", True),
    StringCase("lengths count code points and not bytes", "жжжж", True),
    StringCase("white space is kept and counts", "    ", True),
    StringCase("letters of any script and signs are fine", "+é字", True),
    StringCase("U+0000 at the end", "ab\0", False),
    StringCase("U+0000 among other letters", "ж\0ж", False),
    StringCase("a high surrogate alone", "ab\ud800", False),
    StringCase("a low surrogate alone", "ab\udfff", False),
    StringCase("an integer is not a string", 1234, False),
    StringCase("a boolean is not a string", True, False),
    StringCase("a list is not a string", ["ab"], False),
]


@pytest.mark.parametrize("case", STRINGS, ids=str)
def test_a_string_is_checked_and_kept_verbatim(case: StringCase) -> None:
    fields = {"text": case.value}
    if case.valid:
        assert string(fields, "text", shortest=2, longest=4) == case.value
    else:
        with pytest.raises(InvalidField) as caught:
            string(fields, "text", shortest=2, longest=4)
        assert caught.value.field == "text"


def test_an_absent_string_is_invalid_where_nobody_asked_for_it_before() -> None:
    with pytest.raises(InvalidField):
        string({}, "text", shortest=0, longest=4)


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"from": "a", "to": "b"}, None),
        ({"to": "b"}, "from"),
        ({"from": None, "to": "b"}, "from"),
        ({"from": "a"}, "to"),
        ({}, "from"),
        ({"from": "", "to": False}, None),
    ],
    ids=["none", "the first is absent", "the first is null", "the second", "the first of two", "empty is not missing"],
)  # fmt: skip
def test_the_first_missing_field_in_order_is_named(fields: dict[str, object], missing: str | None) -> None:
    if missing is None:
        require(fields, ("from", "to"))
        return
    with pytest.raises(MissingField) as caught:
        require(fields, ("from", "to"))
    assert caught.value.field == missing


@given(st.text(st.characters(codec=None)))
def test_clean_text_is_what_utf_8_and_a_c_string_can_carry(text: str) -> None:
    try:
        carried = b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        carried = False
    assert is_clean(text) is carried
