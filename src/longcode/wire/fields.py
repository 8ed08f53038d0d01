"""The checks of single fields that the dialects share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from longcode.errors import InvalidField, MissingField

_UNCLEAN: Final = re.compile("[\x00\ud800-\udfff]")


def require(fields: Mapping[str, object], names: Iterable[str]) -> None:
    """Raise MissingField for the first of names, in their order, that is absent or null."""
    for name in names:
        if fields.get(name) is None:
            raise MissingField(name)


def string(fields: Mapping[str, object], name: str, *, shortest: int, longest: int) -> str:
    """The field verbatim, if it is a clean string of shortest to longest code points, both inclusive.

    Raises InvalidField otherwise; an absent field is invalid too, so ask `require` first.
    """
    value = fields.get(name)
    if isinstance(value, str) and shortest <= len(value) <= longest and is_clean(value):
        return value
    raise InvalidField(name)


def is_clean(text: str) -> bool:
    """Whether text is free of U+0000 and of lone surrogates, so that every store and wire can carry it."""
    return (text.isascii() and "\x00" not in text) or _UNCLEAN.search(text) is None
