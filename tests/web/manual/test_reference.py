"""The reference tells in words what the OpenAPI document says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from longcode.web.manual.reference import Operation, Reference
from longcode.web.manual.schemas import Reader

NAMED: Mapping[str, Any] = {
    "Inner": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer", "minimum": 3}, "b": {}}},
    "Self": {"type": "object", "properties": {"again": {"$ref": "#/components/schemas/Self"}}},
}
INNER = {"$ref": "#/components/schemas/Inner"}


def look_up(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return NAMED[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


READER = Reader(look_up, lambda name: f"#{name}")


@dataclass(frozen=True, slots=True)
class Case:
    """A schema, what its kind is called, and a value that fits."""

    what: str
    schema: Mapping[str, Any]
    kind: str
    sample: Any

    def __str__(self) -> str:
        return self.what


@pytest.mark.parametrize(
    "case",
    [
        Case("a plain one", {"type": "string"}, "string", "text"),
        Case("a format", {"type": "string", "format": "date-time"}, "string, date-time", "2026-11-22T10:00:00Z"),
        Case("one with a name is a link", INNER, '<a href="#Inner">Inner</a>', {"a": 1}),
        Case("a list of them", {"type": "array", "items": INNER}, 'list of <a href="#Inner">Inner</a>', [{"a": 1}]),
        Case("null too", {"type": ["string", "null"]}, "string or null", "text"),
        Case("one of several", {"anyOf": [INNER, {"type": "null"}]}, '<a href="#Inner">Inner</a> or null', {"a": 1}),
        Case("fixed values", {"enum": ["a<b", 2]}, "<code>&#34;a&lt;b&#34;</code> or <code>2</code>", "a<b"),
        Case("a constant", {"const": True}, "<code>true</code>", True),
        Case("a map", {"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer", {}),
        Case("its own example", {"type": "string", "examples": ["x"]}, "string", "x"),
        Case("anything", {}, "anything", {}),
    ],
    ids=str,
)
def test_a_kind_of_value_is_told_with_a_value_that_fits(case: Case) -> None:
    assert READER.type_of(case.schema) == case.kind
    assert READER.sample(case.schema) == case.sample


def test_a_schema_that_holds_itself_has_a_sample() -> None:
    assert READER.sample(NAMED["Self"]).keys() == {"again"}


def test_fields_without_a_name_are_told_where_they_are() -> None:
    schema = {
        "required": ["one"],
        "properties": {
            "one": {"type": "object", "properties": {"two": {"type": "string", "maxLength": 5, "default": "x"}}},
            "all": {"type": "array", "maxItems": 9, "items": {"type": "object", "properties": {"three": INNER}}},
        },
    }
    fields = {field.name: field for field in READER.fields(schema)}
    assert list(fields) == ["one", "one.two", "all", "all[].three"]
    assert (fields["one"].required, fields["all"].required) == (True, False)
    assert fields["one.two"].rules == ("at most 5 characters", "default <code>&#34;x&#34;</code>")
    assert fields["all"].rules == ("at most 9 entries",)


def operation(**spec: Any) -> Operation:
    document = {
        "info": {},
        "tags": [],
        "paths": {"/things/{id}": {"put": {"operationId": "put", "tags": ["Things"], "responses": {}, **spec}}},
        "components": {"schemas": NAMED},
    }
    [chapter] = Reference(document).chapters()
    [found] = chapter.operations
    return found


def test_a_call_is_told_as_a_command_for_a_shell() -> None:
    found = operation(
        security=[{"basic": []}, {"bearer": []}, {}],
        parameters=[
            {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "since", "in": "query", "required": True, "schema": {"type": "string", "format": "date"}},
            {"name": "X-Name", "in": "header", "required": True, "example": "it's"},
            {"name": "other", "in": "query", "schema": {}},
        ],
        requestBody={"content": {"application/json": {"schema": INNER}}},
    )
    assert found.command.split(" \\\n  ") == [
        "curl 'http://127.0.0.1:8080/things/{id}?since=2026-11-22'",
        "-X PUT",
        "-u NAME:SECRET",
        """-H 'X-Name: it'"'"'s'""",
        """-d '{"a": 1}'""",
    ]
    assert "anonymous account" in found.access


def test_answers_are_in_order_with_their_headers_and_examples() -> None:
    found = operation(
        **{"security": [{"bearer": []}], "x-scope": "things:write"},
        responses={
            "404": {"description": "- `gone`: no more"},
            "200": {
                "description": "Done.",
                "headers": {"ETag": {"required": True, "schema": {"type": "string"}}},
                "content": {"text/csv": {"schema": {"type": "string"}, "example": "a,b"}},
            },
        },
    )
    done, missing = found.answers
    assert (done.status, done.phrase, missing.status) == (200, "OK", 404)
    assert [header.name for header in done.headers] == ["ETag"]
    assert [example.text for content in done.contents for example in content.examples] == ["a,b"]
    assert "<code>gone</code>" in missing.text
    assert found.access == "an API key (Bearer); scope things:write"
