"""Templates of requests: text with `{{name}}`, each value written as the place where it stands demands.

Nothing in a value can become a part of the form around it: that is why these are no program.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, quote_plus

NAMES: Final = (
    "attempt_id",
    "encoding",
    "expires_at",
    "message_id",
    "password",
    "recipient",
    "recipient_e164",
    "sender",
    "sender_e164",
    "status_url",
    "text",
    "text_hex",
    "token",
    "username",
    "validity_seconds",
)
_PLACE: Final = re.compile(r"\{\{\s*(\w*)\s*\}\}", re.ASCII)
_OPEN: Final = re.compile(r"\{\{")

Escape = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Template:
    """Texts and the names between them. literals: one more than names. Its text may hold secrets."""

    literals: tuple[str, ...] = field(repr=False)
    names: tuple[str, ...]

    def render(self, values: Mapping[str, str], escape: Escape) -> str:
        """The text, with each value written by `escape`."""
        pieces = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            pieces += (escape(values[name]), literal)
        return "".join(pieces)


def template(text: str) -> Template:
    """Read a template. Raises ValueError with all names that there are not."""
    literals, names = [], []
    end = 0
    for match in _PLACE.finditer(text):
        literals.append(text[end : match.start()])
        names.append(match[1])
        end = match.end()
    literals.append(text[end:])
    unknown = sorted({name for name in names if name not in NAMES})
    if unknown:
        raise ValueError(
            f"there is no {', '.join(f'{{{{{name}}}}}' for name in unknown)}; there are {', '.join(NAMES)}"
        )
    if any(_OPEN.search(literal) for literal in literals):
        raise ValueError("{{ begins a name and }} ends it")
    return Template(tuple(literals), tuple(names))


def in_url(value: str) -> str:
    """As a part of a path or of a query."""
    return quote(value, safe="")


def in_form(value: str) -> str:
    """As a part of application/x-www-form-urlencoded."""
    return quote_plus(value)


def in_json(value: str) -> str:
    """Within a JSON string; a number may also stand alone."""
    return json.dumps(value)[1:-1]


def in_xml(value: str) -> str:
    """In XML, as text or within an attribute; what XML cannot hold becomes U+FFFD (XML 1.0 §2.2)."""
    return html.escape(_NOT_XML.sub("\ufffd", value))


def in_header(value: str) -> str:
    """In a header. Raises ValueError for what would end it."""
    if not all(char == "\t" or " " <= char <= "~" for char in value):
        raise ValueError("a header takes ASCII alone")
    return value


def as_it_is(value: str) -> str:
    """In plain text."""
    return value


_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BODIES: Final[Mapping[str, Escape]] = {
    "json": in_json,
    "xml": in_xml,
    "x-www-form-urlencoded": in_form,
    "plain": as_it_is,
}


def escape_of(content_type: str) -> Escape | None:
    """How values are written into a body of this type; None for a type that is not known."""
    subtype = content_type.partition(";")[0].strip().lower().rpartition("/")[2]
    return _BODIES.get(subtype.rpartition("+")[2])
