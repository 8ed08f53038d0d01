"""JSON schemas in words: the type of a value, its fields, its rules, and a value that fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

from longcode.web.manual.markdown import render_part

Schema = Mapping[str, Any]
# What a `$ref` stands for; anything else itself.
LookUp = Callable[[Schema], Schema]

# A schema may hold itself.
DEEPEST_SAMPLE: Final = 6
AND: Final = Markup(" and ")
OR: Final = Markup(" or ")
SAMPLES: Final[Mapping[str, Any]] = {"integer": 1, "number": 1, "boolean": True, "null": None}
FORMATS: Final[Mapping[str, str]] = {
    "date-time": "2026-11-22T10:00:00Z",
    "date": "2026-11-22",
    "uuid": "01936f2c-6a54-7d5b-9c52-3c1f0d6b7a10",
    "uri": "https://example.com/hook",
}
BOUNDS: Final = (
    ("minLength", "maxLength", "characters"),
    ("minimum", "maximum", ""),
    ("exclusiveMinimum", "exclusiveMaximum", "exclusive"),
    ("minItems", "maxItems", "entries"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field, parameter or header. place: of a parameter, where it stands. rules: what limits its value."""

    name: str
    type: Markup
    required: bool
    rules: tuple[Markup, ...]
    text: Markup
    place: str = ""


class Reader:
    """Reads the schemas of one document. url_of: where a schema that has a name is shown."""

    def __init__(self, look_up: LookUp, url_of: Callable[[str], str]) -> None:
        self._look_up = look_up
        self._url_of = url_of

    def type_of(self, schema: Schema) -> Markup:
        """What kind of value it is; kinds with a name are links."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return Markup('<a href="{}">{}</a>').format(self._url_of(name), name)
        if "const" in schema:
            return _code(schema["const"])
        if "enum" in schema:
            return OR.join(_code(value) for value in schema["enum"])
        for kind, between in (("allOf", AND), ("anyOf", OR), ("oneOf", OR)):
            if kind in schema:
                return between.join(self.type_of(part) for part in schema[kind])
        kinds = schema.get("type", "anything")
        names = [kinds] if isinstance(kinds, str) else kinds
        return OR.join(self._kind(name, schema) for name in names)

    def field(self, name: str, schema: Schema, *, required: bool, text: str = "", place: str = "") -> Field:
        """One value under its name."""
        return Field(
            name=name,
            type=self.type_of(schema),
            required=required,
            rules=tuple(_rules(schema)),
            text=render_part(text or schema.get("description", "")),
            place=place,
        )

    def fields(self, schema: Schema) -> tuple[Field, ...]:
        """The fields of an object, those of objects without a name in it too, as `outer.inner`."""
        return tuple(self._fields(schema, ""))

    def sample(self, schema: Schema, depth: int = 0) -> Any:
        """A value of this kind: what the description gives as an example, else the simplest."""
        whole = self._look_up(schema)
        for key in ("example", "default", "const"):
            if whole.get(key) is not None:
                return whole[key]
        for key in ("examples", "enum"):
            if whole.get(key):
                return whole[key][0]
        if depth > DEEPEST_SAMPLE:
            return None
        if "allOf" in whole:
            parts = [self.sample(part, depth + 1) for part in whole["allOf"]]
            return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}
        for part in (*whole.get("anyOf", ()), *whole.get("oneOf", ())):
            return self.sample(part, depth + 1)
        return self._simplest(whole, depth)

    def _kind(self, name: str, schema: Schema) -> Markup:
        if name == "array":
            return Markup("list of {}").format(self.type_of(schema.get("items", {})))
        extra = schema.get("additionalProperties")
        if name == "object" and isinstance(extra, Mapping):
            return Markup("object of {}").format(self.type_of(extra))
        form = schema.get("format")
        return escape(f"{name}, {form}" if form and name == "string" else name)

    def _fields(self, schema: Schema, prefix: str) -> Iterator[Field]:
        needed = schema.get("required", ())
        for part in schema.get("allOf", ()):
            if "$ref" not in part or not prefix:
                yield from self._fields(self._look_up(part), prefix)
        for name, value in schema.get("properties", {}).items():
            yield self.field(prefix + name, value, required=name in needed)
            yield from self._inner(value, prefix + name)

    def _inner(self, value: Schema, name: str) -> Iterator[Field]:
        """The fields of what has no name of its own; what has one is shown under that."""
        if "properties" in value:
            yield from self._fields(value, f"{name}.")
        items = value.get("items", {})
        if "properties" in items:
            yield from self._fields(items, f"{name}[].")

    def _simplest(self, schema: Schema, depth: int) -> Any:
        kinds = schema.get("type", "object")
        kind = kinds if isinstance(kinds, str) else kinds[0]
        if kind == "object":
            fields = schema.get("properties", {})
            wanted = schema.get("required") or fields
            return {name: self.sample(fields[name], depth + 1) for name in wanted if name in fields}
        if kind == "array":
            return [self.sample(schema.get("items", {}), depth + 1)]
        if kind == "string":
            return FORMATS.get(schema.get("format", ""), "text")
        return SAMPLES.get(kind)


def _rules(schema: Schema) -> Iterator[Markup]:
    for low, high, unit in BOUNDS:
        if bounds := _between(schema.get(low), schema.get(high), unit):
            yield escape(bounds)
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _rules(part)
    if "pattern" in schema:
        yield Markup("matches {}").format(_code(schema["pattern"], plain=True))
    if schema.get("default") is not None:
        yield Markup("default {}").format(_code(schema["default"]))
    examples: Sequence[Any] = schema.get("examples", ())
    if examples:
        yield Markup("such as {}").format(_code(examples[0]))


def _between(low: object, high: object, unit: str) -> str:
    if low is None and high is None:
        return ""
    if low == high:
        words = f"{low}"
    elif high is None:
        words = f"from {low}"
    else:
        words = f"at most {high}" if low is None else f"{low} to {high}"
    return f"{words} {unit}".strip()


def _code(value: object, *, plain: bool = False) -> Markup:
    text = value if plain and isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Markup("<code>{}</code>").format(text)
