"""Readers of a carrier's settings, which an operator types as `key=value`.

A reader gives one value, or raises ValueError with what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

Reader = Callable[[str], object]

_HOST: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|[0-9A-Fa-f:.]{2,45}")


def read(
    settings: Mapping[str, str], readers: Mapping[str, Reader], required: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """The values that could be read, and a fault for each setting that is unknown, missing or unusable."""
    faults = [f"{key}: there is no such setting" for key in settings if key not in readers]
    faults += [f"{key}: missing" for key in required if key not in settings]
    values: dict[str, Any] = {}
    for key, reader in readers.items():
        if key in settings:
            try:
                values[key] = reader(settings[key])
            except ValueError as fault:
                faults.append(f"{key}: {fault}")
    return values, faults


def host(value: str) -> str:
    """A host name or an IP address."""
    if not _HOST.fullmatch(value):
        raise ValueError("expected a host name or an IP address")
    return value


def text(shortest: int, longest: int) -> Reader:
    """ASCII that can be printed."""

    def read(value: str) -> str:
        if not shortest <= len(value) <= longest or not all(" " <= char <= "~" for char in value):
            raise ValueError(f"expected {shortest} to {longest} ASCII characters")
        return value

    return read


def pattern(form: str, what: str) -> Reader:
    """A text of one form. what: the form in words."""

    def read(value: str) -> str:
        if not re.fullmatch(form, value):
            raise ValueError(f"expected {what}")
        return value

    return read


def integer(least: int, most: int) -> Reader:
    """A decimal integer."""

    def read(value: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", value) or not least <= int(value) <= most:
            raise ValueError(f"expected an integer from {least} to {most}")
        return int(value)

    return read


def decimal(least: float, most: float, *, or_zero: bool = False) -> Reader:
    """A number with at most six decimals."""

    def read(value: str) -> float:
        number = float(value) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value) else -1.0
        if not (least <= number <= most or (or_zero and number == 0)):
            raise ValueError(f"expected {'0, or ' if or_zero else ''}{least:g} to {most:g}")
        return number

    return read


def flag(value: str) -> bool:
    """0 or 1."""
    if value not in ("0", "1"):
        raise ValueError("expected 0 or 1")
    return value == "1"


def choice(choices: type[StrEnum]) -> Reader:
    """One of a few words."""

    def read(value: str) -> StrEnum:
        try:
            return choices(value)
        except ValueError:
            raise ValueError(f"expected {', '.join(choices)}") from None

    return read


def http_url(value: str) -> str:
    """The address of a server, perhaps with a path, without a slash at its end."""
    value = value.rstrip("/")
    try:
        split = urlsplit(value)
        usable = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        usable = False
    if not usable or not value.isascii() or not value.isprintable() or set(value) & set(" ?#@"):
        raise ValueError("expected http://… or https://…, without a query and without credentials")
    return value
