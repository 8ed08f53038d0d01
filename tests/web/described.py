"""The OpenAPI description as tests use it: operations, their examples, and whether an answer is as described."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from longcode.web.description import document
from tests.calls import Reply

METHODS = ("get", "put", "post", "delete", "patch")
DOCUMENT = "urn:longcode"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, everything that it refers to looked up. path: without a trailing slash."""

    path: str
    method: str
    id: str
    spec: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]

    @property
    def statuses(self) -> set[int]:
        return {int(status) for status in self.spec["responses"]}

    @property
    def body(self) -> Mapping[str, Any] | None:
        """Schema and examples of the request's body."""
        if "requestBody" not in self.spec:
            return None
        media: Mapping[str, Any] = self.spec["requestBody"]["content"]["application/json"]
        return media

    def response(self, status: int) -> Mapping[str, Any]:
        found: Mapping[str, Any] = look_up(self.spec["responses"][str(status)])
        return found

    def answers(self) -> Iterator[tuple[int, str, Any]]:
        """Status, name and body of every example of an answer."""
        for status in self.statuses:
            media = self.response(status).get("content", {}).get("application/json", {})
            for name, example in media.get("examples", {}).items():
                yield status, name, example["value"]


def look_up(value: Mapping[str, Any]) -> Any:
    """What a reference stands for; anything else itself."""
    if "$ref" not in value:
        return value
    found: Any = document()
    for step in value["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def operations() -> tuple[Operation, ...]:
    """Those of the dialects and of the server itself."""
    return tuple(found for found in everything() if not found.path.startswith("/v1/"))


@cache
def everything() -> tuple[Operation, ...]:
    return tuple(
        Operation(
            path=path.rstrip("/"),
            method=method.upper(),
            id=item[method]["operationId"],
            spec=item[method],
            parameters=(*item.get("parameters", ()), *item[method].get("parameters", ())),
        )
        for path, item in document()["paths"].items()
        for method in METHODS
        if method in item
    )


def operation(method: str, path: str) -> Operation | None:
    """What is described at a path as it was sent, query and trailing slash or not."""
    bare = path.partition("?")[0].rstrip("/")
    fitting = [found for found in everything() if _pattern(found.path).fullmatch(bare)]
    path = min((found.path for found in fitting), key=lambda template: template.count("{"), default="")
    sought = "GET" if method == "HEAD" else method
    return next((found for found in fitting if (found.path, found.method) == (path, sought)), None)


def check_described(method: str, path: str, reply: Reply) -> None:
    """Fail unless the reply has a status, headers and a body that the description names."""
    found = operation(method, path)
    assert found is not None, f"{method} {path} is not described"
    assert reply.status in found.statuses, f"{method} {path} answered {reply.status}, which is not described"
    response = found.response(reply.status)
    for name, header in response.get("headers", {}).items():
        assert name.lower() in reply.headers or not look_up(header).get("required"), f"no {name} in {reply.headers}"
    if "content" not in response:
        assert reply.body == b""
        return
    ((kind, media),) = response["content"].items()
    assert reply.headers["content-type"].partition(";")[0] == kind
    if kind.endswith("json") and method != "HEAD":
        check_schema(media["schema"], json.loads(reply.body))


def check_schema(schema: Mapping[str, Any], value: Any) -> None:
    """Raise ValidationError unless value is as the schema says."""
    absolute = json.loads(json.dumps(schema).replace('"#/', f'"{DOCUMENT}#/'))
    Draft202012Validator(absolute, registry=_registry()).validate(value)


@cache
def _registry() -> Registry[Any]:
    return Registry().with_resource(DOCUMENT, Resource(contents=document(), specification=DRAFT202012))


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(re.escape(part) for part in re.split(r"\{[^}]*\}", path)))
