"""The kinds of fields that bodies, queries and paths are made of; each says its rule in the description too."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from longcode.domain.account import MAX_NAME_LENGTH
from longcode.domain.money import MAX_CURRENCY_LENGTH, is_currency
from longcode.domain.phone import parse_inventory_value
from longcode.domain.timestamps import parse_instant
from longcode.errors import InvalidField
from longcode.webhooks import target
from longcode.webhooks.target import URL_CHARACTERS
from longcode.wire.fields import is_clean

TEXT_LENGTH: Final = 1600
MOST_WHOLE: Final = 2**53
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
EARLIEST: Final = datetime(2, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
# No U+0000: no store and no wire carries it.
CLEAN: Final = r"^[^\x00]*$"
RECIPIENT: Final = r"^\+?[0-9]{3,15}$"
DESTINATION: Final = r"^\+?[0-9]{1,15}$"
PRICE: Final = r"^[0-9]{1,8}(\.[0-9]{1,2})?$"
EVENT_ID: Final = "^(evt_)?[0-9a-f-]{36}$"
# What a value is to be that does not fit.
PATTERNS: Final = {
    CLEAN: "it holds a character that no text may hold",
    RECIPIENT: "it must be 3 to 15 digits, + in front or not, nothing between",
    DESTINATION: "it must be 1 to 15 digits, + in front or not",
    PRICE: "it must be an amount such as 3.40, with at most two decimals",
    EVENT_ID: "it must be the id of an event: evt_ and a UUID",
}


@dataclass(frozen=True, slots=True)
class OneOf:
    """A text that is one of these."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """How pydantic checks it."""
        return core_schema.literal_schema([str(name) for name in self.names])


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


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("it must be printable characters")
    return value


def chars(shortest: int, longest: int) -> StringConstraints:
    """So many code points, both inclusive."""
    return StringConstraints(min_length=shortest, max_length=longest)


def _instant(value: object) -> datetime:
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        with suppress(InvalidField):
            # The edges of calendars leave no room for sums.
            return min(max(parse_instant(value, field=""), EARLIEST), LATEST)
    raise ValueError("it must be a time with its zone, such as 2026-11-22T10:00:00Z")


def _whole(value: object) -> object:
    """JSON knows one kind of numbers: 5.0 is 5."""
    if not isinstance(value, float | Decimal) or not math.isfinite(value):  # NaN is not even compared
        return value
    return int(value) if -MOST_WHOLE < value < MOST_WHOLE and value == int(value) else value


def _day(value: object) -> date:
    if isinstance(value, str) and _DAY.fullmatch(value):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise ValueError("it must be a day, such as 2026-11-22")


def _number(value: str) -> str:
    try:
        return parse_inventory_value(value, field="")
    except InvalidField as error:
        raise ValueError("it must be 6 to 20 digits, + in front or not, separators between") from error


def _currency(value: str) -> str:
    if not is_currency(value):
        raise ValueError("it must be printable characters, not all of them spaces")
    return value


def _webhook_url(value: str) -> str:
    """What may be said of it without knowing the account: the rest is looked at where it is used."""
    faults = target.faults(value, allow_private=True)
    if faults:
        raise ValueError("; ".join(faults))
    return value


@dataclass(frozen=True, slots=True)
class ShownOnceMark:
    """A field of an answer that is shown to who made the thing, and to nobody after that."""


SHOWN_ONCE: Final = ShownOnceMark()
ShownOnce = Annotated[str | None, SHOWN_ONCE, Field(description="Shown this once; null in the answer to a repeat.")]
# Text that every store and wire can carry.
Clean = Annotated[str, StringConstraints(strict=True, pattern=CLEAN), AfterValidator(_clean)]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T10:00:00Z"]}),
]
# Behind the bounds of a number, so that the description has them as well.
WHOLE: Final = BeforeValidator(_whole)
Whole = Annotated[int, WHOLE]
Day = Annotated[
    date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-11-22"]})
]
Recipient = Annotated[str, StringConstraints(strict=True, pattern=RECIPIENT), Field(examples=["+12025550190"])]
WebhookUrl = Annotated[
    Clean, chars(1, URL_CHARACTERS), AfterValidator(_webhook_url), Field(examples=["https://hooks.example/sms-status"])
]
AccountName = Annotated[Clean, chars(1, MAX_NAME_LENGTH)]
Sender = Annotated[Clean, chars(1, 64), Field(examples=["MyCorp"])]
Printable = Annotated[Clean, chars(1, 64), AfterValidator(_printable)]
MessageText = Annotated[Clean, chars(1, TEXT_LENGTH)]
Reference = Annotated[Clean, chars(1, 255)]
Party = Annotated[Clean, chars(1, 128)]
Currency = Annotated[Clean, chars(1, MAX_CURRENCY_LENGTH), AfterValidator(_currency), Field(examples=["USD"])]
NumberValue = Annotated[str, StringConstraints(strict=True, max_length=64, pattern=CLEAN), AfterValidator(_number)]
