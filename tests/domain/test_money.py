"""Prices: exact, strict, never rounded."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.domain.money import Scientific, format_price, parse_amount, parse_price
from longcode.errors import InvalidField


@dataclass(frozen=True, slots=True)
class PriceCase:
    name: str
    value: object
    price: str | None

    def __str__(self) -> str:
        return self.name


CASES = [
    PriceCase("two decimals are kept", "0.03", "0.03"),
    PriceCase("one decimal is filled up", "3.4", "3.40"),
    PriceCase("no decimals are filled up", "3", "3.00"),
    PriceCase("zero is a price", "0", "0.00"),
    PriceCase("the highest price", "99999999.99", "99999999.99"),
    PriceCase("one cent above the highest", "100000000.00", None),
    PriceCase("leading zeros are only digits", "05.00", "5.00"),
    PriceCase("very many leading zeros are only digits", "0" * 30000 + "1", "1.00"),
    PriceCase("very many digits are too much", "9" * 30000, None),
    PriceCase("three decimals", "0.030", None),
    PriceCase("a negative price", "-1", None),
    PriceCase("a negative zero", "-0", None),
    PriceCase("a plus sign", "+1", None),
    PriceCase("an exponent", "1e3", None),
    PriceCase("not a number", "NaN", None),
    PriceCase("infinity", "Infinity", None),
    PriceCase("a decimal comma", "1,5", None),
    PriceCase("a thousands separator", "1_000", None),
    PriceCase("an empty string", "", None),
    PriceCase("a space before", " 1", None),
    PriceCase("a newline after", "1\n", None),
    PriceCase("a point alone", ".", None),
    PriceCase("no digit before the point", ".5", None),
    PriceCase("no digit after the point", "5.", None),
    PriceCase("full-width digits", "１２", None),
    PriceCase("Arabic digits", "٣", None),
    PriceCase("a hexadecimal number", "0x10", None),
    PriceCase("a currency sign", "$1", None),
    PriceCase("an integer literal", 3, "3.00"),
    PriceCase("the integer zero", 0, "0.00"),
    PriceCase("the highest integer literal", 99999999, "99999999.00"),
    PriceCase("an integer literal too high", 100000000, None),
    PriceCase("a huge integer literal", 10**5000, None),
    PriceCase("a negative integer literal", -1, None),
    PriceCase("a decimal literal", Decimal("3.40"), "3.40"),
    PriceCase("a decimal literal of three decimals", Decimal("3.401"), None),
    PriceCase("a decimal literal of three decimals, the last a zero", Decimal("3.400"), None),
    PriceCase("an exponent literal", Decimal("1E+3"), None),
    PriceCase("a tiny exponent literal", Decimal("1E-999999"), None),
    PriceCase("a huge exponent literal", Decimal("1E+999999"), None),
    PriceCase("a negative zero literal", Decimal("-0"), None),
    PriceCase("a Decimal that is no number", Decimal("NaN"), None),
    PriceCase("a signalling Decimal that is no number", Decimal("sNaN"), None),
    PriceCase("an infinite Decimal", Decimal("Infinity"), None),
    PriceCase("a float", 3.4, None),
    PriceCase("a float that is not a number", float("nan"), None),
    PriceCase("null", None, None),
    PriceCase("true", True, None),
    PriceCase("false", False, None),
    PriceCase("a list", ["1"], None),
    PriceCase("an object", {"amount": "1"}, None),
    PriceCase("bytes", b"1", None),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_price_is_read_exactly_or_refused(case: PriceCase) -> None:
    if case.price is None:
        with pytest.raises(InvalidField) as caught:
            parse_price(case.value, field="setupPrice")
        assert caught.value.field == "setupPrice"
    else:
        price = parse_price(case.value, field="setupPrice")
        assert price == Decimal(case.price)
        assert price.as_tuple().exponent == -2
        assert format_price(price) == case.price


@given(st.decimals(min_value=0, max_value="99999999.99", places=2))
@settings(max_examples=60)
def test_reading_undoes_writing(price: Decimal) -> None:
    assert parse_price(format_price(price), field="price") == price
    assert parse_price(price, field="price") == price


@given(st.one_of(st.text(max_size=20), st.text("0123456789.-+eE ,", max_size=20), st.integers(), st.decimals()))
@settings(max_examples=100)
def test_whatever_is_sent_gives_a_price_or_an_invalid_field(value: object) -> None:
    try:
        price = parse_price(value, field="price")
    except InvalidField:
        return
    assert 0 <= price <= Decimal("99999999.99")
    assert price == Decimal(str(value))


@pytest.mark.parametrize("literal", ["1.5e1", "1e-2", "150e-2", "2.5E+1", "1e0", "0e0", "1e3", "NaN"])
def test_a_number_that_was_written_with_an_exponent_is_no_price(literal: str) -> None:
    with pytest.raises(InvalidField):
        parse_price(Scientific(literal), field="price")


@pytest.mark.parametrize("text", ["0", "0.0075", "50", "999999999.999999"])
def test_an_operator_s_amount_is_read_exactly(text: str) -> None:
    assert str(parse_amount(text, field="cost")) == text


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1,5", ".5", "0.0000001", "1000000000", "NaN", " 1"])
def test_no_amount_is_guessed(text: str) -> None:
    with pytest.raises(InvalidField):
        parse_amount(text, field="cost")
