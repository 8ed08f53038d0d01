"""The reference: every operation of the OpenAPI document as records that a template can show."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup

from longcode.web.manual.markdown import anchor_of, render_part
from longcode.web.manual.pages import URL
from longcode.web.manual.schemas import Field, Reader, Schema

REFERENCE: Final = f"{URL}/reference"
SCHEMAS: Final = f"{REFERENCE}/schemas"
METHODS: Final = ("get", "post", "put", "patch", "delete")
HERE: Final = "http://127.0.0.1:8080"
JSON: Final = "application/json"
SCOPE: Final = "x-scope"


@dataclass(frozen=True, slots=True)
class Example:
    """One example under its name, as it goes over the wire, broken into lines."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """A body. fields: of an object whose kind is told here; a kind with a name is a link."""

    media: str
    type: Markup
    fields: tuple[Field, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one status means."""

    status: int
    phrase: str
    text: Markup
    headers: tuple[Field, ...]
    contents: tuple[Content, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. access: who may call it, in words. command: the call by curl."""

    id: str
    method: str
    path: str
    summary: str
    text: Markup
    access: str
    parameters: tuple[Field, ...]
    bodies: tuple[Content, ...]
    answers: tuple[Answer, ...]
    command: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """The operations of one tag."""

    url: str
    name: str
    text: Markup
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A schema with a name."""

    name: str
    text: Markup
    type: Markup
    fields: tuple[Field, ...]


def chapter_url(tag: str) -> str:
    """Where a chapter is."""
    return f"{REFERENCE}/{anchor_of(tag)}"


class Reference:
    """Reads one OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._reader = Reader(self._look_up, lambda name: f"{SCHEMAS}#{name}")

    def introduction(self) -> Markup:
        """What all operations have in common."""
        return render_part(self._document["info"].get("description", ""))

    def chapters(self) -> tuple[Chapter, ...]:
        """The operations by their tags, both in the document's order."""
        by_tag: dict[str, list[Operation]] = {name: [] for name in self.tags()}
        for path, item in self._document["paths"].items():
            for method in METHODS:
                if method in item:
                    by_tag[item[method]["tags"][0]].append(self._operation(path, method, item))
        texts = {tag["name"]: tag.get("description", "") for tag in self._document["tags"]}
        return tuple(
            Chapter(chapter_url(name), name, render_part(texts.get(name, "")), tuple(operations))
            for name, operations in by_tag.items()
        )

    def tags(self) -> tuple[str, ...]:
        """The names of the chapters: of the tags that operations have."""
        used = dict.fromkeys(
            item[method]["tags"][0] for item in self._document["paths"].values() for method in METHODS if method in item
        )
        told = [tag["name"] for tag in self._document["tags"] if tag["name"] in used]
        return tuple(dict.fromkeys([*told, *used]))

    def kinds(self) -> tuple[Kind, ...]:
        """The schemas by their names."""
        schemas: Mapping[str, Schema] = self._document["components"]["schemas"]
        return tuple(
            Kind(
                name,
                render_part(schema.get("description", "")),
                self._reader.type_of(schema),
                self._reader.fields(schema),
            )
            for name, schema in sorted(schemas.items())
        )

    def _operation(self, path: str, method: str, item: Mapping[str, Any]) -> Operation:
        spec = item[method]
        parameters = [self._look_up(one) for one in (*item.get("parameters", ()), *spec.get("parameters", ()))]
        body = self._look_up(spec.get("requestBody", {}))
        return Operation(
            id=spec["operationId"],
            method=method.upper(),
            path=path,
            summary=spec.get("summary", ""),
            text=render_part(spec.get("description", "")),
            access=self._access(spec),
            parameters=tuple(
                self._reader.field(
                    one["name"],
                    one.get("schema", {}),
                    required=one.get("required", False),
                    text=one.get("description", ""),
                    place=one["in"],
                )
                for one in parameters
            ),
            bodies=tuple(self._contents(body)),
            answers=tuple(
                self._answer(int(status), self._look_up(answer)) for status, answer in sorted(spec["responses"].items())
            ),
            command=self._command(path, method, spec, parameters, body),
        )

    def _answer(self, status: int, answer: Schema) -> Answer:
        return Answer(
            status=status,
            phrase=HTTPStatus(status).phrase,
            text=render_part(answer.get("description", "")),
            headers=tuple(
                self._reader.field(
                    name,
                    found.get("schema", {}),
                    required=found.get("required", False),
                    text=found.get("description", ""),
                )
                for name, found in ((name, self._look_up(one)) for name, one in answer.get("headers", {}).items())
            ),
            contents=tuple(self._contents(answer)),
        )

    def _contents(self, holder: Schema) -> Iterator[Content]:
        for media, content in holder.get("content", {}).items():
            schema = content.get("schema", {})
            own = schema if "$ref" not in schema else self._look_up(schema)
            yield Content(
                media, self._reader.type_of(schema), self._reader.fields(own), tuple(_examples(content, media))
            )

    def _access(self, spec: Mapping[str, Any]) -> str:
        """Who may call it."""
        security = spec.get("security", self._document.get("security", []))
        ways = {
            "basic": "an account's name and secret (HTTP Basic)",
            "bearer": "an API key (Bearer)",
            "signature": "the operator's signature",
        }
        words = [ways.get(name, name) for choice in security for name in choice]
        if {} in security and words:
            words.append("nobody in particular, where the operator has named an anonymous account")
        told = "; or ".join(words) if words else "everybody"
        return f"{told}; scope {spec[SCOPE]}" if SCOPE in spec else told

    def _command(self, path: str, method: str, spec: Mapping[str, Any], parameters: list[Schema], body: Schema) -> str:
        """The call by curl; what only the reader knows stands in braces."""
        query = []
        headers = []
        for one in parameters:
            value = self._value_of(one)
            if one["in"] == "path" and value is not None:
                path = path.replace(f"{{{one['name']}}}", quote(str(value), safe=""))
            elif one["in"] == "query" and one.get("required"):
                query.append(f"{one['name']}={quote(str(value), safe='')}")
            elif one["in"] == "header" and one.get("required"):
                headers.append(_header(one["name"], value))
        address = HERE + path + ("?" + "&".join(query) if query else "")
        words = [f"curl {shlex.quote(address)}", *self._credentials(spec), *headers]
        content = body.get("content", {})
        if JSON in content:
            words.append(f"-d {shlex.quote(self._body(content[JSON]))}")
        elif content:
            media = next(iter(content))
            words.append(f"{_header('Content-Type', media)} --data-binary @FILE")
        usual = "POST" if content else "GET"
        if method.upper() != usual:
            words.insert(1, f"-X {method.upper()}")
        return " \\\n  ".join(words)

    def _credentials(self, spec: Mapping[str, Any]) -> Iterator[str]:
        names = [name for choice in spec.get("security", self._document.get("security", [])) for name in choice]
        if "basic" in names:
            yield "-u NAME:SECRET"
        elif "bearer" in names:
            yield "-H 'Authorization: Bearer KEY'"

    def _value_of(self, parameter: Schema) -> Any:
        """A value that the parameter may have; None where only the reader can know one."""
        for example in parameter.get("examples", {}).values():
            return self._look_up(example)["value"]
        if "example" in parameter:
            return parameter["example"]
        schema = self._look_up(parameter.get("schema", {}))
        if parameter["in"] == "path" and not schema.keys() & {"example", "examples", "format", "enum"}:
            return None
        return self._reader.sample(schema)

    def _body(self, content: Schema) -> str:
        for example in content.get("examples", {}).values():
            return json.dumps(self._look_up(example)["value"], ensure_ascii=False)
        value = content["example"] if "example" in content else self._reader.sample(content.get("schema", {}))
        return json.dumps(value, ensure_ascii=False)

    def _look_up(self, value: Schema) -> Schema:
        """What a reference stands for; anything else itself."""
        while "$ref" in value:
            found: Any = self._document
            for step in value["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            value = found
        return value


def _header(name: str, value: object) -> str:
    line = f"{name}: {value}"
    return f"-H {shlex.quote(line)}"


def _examples(content: Schema, media: str) -> Iterator[Example]:
    given = {name: example["value"] for name, example in content.get("examples", {}).items() if "value" in example}
    if "example" in content:
        given["example"] = content["example"]
    for name, value in given.items():
        is_text = isinstance(value, str) and "json" not in media
        yield Example(name, value if is_text else json.dumps(value, indent=2, ensure_ascii=False))
