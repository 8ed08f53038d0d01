"""The OpenAPI description of the dialects, at `/openapi.json` and `/swagger.yaml`."""

from __future__ import annotations

from starlette.routing import Route


def description_routes() -> list[Route]:
    """Both forms of one document."""
    return []


def as_yaml() -> str:
    """The document as YAML."""
    return ""
