"""What pydantic found wrong, as the faults of a problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from longcode.api.problems import FieldFault, InvalidRequest
from longcode.errors import LongcodeError
from longcode.wire.errors import Unreadable

CODES: Final = {"missing": "missing", "extra_forbidden": "unknown"}
SENTENCES: Final = {
    "missing": "it is missing",
    "extra_forbidden": "there is no such field",
    "string_unicode": "it holds a character that no text may hold",
}
UNREADABLE: Final = frozenset({"json_invalid"})
# Of a whole body that is no object.
NO_OBJECT: Final = frozenset({"model_attributes_type", "model_type", "dict_type", "missing"})


def invalid_request(found: Iterable[Mapping[str, Any]]) -> LongcodeError:
    """Every faulty field at once; Unreadable where the body is not a JSON object at all."""
    found = list(found)
    for fault in found:
        if fault["type"] in UNREADABLE or (tuple(fault["loc"]) == ("body",) and fault["type"] in NO_OBJECT):
            return Unreadable()
    return InvalidRequest(tuple(_fault(fault) for fault in found))


def _fault(fault: Mapping[str, Any]) -> FieldFault:
    code = CODES.get(fault["type"], "invalid")
    where, *rest = fault["loc"]
    if code == "invalid" and fault.get("input") is None:
        code = "missing"  # null, where nothing else is asked for
    detail = SENTENCES["missing"] if code == "missing" else SENTENCES.get(fault["type"], _sentence(fault))
    if where == "body":
        return FieldFault(code=code, detail=detail, pointer="".join(f"/{_escaped(part)}" for part in rest))
    return FieldFault(code=code, detail=detail, field=str(rest[0]) if rest else str(where))


def _sentence(fault: Mapping[str, Any]) -> str:
    """pydantic's own words, without its prefixes."""
    text = str(fault["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _escaped(part: object) -> str:
    """One step of a JSON pointer. Source: RFC 6901 §3."""
    return str(part).replace("~", "~0").replace("/", "~1")
