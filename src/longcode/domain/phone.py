"""Phone numbers as strings: what each dialect accepts, how two are compared, how one is logged."""

from __future__ import annotations

import re
from typing import Final

from longcode.errors import InvalidField

MAX_INVENTORY_VALUE_LENGTH: Final = 64
SHORT_CODE_DIGITS: Final = 8
_NOT_DIGIT: Final = re.compile(r"[^0-9]+")
_PHONE_LIKE: Final = re.compile(r"\+?[0-9 ().\-]+")
_RECIPIENT: Final = re.compile(r"\+?[0-9]{6,15}")
_SHORTEST_SHOWN: Final = 10


def digits_of(value: str) -> str:
    """The ASCII digits of value, in order; the digits of other scripts are not digits here."""
    return _NOT_DIGIT.sub("", value)


def parse_inventory_value(value: object, *, field: str) -> str:
    """The value verbatim, if it is a number fit for the inventory.

    An optional + at the very start, 6 to 20 digits, and spaces, hyphens, dots and parentheses anywhere
    else; at most 64 characters.
    Raises InvalidField(field).
    """
    if (
        isinstance(value, str)
        and len(value) <= MAX_INVENTORY_VALUE_LENGTH
        and _PHONE_LIKE.fullmatch(value)
        and 6 <= len(digits_of(value)) <= 20
    ):
        return value
    raise InvalidField(field)


def parse_recipient(value: object, *, field: str) -> str:
    """The value verbatim, if it is an optional + and 6 to 15 ASCII digits.

    Raises InvalidField(field).
    """
    if isinstance(value, str) and _RECIPIENT.fullmatch(value):
        return value
    raise InvalidField(field)


def canonical(number: str) -> str:
    """The form in which two spellings of one number are equal.

    Its digits, if it is an optional +, digits and separators; else the string itself, so that sender IDs
    and logins stay what they are. Knows no country: a national and an international spelling differ.
    """
    if _PHONE_LIKE.fullmatch(number):
        return digits_of(number) or number
    return number


def mask(number: str) -> str:
    """The number for a log: its first three and last two characters, the rest as asterisks.

    One of fewer than ten characters is asterisks only, since what is left would give it away.
    """
    if len(number) < _SHORTEST_SHOWN:
        return "*" * len(number)
    return f"{number[:3]}{'*' * (len(number) - 5)}{number[-2:]}"


def international(number: str) -> str:
    """A number as the world dials it: + and its digits. A short code, or what is no number, stays as it is.

    Digits without a plus are taken for a number with its country code if there are more than SHORT_CODE_DIGITS.
    """
    digits = canonical(number)
    is_number = digits.isascii() and digits.isdigit()
    if is_number and (number.startswith("+") or len(digits) > SHORT_CODE_DIGITS):
        return f"+{digits}"
    return digits if is_number else number
