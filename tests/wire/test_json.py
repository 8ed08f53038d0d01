"""Bodies as JSON objects: what is read, and what is unreadable."""

import contextlib
import json
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.domain.money import Scientific
from longcode.wire.errors import Unreadable
from longcode.wire.json import read_object


@dataclass(frozen=True, slots=True)
class ReadCase:
    name: str
    body: bytes
    value: dict[str, object]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class UnreadableCase:
    name: str
    body: bytes

    def __str__(self) -> str:
        return self.name


READABLE = [
    ReadCase("an empty object", b"{}", {}),
    ReadCase("white space around the object", b" \r\n{}\t", {}),
    ReadCase("the last of two equal keys wins", b'{"a":1,"a":2}', {"a": 2}),
    ReadCase("a number with a point is Decimal", b'{"a":0.1}', {"a": Decimal("0.1")}),
    ReadCase("a number with an exponent is told apart", b'{"a":1e3}', {"a": Scientific("1E+3")}),
    ReadCase("an integer beyond 64 bits is exact", b'{"a":36893488147419103232}', {"a": 2**65}),
    ReadCase("a pair of surrogate escapes is one character", b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
    ReadCase("an escaped U+0000 reaches the field check", b'{"a":"\\u0000"}', {"a": "\0"}),
    ReadCase("a lone surrogate reaches the field check", b'{"a":"\\ud800"}', {"a": "\ud800"}),
    ReadCase("beside a lone surrogate a number is Decimal too", b'{"a":"\\udfff","b":1.5}',
             {"a": "\udfff", "b": Decimal("1.5")}),
]  # fmt: skip
UNREADABLE = [
    UnreadableCase("an empty body", b""),
    UnreadableCase("an array", b"[]"),
    UnreadableCase("a string", b'"a"'),
    UnreadableCase("null", b"null"),
    UnreadableCase("a form", b"from=1&to=2"),
    UnreadableCase("an object that does not end", b'{"a":1'),
    UnreadableCase("something after the object", b"{}{}"),
    UnreadableCase("a byte order mark", b"\xef\xbb\xbf{}"),
    UnreadableCase("UTF-16", '{"a":1}'.encode("utf-16")),
    UnreadableCase("bytes that are not UTF-8", b'{"a":"\xff"}'),
    UnreadableCase("a surrogate in UTF-8", b'{"a":"\xed\xa0\x80"}'),
    UnreadableCase("NaN", b'{"a":NaN}'),
    UnreadableCase("Infinity beside a lone surrogate", b'{"a":"\\ud800","b":-Infinity}'),
    UnreadableCase("an array beside a lone surrogate", b'["\\ud800"]'),
    UnreadableCase("a bare control character in a string", b'{"a":"\x01"}'),
    UnreadableCase("brackets 30000 deep", b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    UnreadableCase("braces 10000 deep", b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    UnreadableCase("brackets 30000 deep beside a lone surrogate",
                   b'{"b":"\\ud800","a":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
]  # fmt: skip


@pytest.mark.parametrize("case", READABLE, ids=str)
def test_an_object_is_read(case: ReadCase) -> None:
    value = read_object(case.body)
    assert value == case.value
    assert [type(member) for member in value.values()] == [type(member) for member in case.value.values()]


@pytest.mark.parametrize("case", UNREADABLE, ids=str)
def test_anything_else_is_unreadable(case: UnreadableCase) -> None:
    with pytest.raises(Unreadable):
        read_object(case.body)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _values, max_size=5), st.booleans())
def test_every_object_comes_back_as_written(value: dict[str, object], escaped: bool) -> None:
    try:
        body = json.dumps(value, ensure_ascii=escaped).encode("utf-8")
    except UnicodeEncodeError:
        body = json.dumps(value).encode("ascii")
    assert read_object(body) == value


@given(st.binary(max_size=40))
def test_no_bytes_do_more_than_be_unreadable(body: bytes) -> None:
    with contextlib.suppress(Unreadable):
        assert isinstance(read_object(body), dict)


@pytest.mark.parametrize(
    "literal", [b"1e9999999999999999999", b"-1E9999999999999999999", b"9" * 5000], ids=["huge", "tiny", "long"]
)
def test_a_number_that_nobody_can_hold_spoils_its_own_field_alone(literal: bytes) -> None:
    fields = read_object(b'{"a":' + literal + b',"b":"x"}')
    assert fields["b"] == "x"
    assert isinstance(fields["a"], Scientific)


def test_an_exponent_is_remembered() -> None:
    fields = read_object(b'{"a":1.5e1,"b":15.0}')
    assert (type(fields["a"]), type(fields["b"])) == (Scientific, Decimal)
    assert fields["a"] == fields["b"]
