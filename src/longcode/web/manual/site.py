"""The documentation at `/docs`: the written pages and the reference, without a script and without the internet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from longcode import __version__
from longcode.web.description import document
from longcode.web.manual.pages import URL, Library, shipped
from longcode.web.manual.reference import REFERENCE, SCHEMAS, Chapter, Reference, chapter_url

STYLE: Final = f"{URL}/style.css"
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    # A new release may answer differently.
    "cache-control": "max-age=300",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the navigation."""

    url: str
    name: str


@dataclass(frozen=True, slots=True)
class Group:
    """Lines of the navigation under one heading."""

    name: str
    entries: tuple[Entry, ...]


def manual_routes() -> list[Route]:
    """Every page, with and without a slash at its end. Pages are made when the first reader asks, off the loop."""

    def show(request: Request) -> Response:
        url = request.url.path.rstrip("/")
        if url not in _addresses():
            return Response(_missing(), 404, HEADERS, "text/html")
        return Response(_page(url), 200, HEADERS, "text/html")

    def style(_request: Request) -> Response:
        return Response(_style(), 200, HEADERS, "text/css")

    return [Route(STYLE, style), Route(URL, show), Route(f"{URL}/{{path:path}}", show)]


@cache
def _addresses() -> frozenset[str]:
    """Where there are pages. Nothing is kept of any other address."""
    return frozenset({*_library().pages, REFERENCE, SCHEMAS, *map(chapter_url, _reference().tags())})


@cache
def _page(url: str) -> bytes:
    """The page at one of the addresses."""
    if url in _library().pages:
        page = _library().pages[url]
        return _draw("page.html", url=url, title=page.rendered.title, page=page)
    if url == REFERENCE:
        values = {"introduction": _reference().introduction(), "chapters": _chapters(), "schemas_url": SCHEMAS}
        return _draw("reference.html", url=url, title="Reference", **values)
    if url == SCHEMAS:
        return _draw("schemas.html", url=url, title="Schemas", kinds=_reference().kinds())
    (chapter,) = (chapter for chapter in _chapters() if chapter.url == url)
    return _draw("chapter.html", url=url, title=chapter.name, chapter=chapter)


@cache
def _library() -> Library:
    return shipped()


@cache
def _reference() -> Reference:
    return Reference(document())


@cache
def _chapters() -> tuple[Chapter, ...]:
    return _reference().chapters()


@cache
def _missing() -> bytes:
    return _draw("missing.html", url="", title="No such page")


@cache
def _style() -> bytes:
    return files("longcode.web.manual").joinpath("templates", "style.css").read_bytes()


@cache
def _navigation() -> Sequence[Group]:
    written = [
        Group(section.name, tuple(Entry(page.url, page.name) for page in section.pages))
        for section in _library().sections
    ]
    chapters = [Entry(chapter_url(tag), tag) for tag in _reference().tags()]
    return [*written, Group("Reference", (Entry(REFERENCE, "Every operation"), *chapters, Entry(SCHEMAS, "Schemas")))]


def _draw(template: str, *, url: str, title: str, **values: object) -> bytes:
    shown = _templates().get_template(template)
    common = {"navigation": _navigation(), "version": __version__, "style_url": STYLE, "home_url": URL}
    return shown.render(url=url, title=title, **common, **values).encode()


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("longcode.web.manual"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
