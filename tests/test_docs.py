"""What the prose promises about the code is so: pages are fresh, links lead somewhere, commands and names exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from longcode import docs
from longcode.cli import main
from longcode.cli.carriers import add_carrier
from longcode.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
INDEX = ROOT / "docs" / "index.md"
SOURCE = ROOT / "src" / "longcode"

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"^(?:\$ +)?(?:[A-Z_]+=\S+ +)*(?:\S*/)?longcode +(\S.*)$")
SETTING = re.compile(rf"\b{PREFIX}([A-Z][A-Z_]*[A-Z])\b")
TARGET = re.compile(r"^(?:\$ +)?(?:[A-Z_]+=\S+ +)*make ([a-z]+)\b")
MODULE = re.compile(r"[a-z_0-9]+(?:/[a-z_0-9]+)*\.py")


@dataclass(frozen=True, slots=True)
class Told:
    """One piece of code on a page. whole: a line of a block, which readers run as it stands."""

    page: Path
    text: str
    whole: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text}"


def told() -> Iterator[Told]:
    """All code in all pages, a line at a time, continued lines joined."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in FENCE.findall(text):
            for line in block.replace("\\\n", " ").splitlines():
                yield Told(page, line.strip(), whole=True)
        for span in SPAN.findall(FENCE.sub("", text)):
            yield Told(page, span, whole=False)


ALL_CODE = tuple(told())


def slug(heading: str) -> str:
    """The anchor that hosts of Markdown give a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


@pytest.mark.parametrize("name", sorted(docs.pages()))
def test_generated_page_is_what_the_code_says(name: str) -> None:
    written = (ROOT / docs.FOLDER / name).read_text(encoding="utf-8")
    assert written == docs.pages()[name], "run `make docs`"


def test_every_setting_is_explained_and_typed() -> None:
    page = docs.pages()["configuration.md"]
    for name, field in Settings.model_fields.items():
        assert f"`{PREFIX}{name.upper()}`" in page
        assert field.description


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if ELSEWHERE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert target.is_relative_to(ROOT), f"{link}: outside the project"
        if anchor:
            anchors = {slug(heading) for heading in HEADING.findall(target.read_text(encoding="utf-8"))}
            assert anchor in anchors, f"{link}: no such heading"


def test_every_page_is_on_the_map() -> None:
    linked = {(INDEX.parent / link).resolve() for link in LINK.findall(INDEX.read_text(encoding="utf-8"))}
    pages = {page for page in PAGES if page.is_relative_to(INDEX.parent) and page != INDEX}
    assert pages <= linked


def test_every_dialect_has_its_page() -> None:
    dialects = {path.stem for path in (SOURCE / "dialects").glob("*.py")} - {"__init__"}
    assert dialects <= pages_in("dialects")


def test_every_driver_that_an_operator_may_choose_has_its_page() -> None:
    (option,) = (option for option in add_carrier.params if option.name == "driver")
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) <= pages_in("carriers")


def pages_in(folder: str) -> set[str]:
    return {path.stem for path in (ROOT / "docs" / folder).glob("*.md")}


def test_every_command_exists_with_its_options() -> None:
    found = 0
    for piece in ALL_CODE:
        if match := COMMAND.match(piece.text):
            words = shlex.split(match[1], comments=True)
            check_command(words, piece)
            found += 1
    assert found > 10


def check_command(words: list[str], piece: Told) -> None:
    """Walk down to the command, then let its own parser judge the options."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"{piece}: there is no command {name}"
        command = found
    context = click.Context(command, resilient_parsing=not piece.whole)
    try:
        given, left, _ = command.make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        pytest.fail(f"{piece}: {error.format_message()}")
    if isinstance(command, click.Group):
        return
    assert not left, f"{piece}: too many words"
    if piece.whole:
        missing = [
            p.name for p in command.params if p.required and not isinstance(given.get(p.name or ""), str | tuple)
        ]
        assert not missing, f"{piece}: lacks {missing}"


def test_every_setting_that_is_named_exists() -> None:
    for page in PAGES:
        for name in SETTING.findall(page.read_text(encoding="utf-8")):
            assert name.lower() in Settings.model_fields, f"{page.name}: {PREFIX}{name}"


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for piece in ALL_CODE:
        if match := TARGET.match(piece.text):
            assert re.search(rf"^{match[1]}:", makefile, re.MULTILINE), str(piece)


def test_every_module_that_is_named_exists() -> None:
    for piece in ALL_CODE:
        if not piece.whole and MODULE.fullmatch(piece.text):
            assert (SOURCE / piece.text).is_file() or (ROOT / piece.text).is_file(), str(piece)
