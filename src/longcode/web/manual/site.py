"""The documentation at `/docs`: the written pages and the reference, without a script and without the internet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from longcode.web.manual.pages import URL, shipped
from longcode.web.manual.reference import REFERENCE, SCHEMAS, Reference

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
        page = _site().get(url)
        if page is None:
            return Response(_missing(), 404, HEADERS, "text/html")
        return Response(page, 200, HEADERS, "text/html")

    def style(_request: Request) -> Response:
        return Response(_style(), 200, HEADERS, "text/css")

    return [Route(STYLE, style), Route(URL, show), Route(f"{URL}/{{path:path}}", show)]


@cache
def _site() -> Mapping[str, bytes]:
    """Every page by its address."""
    library, reference = shipped(), Reference(document())
    chapters, kinds = reference.chapters(), reference.kinds()
    pages = {
        url: _draw("page.html", url=url, title=page.rendered.title, page=page) for url, page in library.pages.items()
    }
    pages[REFERENCE] = _draw(
        "reference.html",
        url=REFERENCE,
        title="Reference",
        introduction=reference.introduction(),
        chapters=chapters,
        schemas_url=SCHEMAS,
    )
    pages[SCHEMAS] = _draw("schemas.html", url=SCHEMAS, title="Schemas", kinds=kinds)
    for chapter in chapters:
        pages[chapter.url] = _draw("chapter.html", url=chapter.url, title=chapter.name, chapter=chapter)
    return pages


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
        for section in shipped().sections
    ]
    chapters = tuple(Entry(chapter.url, chapter.name) for chapter in Reference(document()).chapters())
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
