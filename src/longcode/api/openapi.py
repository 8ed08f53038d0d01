"""The description of the native API: what FastAPI knows of the routes, and what all of them have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI

from longcode.api.caller import ACCOUNT_HEADER
from longcode.api.drafts import KEY_PATTERN, KEY_RULE
from longcode.api.examples import EXAMPLES
from longcode.api.problems import CATALOGUE, MEDIA_TYPE
from longcode.api.routing import BODY_TYPE, ERRORS, FOR_ACCOUNT, LIMIT, ONCE, SCOPE, TAGGED
from longcode.api.schema_names import referring, renamed
from longcode.api.sent import REPLAYED
from longcode.domain.scopes import OPERATOR

METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
# Problems that every operation has, and those that come with a body or with parameters.
OF_ALL: Final = ("not_authenticated", "invalid_request", "rate_limited", "fault", "storage_down")
OF_ACCOUNTS: Final = ("scope_missing", "account_needed", "foreign_origin", "not_found")
OF_OPERATORS: Final = ("operator_only", "foreign_origin", "not_found")
OF_BODIES: Final = ("unreadable", "body_too_large")
OF_FILES: Final = ("body_too_large",)
OF_KEYS: Final = ("key_in_flight", "key_reused")

TAGS: Final = (("Native: messages", "Send, find, take back and forget messages."),)
PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "What went wrong. Source: RFC 9457.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "Where the code is explained."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence for people."},
        "code": {"type": "string", "description": "Stable; for programs."},
        "request_id": {"type": "string", "description": "As in X-Request-Id and in the server's log."},
        "errors": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/FieldFault"}},
    },
}
FIELD_FAULT: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "One field at fault: by its place in the body, or by the name of a parameter or header.",
    "required": ["code", "detail"],
    "properties": {
        "pointer": {"type": "string", "description": "RFC 6901, into the body."},
        "field": {"type": "string"},
        "code": {"type": "string", "description": "missing, invalid, unknown, or the problem's own code."},
        "detail": {"type": "string"},
    },
}
HEADERS: Final[Mapping[str, Any]] = {
    "RequestId": {"description": "What to look for in the log.", "required": True, "schema": {"type": "string"}},
    "RateLimit": {"description": "Calls that are left, and the window's rest.", "schema": {"type": "string"}},
    "RateLimitPolicy": {"description": "Calls in a window, and its seconds.", "schema": {"type": "string"}},
    "ETag": {"description": "For If-None-Match.", "required": True, "schema": {"type": "string"}},
    "Link": {"description": 'The page after this one, as rel="next".', "schema": {"type": "string"}},
}
COMMON: Final = (
    ("X-Request-Id", "RequestId"),
    ("RateLimit", "RateLimit"),
    ("RateLimit-Policy", "RateLimitPolicy"),
)
OPERATORS_ACCOUNT: Final[Mapping[str, Any]] = {
    "name": ACCOUNT_HEADER.title(),
    "in": "header",
    "required": False,
    "description": "The account that an operator's key acts for; other credentials have their own.",
    "schema": {"type": "string"},
}
IDEMPOTENCY_KEY: Final[Mapping[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": KEY_RULE,
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}
IF_NONE_MATCH: Final[Mapping[str, Any]] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "An ETag that you have; 304 while it is still right.",
    "schema": {"type": "string"},
}


def describe(app: FastAPI, prefix: str) -> Mapping[str, Any]:
    """Paths, components and tags; the paths with the prefix before them."""
    found: dict[str, Any] = app.openapi()
    schemas = {name: _plain(schema) for name, schema in found["components"]["schemas"].items()}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas = renamed(schemas | {"Problem": PROBLEM, "FieldFault": FIELD_FAULT})
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    for item in found["paths"].values():
        for method in METHODS & item.keys():
            _complete(item[method])
    return {
        "tags": [{"name": name, "description": text} for name, text in TAGS],
        "paths": {f"{prefix}{path}": referring(item) for path, item in found["paths"].items()},
        "components": {"schemas": referring(schemas), "headers": dict(HEADERS)},
    }


def _complete(operation: dict[str, Any]) -> None:
    """What a route does not say of itself."""
    scope = operation[SCOPE]
    operator = scope == OPERATOR
    parameters: list[Any] = operation.setdefault("parameters", [])
    if ONCE in operation:
        _make_once(operation)
    for parameter in parameters:
        parameter["schema"] = _plain(_unnulled(parameter["schema"]))
    responses = operation["responses"]
    responses.pop("422", None)
    for status, codes in _by_status(_codes(operation, operator=operator)).items():
        responses[str(status)] = _problem(status, codes)
    if TAGGED in operation:
        responses["200"].setdefault("headers", {})["ETag"] = {"$ref": "#/components/headers/ETag"}
        responses["304"] = {
            "description": "It is as you have it.",
            "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
        }
        parameters.append(IF_NONE_MATCH)
    if any((parameter["name"], parameter["in"]) == ("cursor", "query") for parameter in parameters):
        responses["200"].setdefault("headers", {})["Link"] = {"$ref": "#/components/headers/Link"}
    for response in responses.values():
        headers = response.setdefault("headers", {})
        headers.update({name: {"$ref": f"#/components/headers/{ref}"} for name, ref in COMMON})
        if response.get("description") == "Successful Response":
            response["description"] = "Done."
    if not operator or FOR_ACCOUNT in operation:
        parameters.append({**OPERATORS_ACCOUNT, "required": operator})
    operation["security"] = [{"bearer": []}] if operator else [{"basic": []}, {"bearer": []}, {}]
    for name in (TAGGED, ERRORS, LIMIT, BODY_TYPE, FOR_ACCOUNT, ONCE):
        operation.pop(name, None)


def _make_once(operation: dict[str, Any]) -> None:
    """What a call under a key may be answered besides: the answer of an earlier one."""
    operation["parameters"].append(IDEMPOTENCY_KEY)
    responses = operation["responses"]
    first = responses["201" if "201" in responses else "200"]
    repeated = responses.setdefault("200", {"description": "The answer of the key's first call.", **_content(first)})
    repeated.setdefault("headers", {}).update(REPLAYED)


def _content(response: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in response.items() if name == "content"}


def _codes(operation: Mapping[str, Any], *, operator: bool) -> Iterator[str]:
    """The codes of all problems that the operation may have."""
    yield from OF_ALL
    yield from OF_OPERATORS if operator else OF_ACCOUNTS
    if FOR_ACCOUNT in operation:
        yield "account_needed"
    if "requestBody" in operation:
        yield from OF_FILES if BODY_TYPE in operation else OF_BODIES
    if ONCE in operation:
        yield from OF_KEYS
    yield from operation[ERRORS]


def _by_status(codes: Iterator[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        found.setdefault(CATALOGUE[code].status, []).append(code)
    return dict(sorted(found.items()))


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    lines = [f"- `{code}`: {CATALOGUE[code].title}." for code in codes]
    headers: dict[str, Any] = {}
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    if status == 401:
        headers["WWW-Authenticate"] = {"$ref": "#/components/headers/Challenge"}
    schema = {
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {"code": {"enum": codes}, "status": {"const": status}},
    }
    return {"description": "\n".join(lines), "headers": headers, "content": {MEDIA_TYPE: {"schema": schema}}}


def _plain(schema: Any) -> Any:
    """Without the titles that pydantic makes of names, which they only repeat; and with 9 for FastAPI's 9.0."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if isinstance(schema, float) and schema.is_integer():
        return int(schema)
    if not isinstance(schema, dict):
        return schema
    bare = {name: value for name, value in schema.items() if name != "title" or not isinstance(value, str)}
    return {name: _plain(value) for name, value in bare.items()}


def _unnulled(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not; it has no null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1 or len(kinds) == len(schema.get("anyOf", ())):
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**kinds[0], **rest}
