"""The OpenAPI description of everything, at `/openapi.json` and `/openapi.yaml`.

That of the dialects is written by hand, a file for each in `openapi/`; tests hold it to the routes, and each of its
examples to the answer that is really given. That of the native API is made from its routes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from longcode import __version__
from longcode.api.app import description

# The order in which a reader sees them.
PARTS: Final = ("shared", "inbound_outbound", "conversations", "numbers", "messages", "mailbox")

# Paths that are another name of one that is described.
ALIASES: Final = {"/numbers": "/api/numbers", "/numbers/{id}": "/api/numbers/{id}"}


class _WithoutAliases(yaml.SafeDumper):
    """Writes a value out wherever it stands; few readers of OpenAPI follow YAML's anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def description_routes() -> list[Route]:
    """Both forms of one document; `/swagger.yaml` is an older name of one."""

    async def as_json(_request: Request) -> Response:
        return Response(_json(), media_type="application/json")

    async def in_yaml(_request: Request) -> Response:
        return Response(as_yaml(), media_type="application/yaml")

    return [Route("/openapi.json", as_json), *(Route(path, in_yaml) for path in ("/openapi.yaml", "/swagger.yaml"))]


@cache
def document() -> Mapping[str, Any]:
    """The whole document; nobody may change it."""
    whole: dict[str, Any] = {}
    for part in PARTS:
        text = files("longcode.web").joinpath("openapi", f"{part}.yaml").read_text("utf-8")
        _merge(whole, yaml.safe_load(text))
    native = description()
    twice = whole["components"]["schemas"].keys() & native["components"]["schemas"].keys()
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))}: described twice")
    _merge(whole, native)
    for alias, path in ALIASES.items():
        whole["paths"][alias] = _alias(whole["paths"][path])
    whole["info"]["version"] = __version__
    return whole


@cache
def as_yaml() -> str:
    """The document as YAML."""
    text: str = yaml.dump(document(), Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True, width=120)
    return text


@cache
def _json() -> bytes:
    return json.dumps(document(), ensure_ascii=False).encode()


def _alias(item: Mapping[str, Any]) -> dict[str, Any]:
    """The same path item, its operations under names of their own, as OpenAPI wants them."""
    return {
        key: {**value, "operationId": f"{value['operationId']}ByAlias"} if "operationId" in value else value
        for key, value in item.items()
    }


def _merge(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add a part: objects and lists to those of the same name. Raises ValueError where both have a value."""
    for name, value in part.items():
        present = whole.setdefault(name, value)
        if present is value:
            continue
        if isinstance(present, dict) and isinstance(value, dict):
            _merge(present, value)
        elif isinstance(present, list) and isinstance(value, list):
            present.extend(value)
        else:
            raise ValueError(f"{name} is described twice")
