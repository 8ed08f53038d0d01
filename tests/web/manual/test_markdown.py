"""Markdown as pages show it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from longcode.web.manual.markdown import Heading, render, render_part


@dataclass(frozen=True, slots=True)
class Case:
    """A text, and what is in the page that it becomes."""

    what: str
    text: str
    html: str

    def __str__(self) -> str:
        return self.what


@pytest.mark.parametrize(
    "case",
    [
        Case("HTML is shown, not obeyed", "<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        Case("a heading has the anchor that hosts give it", "## With `code`, and more", 'id="with-code-and-more"'),
        Case("a second heading of one name has its own", "## A\n\n## A", '<h2 id="a-1">'),
        Case("a wide table scrolls alone", "|a|\n|-|\n|b|", '<div class="wide"><table>'),
        Case("a row that is about a name has it as its anchor", "|a|\n|-|\n|`b_c`|", '<tr id="b_c">'),
        Case("a link leads where the reader is", "[a](b.md#c)", '<a href="/at/b.md#c">a</a>'),
        Case("a link to what is not there is text", "[a](nowhere)", "<span>a</span>"),
        Case("a link that could run something is text", "[a](javascript:x)", "[a](javascript:x)"),
    ],
    ids=str,
)
def test_a_text_becomes_a_page(case: Case) -> None:
    assert case.html in render(case.text, lambda link: None if link == "nowhere" else f"/at/{link}").html


def test_a_page_knows_its_title_and_its_parts() -> None:
    page = render("# The `title`\n\n## First\n\n### Inner\n\n## Second")
    assert page.title == "The title"
    assert page.contents == (Heading("first", "First"), Heading("second", "Second"))


def test_a_part_of_a_page_has_no_anchors() -> None:
    assert render_part("# a") == "<h1>a</h1>\n"
