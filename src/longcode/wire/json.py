"""Request bodies as JSON objects."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final, NoReturn

import msgspec

from longcode.domain.money import Scientific
from longcode.wire.errors import Unreadable


def _number(text: str) -> Decimal:
    """The number exactly; one that nobody can hold is NaN, so that only its own field is invalid."""
    if "e" not in text and "E" not in text:
        return Decimal(text)
    try:
        return Scientific(text)
    except ArithmeticError:
        return Scientific("NaN")


def _integer(text: str) -> int | Decimal:
    try:
        return int(text)
    except ValueError:  # Python reads no integer of thousands of digits
        return Scientific("NaN")


_fast: Final = msgspec.json.Decoder(dict[str, Any], float_hook=_number).decode


def read_object(body: bytes) -> dict[str, object]:
    """The object that body holds. Numbers with a point or an exponent are Decimal, never float.

    msgspec refuses a whole body for one lone surrogate, so what it refuses is read again by the standard
    json, which yields that surrogate inside its string: the check of fields can then name the field.
    Raises Unreadable.
    """
    try:
        return _fast(body)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, RecursionError, ValueError):
        return _slow(body)


def _slow(body: bytes) -> dict[str, object]:
    try:
        text = body.decode("utf-8")
        value: object = json.loads(text, parse_float=_number, parse_int=_integer, parse_constant=_refuse)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Unreadable from error
    if not isinstance(value, dict):
        raise Unreadable
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
