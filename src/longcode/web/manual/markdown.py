"""Markdown to HTML, with anchors and with links that lead where the reader is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

SHOWN_IN_CONTENTS: Final = "h2"
_NOT_IN_ANCHOR: Final = re.compile(r"[^\w\- ]")

# The address for a link as it is written; None where it leads nowhere from here.
Lead = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading below the title. anchor: its id in the page."""

    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text as HTML. title: its first heading, plain, or empty. contents: its parts, in order."""

    html: Markup
    title: str
    contents: tuple[Heading, ...]


def anchor_of(heading: str) -> str:
    """The anchor that hosts of Markdown give a heading."""
    return _NOT_IN_ANCHOR.sub("", heading.strip().lower()).replace(" ", "-")


def render(text: str, lead: Lead = lambda link: link) -> Rendered:
    """A page. HTML in it is shown, not obeyed; a link that leads nowhere is plain text."""
    parser = _parser()
    tokens = parser.parse(text)
    headings = list(_anchored(tokens))
    _anchor_names(tokens, {heading.anchor for _, heading in headings})
    for token in tokens:
        _redirect(token.children or (), lead)
    return Rendered(
        html=_html(parser, tokens),
        title=headings[0][1].text if headings else "",
        contents=tuple(heading for tag, heading in headings if tag == SHOWN_IN_CONTENTS),
    )


@lru_cache(maxsize=1024)
def render_part(text: str) -> Markup:
    """A few paragraphs that are part of another page: without anchors. Descriptions repeat themselves."""
    parser = _parser()
    return _html(parser, parser.parse(text))


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    # A wide table scrolls by itself, so that a narrow page does not.
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return parser


def _html(parser: MarkdownIt, tokens: Sequence[Token]) -> Markup:
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - it escapes what it does not make


def _table_open(_renderer: Any, _tokens: Any, _index: Any, _options: Any, _env: Any) -> str:
    return '<div class="wide"><table>\n'


def _table_close(_renderer: Any, _tokens: Any, _index: Any, _options: Any, _env: Any) -> str:
    return "</table></div>\n"


def _anchored(tokens: Sequence[Token]) -> Iterator[tuple[str, Heading]]:
    """Give each heading its anchor; the tag and the heading."""
    used: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(part.content for part in inline.children or ())
        anchor = anchor_of(text)
        before = used.get(anchor, 0)
        used[anchor] = before + 1
        anchor = f"{anchor}-{before}" if before else anchor
        opening.attrSet("id", anchor)
        yield opening.tag, Heading(anchor, text)


def _anchor_names(tokens: Sequence[Token], used: set[str]) -> None:
    """Give each row of a table that begins with a name in code that name as its anchor, the first of several."""
    for row, cell, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if row.type != "tr_open" or cell.type != "td_open":
            continue
        parts = [part for part in inline.children or () if part.content]
        if len(parts) == 1 and parts[0].type == "code_inline" and parts[0].content not in used:
            row.attrSet("id", parts[0].content)
            used.add(parts[0].content)


def _redirect(parts: Sequence[Token], lead: Lead) -> None:
    """Let links lead where they lead from here. Links have no links in them."""
    dead = False
    for part in parts:
        if part.type == "link_open":
            target = lead(str(part.attrGet("href")))
            dead = target is None
            part.attrs = {} if target is None else {"href": target}
        if dead and part.type in ("link_open", "link_close"):
            part.tag = "span"
