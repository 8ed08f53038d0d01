"""What pydantic found wrong, as the faults of a problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from longcode.api.fields import PATTERNS
from longcode.api.problems import FieldFault, InvalidRequest
from longcode.errors import LongcodeError
from longcode.wire.errors import Unreadable

CODES: Final = {"missing": "missing", "extra_forbidden": "unknown"}
SENTENCES: Final = {
    "missing": "it is missing",
    "extra_forbidden": "there is no such field",
    "string_unicode": "it holds a character that no text may hold",
    "string_type": "it must be a string",
    "int_type": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "float_type": "it must be a number",
    "bool_type": "it must be true or false",
    "bool_parsing": "it must be true or false",
    "list_type": "it must be a list",
    "dict_type": "it must be an object",
    "literal_error": "it must be {expected}",
    "enum": "it must be {expected}",
    "greater_than_equal": "it must be {ge} or more",
    "less_than_equal": "it must be {le} or less",
}
# Of what has a length: pydantic counts the characters of a text as items.
LENGTHS: Final = {
    "too_short": "min_length",
    "string_too_short": "min_length",
    "too_long": "max_length",
    "string_too_long": "max_length",
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


def refuse_parameters(names: Iterable[str]) -> None:
    """Raise InvalidRequest with the parameters that an operation without any was given."""
    faults = tuple(FieldFault(code="unknown", detail=SENTENCES["extra_forbidden"], field=name) for name in names)
    if faults:
        raise InvalidRequest(faults)


def _fault(fault: Mapping[str, Any]) -> FieldFault:
    code = CODES.get(fault["type"], "invalid")
    where, *rest = fault["loc"]
    if code == "invalid" and fault.get("input") is None:
        code = "missing"  # null, where nothing else is asked for
    detail = SENTENCES["missing"] if code == "missing" else _sentence(fault)
    if where == "body":
        return FieldFault(code=code, detail=detail, pointer="".join(f"/{_escaped(part)}" for part in rest))
    return FieldFault(code=code, detail=detail, field=str(rest[0]) if rest else str(where))


def _sentence(fault: Mapping[str, Any]) -> str:
    """Our own words; pydantic's, without its prefixes, where we have none."""
    kind, terms = fault["type"], fault.get("ctx", {})
    if kind in LENGTHS:
        return _length(fault["input"], LENGTHS[kind], terms[LENGTHS[kind]])
    if kind == "string_pattern_mismatch":
        return PATTERNS[terms["pattern"]]
    if kind in SENTENCES:
        return SENTENCES[kind].format(**terms)
    text = str(fault["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _length(given: object, bound: str, length: int) -> str:
    if not given:
        return "it is empty"
    unit = "characters" if isinstance(given, str) else "entries"
    return f"it must have {length} {unit} or more" if bound == "min_length" else f"it must have at most {length} {unit}"


def _escaped(part: object) -> str:
    """One step of a JSON pointer. Source: RFC 6901 §3."""
    return str(part).replace("~", "~0").replace("/", "~1")
