"""What every caller in the tests has: credentials and bodies to send, and replies to read."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher

# A body that is not sent.
NOTHING = object()
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. headers: by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def dumps(value: Any) -> bytes:
    """JSON as clients send it; lone surrogates stay escapes."""
    return json.dumps(value, ensure_ascii=True).encode()


def basic(name: str, secret: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"}


def cheap_hash(secret: str) -> str:
    """What is stored of a secret that protects nothing: a hash names its own cost, and is checked as any other."""
    return CHEAP.hash(secret)
