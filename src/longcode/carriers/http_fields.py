"""Where a value stands in an answer or a callback: a path into JSON, a field's name, or a regular expression."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

REGEX: Final = "regex:"


@dataclass(frozen=True, slots=True)
class Document:
    """A body that can be looked through. data: its JSON, or its fields by name; None where it has neither."""

    text: str = field(repr=False)
    data: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look. name: a field, or a path with dots in which numbers count from 0. pattern: with one group."""

    name: str = ""
    pattern: re.Pattern[str] | None = None

    def find(self, document: Document) -> str | None:
        """The value there, if it is a text that is not empty or a number."""
        if self.pattern is not None:
            found = self.pattern.search(document.text)
            return (found[1] or None) if found is not None else None
        value = _walk(document.data, self.name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        return str(value) or None

    def items(self, document: Document) -> list[Document]:
        """The entries of the list there, each a document of its own. Raises ValueError where there is none."""
        value = _walk(document.data, self.name)
        if not isinstance(value, list):
            raise ValueError(f"there is no list {self.name}")
        return [Document("", entry) for entry in value]


def document(text: str) -> Document:
    """A body as JSON where it is JSON."""
    try:
        return Document(text, json.loads(text))
    except (ValueError, RecursionError):
        return Document(text, None)


def form_document(text: str, form: Mapping[str, Sequence[str]]) -> Document:
    """A form, or a query; of a repeated field the first value."""
    return Document(text, {name: values[0] for name, values in form.items()})


def place(value: str) -> Place:
    """Read where a value stands. Raises ValueError."""
    if value.startswith(REGEX):
        try:
            pattern = re.compile(value.removeprefix(REGEX))
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if pattern.groups != 1:
            raise ValueError("a regular expression needs one group, which is the value")
        return Place(pattern=pattern)
    return path(value)


def path(value: str) -> Place:
    """Read a path. Raises ValueError."""
    if not value or not value.isprintable() or not all(value.split(".")):
        raise ValueError("expected a field, or a path such as messages.0.id")
    return Place(value)


def _walk(data: Any, name: str) -> Any:
    if isinstance(data, dict) and name in data:
        return data[name]
    for step in name.split("."):
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and step.isascii() and step.isdigit() and len(step) < 6:
            data = data[int(step)] if int(step) < len(data) else None
        else:
            return None
    return data
