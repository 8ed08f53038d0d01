"""The written pages: those of docs/ and the few beside it, found where this release keeps them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

import longcode
from longcode.web.manual.markdown import Rendered, render

URL: Final = "/docs"
FOLDER: Final = "docs"
INDEX: Final = "docs/index.md"
BESIDE: Final = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
# Where a built package has them; an editable one reads them where they are written.
SHIPPED: Final = Path(__file__).parent / "shipped"

_ELSEWHERE: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s#]+)[^)]*\)")
_HEADING: Final = re.compile(r"^(#{1,2}) +(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """One page. source: its path in the repository. name: what lists call it."""

    source: str
    url: str
    rendered: Rendered

    @property
    def name(self) -> str:
        return self.rendered.title.partition(": ")[0]


@dataclass(frozen=True, slots=True)
class Section:
    """Pages that the map names under one heading."""

    name: str
    pages: tuple[Page, ...]


class Library:
    """The pages below a folder that is laid out as the repository is."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def pages(self) -> Mapping[str, Page]:
        """Each page by its address."""
        found = [Page(source, url_of(source), self._render(source)) for source in self._sources]
        return {page.url: page for page in found}

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The pages as the map, docs/index.md, orders them; the map itself first."""
        sections: list[Section] = []
        told = {URL}
        for heading, text in _parts((self._root / INDEX).read_text("utf-8")):
            leads = dict.fromkeys(self._lead(INDEX, link) for link in _LINK.findall(text))
            pages = [self.pages[url] for url in leads if url is not None and url in self.pages and url not in told]
            told.update(page.url for page in pages)
            first = [] if sections else [self.pages[URL]]
            if pages:
                sections.append(Section(heading, (*first, *pages)))
        return tuple(sections)

    @cached_property
    def _sources(self) -> frozenset[str]:
        inside = ((self._root / FOLDER).rglob("*.md"), (self._root / name for name in BESIDE))
        return frozenset(
            path.relative_to(self._root).as_posix() for paths in inside for path in paths if path.is_file()
        )

    def _render(self, source: str) -> Rendered:
        text = (self._root / source).read_text("utf-8")
        return render(text, lambda link: self._lead(source, link))

    def _lead(self, source: str, link: str) -> str | None:
        """Where a link of a page leads from here; None to what is not shipped, such as the code."""
        if _ELSEWHERE.match(link) or link.startswith("#"):
            return link
        path, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if target not in self._sources:
            return None
        return url_of(target) + (f"#{anchor}" if anchor else "")


def url_of(source: str) -> str:
    """The address of a page by its path in the repository."""
    if source == INDEX:
        return URL
    path = PurePosixPath(source).with_suffix("")
    inside = path.relative_to(FOLDER) if path.parts[0] == FOLDER else path
    return f"{URL}/{inside.as_posix().lower()}"


def shipped() -> Library:
    """The pages of this release."""
    return Library(SHIPPED if SHIPPED.is_dir() else Path(longcode.__file__).parents[2])


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Each heading of a page with what stands under it."""
    found = list(_HEADING.finditer(text))
    for heading, following in zip(found, [*found[1:], None], strict=True):
        yield heading[2], text[heading.end() : following.start() if following else len(text)]
