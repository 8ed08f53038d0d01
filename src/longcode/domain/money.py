"""Prices: exact decimals with two places, read strictly and never rounded."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from longcode.errors import InvalidField

MAX_PRICE: Final = Decimal("99999999.99")
MAX_CURRENCY_LENGTH: Final = 8
_CENT: Final = Decimal("0.01")
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]{1,2})?")
_AMOUNT: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")


class Scientific(Decimal):
    """A JSON number that was written with an exponent, or that is beyond counting (then it is NaN).

    Decimal itself forgets how it was written: 1.5e1 would pass for 15.
    """


def parse_price(value: object, *, field: str) -> Decimal:
    """A price of 0 to 99999999.99 with two places, from a JSON string or number.

    Digits with at most two decimals. A number literal arrives as int or Decimal; a float is refused,
    because its decimals are already lost. A Decimal whose own text is not plain digits (1E+3, NaN, -0)
    is refused as the same text would be.
    Raises InvalidField(field).
    """
    if isinstance(value, bool):
        raise InvalidField(field)
    if isinstance(value, int):
        # Compared before it is written out: Python refuses to write integers of thousands of digits.
        if not 0 <= value <= MAX_PRICE:
            raise InvalidField(field)
        return Decimal(value).quantize(_CENT)
    if not isinstance(value, str | Decimal) or isinstance(value, Scientific):
        raise InvalidField(field)
    text = str(value)
    if not _PLAIN.fullmatch(text):
        raise InvalidField(field)
    price = Decimal(text)
    if price > MAX_PRICE:
        raise InvalidField(field)
    return price.quantize(_CENT)


def format_price(price: Decimal) -> str:
    """The price with two decimals: "0.03", "3.40", "99999999.99"."""
    return f"{price:.2f}"


def is_currency(text: str) -> bool:
    """True for 1 to 8 printable characters, not all of them spaces: "U$", "R$", "€"."""
    return len(text) <= MAX_CURRENCY_LENGTH and text.isprintable() and bool(text.strip(" "))


def parse_amount(value: str, *, field: str) -> Decimal:
    """An amount of at most nine digits before the point and six behind it, as an operator types it.

    Raises InvalidField(field).
    """
    if not _AMOUNT.fullmatch(value):
        raise InvalidField(field, f"{field} is an amount such as 0.0075, with at most six decimals")
    return Decimal(value)
