"""The documentation of a running server: whole, linked, and without a script."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.applications import Starlette

from longcode.api.problems import CATALOGUE, TYPE
from longcode.web.description import document
from longcode.web.manual.pages import BESIDE, FOLDER, shipped
from longcode.web.manual.site import manual_routes
from tests.web.described import operations
from tests.wire.asgi import Reply, reply

ROOT = Path(__file__).parents[3]
APP = Starlette(routes=manual_routes())
# Served, and no page of ours.
BESIDES = {"/docs/style.css", "/openapi.json", "/openapi.yaml"}
FORBIDDEN = {"script", "style", "iframe", "object", "form", "base"}


@dataclass(slots=True)
class Seen(HTMLParser):
    """What a page is made of."""

    html: str
    tags: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    text: str = ""

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        values = dict(attrs)
        if values.get("id"):
            assert values["id"] not in self.anchors, f"two of {values['id']}"
            self.anchors.add(values["id"] or "")
        if values.get("href"):
            self.links.add(values["href"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


async def get(path: str, method: str = "GET") -> Reply:
    return await reply(APP, method, path)


@cache
def found() -> dict[str, Seen]:
    return {}


async def site() -> Mapping[str, Seen]:
    """Every page that a reader can come to from the first one."""
    pages = found()
    waiting = [] if pages else ["/docs"]
    while waiting:
        url = waiting.pop()
        answer = await get(url)
        assert answer.status == 200, url
        pages[url] = Seen(answer.body.decode())
        targets = {link.partition("#")[0] for link in pages[url].links if link.startswith("/")}
        waiting += sorted(targets - pages.keys() - BESIDES - set(waiting))
    return pages


async def test_every_written_page_can_be_come_to() -> None:
    assert shipped().pages.keys() <= (await site()).keys()
    assert len(shipped().pages) == len([*(ROOT / FOLDER).rglob("*.md"), *BESIDE])


async def test_every_link_leads_to_a_page_and_a_place_in_it() -> None:
    pages = await site()
    for url, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if link.startswith(("/", "#")) and anchor:
                assert anchor in pages[target or url].anchors, f"{url}: {link}"
            assert link.startswith(("/", "#", "https://", "http://127.0.0.1")), f"{url}: {link}"


async def test_every_problem_leads_to_where_its_code_is_explained() -> None:
    pages = await site()
    for code in CATALOGUE:
        url, _, anchor = f"{TYPE}{code}".partition("#")
        assert anchor in pages[url].anchors


async def test_no_page_has_a_script_a_style_or_anything_from_elsewhere() -> None:
    for url, page in (await site()).items():
        assert not page.tags & FORBIDDEN, url
        assert not {name for name in page.attributes if name.startswith("on") or name in ("style", "src")}, url


async def test_every_operation_is_told_with_its_parameters_and_answers() -> None:
    whole = {
        operation.id: page
        for page in (await site()).values()
        for operation in operations()
        if operation.id in page.anchors
    }
    for operation in operations():
        page = whole[operation.id]
        for parameter in operation.parameters:
            assert parameter["name"] in page.text, operation.id
        for status in operation.statuses:
            assert str(status) in page.text, operation.id
    schemas = (await site())["/docs/reference/schemas"]
    assert document()["components"]["schemas"].keys() <= schemas.anchors


async def test_pages_answer_with_and_without_a_slash_and_to_head() -> None:
    page = await get("/docs/errors")
    assert (await get("/docs/errors/")).body == page.body
    assert (await get("/docs/")).body == (await get("/docs")).body
    assert (await get("/docs/errors", "HEAD")).status == 200
    assert "script" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self';")
    assert (await get("/docs/style.css")).headers["content-type"].startswith("text/css")


@pytest.mark.parametrize("path", ["/docs/nothing", "/docs/../README", "/docs/%3Cscript%3E", "/docs/index.md"])
async def test_an_address_without_a_page_says_so_and_shows_the_others(path: str) -> None:
    answer = await get(path)
    assert answer.status == 404
    page = Seen(answer.body.decode())
    assert "script" not in page.tags
    assert "/docs/errors" in page.links


def test_a_built_package_has_what_the_pages_are_read_from() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    shipped_as = "longcode/web/manual/shipped"
    assert build["force-include"] == {name: f"{shipped_as}/{name}" for name in (FOLDER, *BESIDE)}
    copied = (ROOT / "Dockerfile").read_text("utf-8")
    assert all(name in copied for name in (f"COPY {FOLDER} {FOLDER}", *BESIDE))
