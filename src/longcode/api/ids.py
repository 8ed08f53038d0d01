"""Ids in paths. What cannot be one names nothing, so it is not found; it is not a faulty field."""

from __future__ import annotations

import re
from typing import Annotated, Final
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator

from longcode.errors import NotFound
from longcode.wire.fields import is_clean
from longcode.wire.paths import decode

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_SERIAL: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)

UuidInPath = Annotated[str, Path(json_schema_extra={"format": "uuid"})]
SerialInPath = Annotated[str, Path(json_schema_extra={"pattern": "^[1-9][0-9]{0,17}$"})]


def uuid_of(text: str) -> UUID:
    """The id. Raises NotFound."""
    if not _UUID.fullmatch(text):
        raise NotFound("there is no such thing")
    return UUID(text)


def serial_of(text: str) -> int:
    """The id. Raises NotFound."""
    if not _SERIAL.fullmatch(text):
        raise NotFound("there is no such thing")
    return int(text)


def _name_of(text: str) -> str:
    if not is_clean(text):
        raise NotFound("there is no such thing")
    return text.replace("%2F", "/").replace("%25", "%")


# Raises NotFound for what no store could hold.
NameInPath = Annotated[str, AfterValidator(_name_of), Path(json_schema_extra={"minLength": 1})]


def decoded(raw_path: bytes) -> str:
    """A path as routes are matched by it: decoded, but for slashes inside a segment, which `NameInPath` decodes."""
    segments = (decode(segment) for segment in raw_path.split(b"/"))
    return "/".join(segment.replace("%", "%25").replace("/", "%2F") for segment in segments)
