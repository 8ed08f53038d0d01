"""The kinds of fields that bodies, queries and paths are made of; each says its rule in the description too."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from longcode.domain.phone import parse_inventory_value
from longcode.domain.timestamps import parse_instant
from longcode.errors import InvalidField
from longcode.wire.fields import is_clean

TEXT_LENGTH: Final = 1600
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
# No U+0000: no store and no wire carries it.
CLEAN: Final = r"^[^\x00]*$"


class Body(BaseModel):
    """What a caller sends: every field is known, none is turned into another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Query(BaseModel):
    """What stands behind the question mark; texts become numbers where those are asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _clean(text: str) -> str:
    if not is_clean(text):
        raise ValueError("it holds a character that no text may hold")
    return text


def text(shortest: int, longest: int) -> Any:
    """Clean text of so many code points, both inclusive."""
    return Annotated[
        str,
        StringConstraints(strict=True, min_length=shortest, max_length=longest, pattern=CLEAN),
        AfterValidator(_clean),
    ]


def _instant(value: object) -> datetime:
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            return parse_instant(value, field="")
        except InvalidField:
            pass
    raise ValueError("it must be a time with its zone, such as 2026-11-22T10:00:00Z")


def _number(value: str) -> str:
    try:
        return parse_inventory_value(value, field="")
    except InvalidField as error:
        raise ValueError("it must be 6 to 20 digits, + in front or not, separators between") from error


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T10:00:00Z"]}),
]
Recipient = Annotated[
    str, StringConstraints(strict=True, pattern=r"^\+?[0-9]{3,15}$"), Field(examples=["+12025550190"])
]
Sender = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=64, pattern=CLEAN),
    AfterValidator(_clean),
    Field(examples=["MyCorp"]),
]
MessageText = text(1, TEXT_LENGTH)
Reference = text(1, 255)
Party = text(1, 128)
NumberValue = Annotated[str, StringConstraints(strict=True, max_length=64, pattern=CLEAN), AfterValidator(_number)]
