"""Compose files, read as far as the tests need to start their services without Docker."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
DEVELOPMENT = ROOT / "docker-compose.yml"
PRODUCTION = ROOT / "docker-compose.prod.yml"

_ENTRYPOINT = re.compile(r"^ENTRYPOINT (\[.*\])$", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    command: what its container runs, the image's entrypoint included; empty for an image that is not ours.
    health: the command of its health check, empty where it has none.
    raw: everything, as it is in the file.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: tuple[str, ...]
    raw: Mapping[str, Any]


def read(file: Path) -> Mapping[str, Any]:
    """The file's content, with the defaults of the variables that it leaves to the environment."""
    content: Mapping[str, Any] = yaml.safe_load(_VARIABLE.sub(lambda found: found[2], file.read_text("utf-8")))
    return content


def services(file: Path) -> dict[str, Service]:
    """The file's services by name."""
    return {name: _service(name, raw) for name, raw in read(file)["services"].items()}


def entrypoint() -> tuple[str, ...]:
    """What our image runs, before the arguments that a service's command gives."""
    found = _ENTRYPOINT.search(DOCKERFILE.read_text("utf-8"))
    assert found is not None, "the Dockerfile names no entrypoint"
    return tuple(json.loads(found[1]))


def _service(name: str, raw: Mapping[str, Any]) -> Service:
    test = raw.get("healthcheck", {}).get("test", [])
    ours = raw.get("build", {}).get("target") == "run"
    before = tuple(raw.get("entrypoint", entrypoint() if ours else ()))
    return Service(
        name=name,
        command=(*before, *raw.get("command", ())),
        environment=raw.get("environment", {}),
        health=tuple(test[1:]) if test[:1] == ["CMD"] else (),
        raw=raw,
    )
