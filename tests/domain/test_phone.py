"""Phone numbers: what is accepted, compared and logged."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.domain.phone import canonical, digits_of, mask, parse_inventory_value, parse_recipient
from longcode.errors import InvalidField


@dataclass(frozen=True, slots=True)
class NumberCase:
    name: str
    value: object
    inventory: bool
    recipient: bool

    def __str__(self) -> str:
        return self.name


CASES = [
    NumberCase("digits alone", "12025550123", inventory=True, recipient=True),
    NumberCase("a plus and digits", "+12025550123", inventory=True, recipient=True),
    NumberCase("spaces and a hyphen", "+1 202 555-0123", inventory=True, recipient=False),
    NumberCase("parentheses and dots", "(202) 555.0123", inventory=True, recipient=False),
    NumberCase("six digits", "555012", inventory=True, recipient=True),
    NumberCase("five digits", "55501", inventory=False, recipient=False),
    NumberCase("six characters of which five are digits", "+55501", inventory=False, recipient=False),
    NumberCase("fifteen digits", "120255501230000", inventory=True, recipient=True),
    NumberCase("sixteen digits", "1202555012300000", inventory=True, recipient=False),
    NumberCase("twenty digits", "12025550123000000000", inventory=True, recipient=False),
    NumberCase("twenty-one digits", "120255501230000000000", inventory=False, recipient=False),
    NumberCase("64 characters", "1-" * 6 + "(" * 52, inventory=True, recipient=False),
    NumberCase("65 characters", "1-" * 6 + "(" * 53, inventory=False, recipient=False),
    NumberCase("two pluses", "++12025550123", inventory=False, recipient=False),
    NumberCase("a plus inside", "1+2025550123", inventory=False, recipient=False),
    NumberCase("a plus after a space", " +12025550123", inventory=False, recipient=False),
    NumberCase("a letter", "+1202555O123", inventory=False, recipient=False),
    NumberCase("an extension", "12025550123x4", inventory=False, recipient=False),
    NumberCase("a slash", "1202/5550123", inventory=False, recipient=False),
    NumberCase("a newline at the end", "12025550123\n", inventory=False, recipient=False),
    NumberCase("a tab", "1202\t5550123", inventory=False, recipient=False),
    NumberCase("a no-break space", "1202\u00a05550123", inventory=False, recipient=False),
    NumberCase("a Unicode hyphen", "1202\u20105550123", inventory=False, recipient=False),
    NumberCase("full-width digits", "１２０２５５５", inventory=False, recipient=False),
    NumberCase("Arabic digits", "١٢٣٤٥٦٧", inventory=False, recipient=False),
    NumberCase("a NUL", "1202555\x000123", inventory=False, recipient=False),
    NumberCase("separators alone", "(---) ...", inventory=False, recipient=False),
    NumberCase("a plus alone", "+", inventory=False, recipient=False),
    NumberCase("an empty string", "", inventory=False, recipient=False),
    NumberCase("an integer", 12025550123, inventory=False, recipient=False),
    NumberCase("true", True, inventory=False, recipient=False),
    NumberCase("null", None, inventory=False, recipient=False),
    NumberCase("a list", ["12025550123"], inventory=False, recipient=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_inventory_value_is_kept_verbatim_or_refused(case: NumberCase) -> None:
    if case.inventory:
        assert parse_inventory_value(case.value, field="value") is case.value
    else:
        with pytest.raises(InvalidField) as caught:
            parse_inventory_value(case.value, field="value")
        assert caught.value.field == "value"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_recipient_is_kept_verbatim_or_refused(case: NumberCase) -> None:
    if case.recipient:
        assert parse_recipient(case.value, field="recipient") is case.value
    else:
        with pytest.raises(InvalidField) as caught:
            parse_recipient(case.value, field="recipient")
        assert caught.value.field == "recipient"


@pytest.mark.parametrize(
    ("number", "form"),
    [
        pytest.param("+1 (202) 555-0123", "12025550123", id="separators and the plus do not count"),
        pytest.param("12025550123", "12025550123", id="digits are their own form"),
        pytest.param("MyCorp", "MyCorp", id="a sender ID stays what it is"),
        pytest.param("mycorp", "mycorp", id="and keeps its case"),
        pytest.param("Bank 24", "Bank 24", id="a sender ID with digits stays what it is"),
        pytest.param("1+2025550123", "1+2025550123", id="a plus inside is no number"),
        pytest.param("１２０２", "１２０２", id="digits of other scripts stay what they are"),
        pytest.param("+", "+", id="a plus alone stays what it is"),
        pytest.param("--", "--", id="separators alone stay what they are"),
        pytest.param("", "", id="nothing stays nothing"),
    ],
)
def test_canonical_is_the_form_that_is_compared(number: str, form: str) -> None:
    assert canonical(number) == form


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        pytest.param("+12025550123", "+12*******23", id="the ends of a long number show"),
        pytest.param("2025550123", "202*****23", id="ten characters are enough to show the ends"),
        pytest.param("202555012", "*********", id="nine are not"),
        pytest.param("55501", "*****", id="a short code is hidden"),
        pytest.param("", "", id="nothing stays nothing"),
    ],
)
def test_mask_hides_the_middle(number: str, masked: str) -> None:
    assert mask(number) == masked


def test_digits_of_keeps_ascii_digits_only() -> None:
    assert digits_of("+1 (202) x５٣-55") == "120255"


@given(st.text(max_size=40))
@settings(max_examples=60)
def test_mask_keeps_the_length_and_at_most_five_characters(number: str) -> None:
    masked = mask(number)
    assert len(masked) == len(number)
    if "*" not in number:
        assert sum(char != "*" for char in masked) <= 5


@given(st.one_of(st.text(max_size=40), st.text("0123456789+-(). ", max_size=40)))
@settings(max_examples=100)
def test_canonical_is_stable_and_ignores_how_a_value_is_written(number: str) -> None:
    assert canonical(canonical(number)) == canonical(number)
    try:
        value = parse_inventory_value(number, field="value")
    except InvalidField:
        return
    assert canonical(value) == digits_of(value)
