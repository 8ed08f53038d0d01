"""Which endpoint a request's path means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import quote, unquote_to_bytes

Target = TypeVar("Target")

_NO_PARAMS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Found(Generic[Target]):
    """What stands at a path, and the path's parameters, decoded."""

    target: Target
    params: Mapping[str, str]


class Paths(Generic[Target]):
    """Targets by path pattern; a literal path wins over one with parameters.

    A pattern is without a trailing slash and answers with and without one; `{name}` is one segment that is
    not empty. Raises ValueError where two patterns could mean the same path.
    """

    def __init__(self, targets: Iterable[tuple[str, Target]]) -> None:
        self._exact: dict[bytes, Found[Target]] = {}
        self._literal: dict[tuple[str, ...], Found[Target]] = {}
        self._patterns: dict[int, list[tuple[tuple[str, ...], Target]]] = {}
        shapes: set[tuple[str, ...]] = set()
        for path, target in targets:
            segments = _pattern(path)
            shape = tuple("{}" if _is_parameter(segment) else segment for segment in segments)
            if shape in shapes:
                raise ValueError(f"two endpoints at {path}")
            shapes.add(shape)
            if shape != segments:
                self._patterns.setdefault(len(segments), []).append((segments, target))
                continue
            found = Found(target, _NO_PARAMS)
            self._literal[segments] = found
            plain = quote(path).encode("ascii")
            self._exact[plain] = self._exact[plain + b"/"] = found

    def find(self, raw_path: bytes) -> Found[Target] | None:
        """What stands at the path as it was sent; None for nothing.

        Segments are cut before they are decoded, so that %2F stays inside one.
        """
        return self._exact.get(raw_path) or self._find(raw_path)

    def _find(self, raw_path: bytes) -> Found[Target] | None:
        first, *cut = raw_path.split(b"/")
        if first or not cut:
            return None
        if not cut[-1]:
            cut.pop()
        sent = tuple(decode(segment) for segment in cut)
        if literal := self._literal.get(sent):
            return literal
        for segments, target in self._patterns.get(len(sent), ()):
            params = _match(segments, sent)
            if params is not None:
                return Found(target, params)
        return None


def decode(text: bytes) -> str:
    """Percent-decoded UTF-8; bytes that are none become lone surrogates. A plus sign stays one."""
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def _match(pattern: tuple[str, ...], sent: tuple[str, ...]) -> dict[str, str] | None:
    params = {}
    for expected, segment in zip(pattern, sent, strict=True):
        if _is_parameter(expected) and segment:
            params[expected[1:-1]] = segment
        elif expected != segment:
            return None
    return params


def _pattern(path: str) -> tuple[str, ...]:
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError(f"{path!r} must begin with a slash and end without one")
    return tuple(path.split("/")[1:])


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")
