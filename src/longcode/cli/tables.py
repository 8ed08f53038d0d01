"""Rows for people and for programs: a table on a terminal, else a line a row with tabs between.

Colours are for terminals only, and not where NO_COLOR is set. Source: https://no-color.org.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

import click

NOTHING = "-"
GOOD, BAD, WAITING = "green", "red", "yellow"
# What a status, or another word for how something stands, looks like.
COLORS = {
    "delivered": GOOD,
    "received": GOOD,
    "running": GOOD,
    "enabled": GOOD,
    "failed": BAD,
    "undelivered": BAD,
    "disabled": BAD,
    "accepted": WAITING,
    "scheduled": WAITING,
    "queued": WAITING,
    "sending": WAITING,
    "paused": WAITING,
}
COLORED = frozenset({"status", "state"})


def clean(value: object) -> str:
    """A value as it may be shown: what others typed must not steer a terminal or make columns of its own."""
    text = _text(value) or NOTHING
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(str, value))
    return str(value)


def echo_json(record: Mapping[str, object]) -> None:
    """One JSON object on one line."""
    click.echo(json.dumps(record))


class Table:
    """Rows under their headings; `add` may be called again and again, for lists of any length."""

    def __init__(self, *headings: str) -> None:
        self._headings = headings
        self._headed = False

    def add(self, rows: Sequence[Sequence[object]]) -> None:
        """Show rows."""
        cells = [[clean(value) for value in row] for row in rows]
        if sys.stdout.isatty():
            self._draw(cells)
            return
        if not self._headed:
            click.echo("\t".join(self._headings))
            self._headed = True
        for row in cells:
            click.echo("\t".join(row))

    def _draw(self, rows: Sequence[Sequence[str]]) -> None:
        from rich.console import Console  # slow to load, and most commands draw nothing
        from rich.table import Table as Drawn
        from rich.text import Text

        drawn = Drawn(box=None, pad_edge=False, header_style="bold")
        for heading in self._headings:
            drawn.add_column(heading, overflow="fold", no_wrap=heading == "id")
        for row in rows:
            cells = zip(self._headings, row, strict=True)
            drawn.add_row(*(Text(cell, style=style_of(heading, cell)) for heading, cell in cells))
        Console().print(drawn)


class Feed:
    """Rows that come one after the other for as long as somebody watches.

    widths: of each column on a terminal, by its heading. What is longer is not cut, but for the column `cut`; a
    line ends with the terminal.
    """

    def __init__(self, widths: Mapping[str, int], *, cut: str) -> None:
        self._widths = widths
        self._cut = cut
        self._headed = False

    def add(self, row: Sequence[object]) -> None:
        """Show a row."""
        if not self._headed:
            self._headed = True
            self._write(tuple(self._widths), style="bold")
        self._write([clean(value) for value in row])

    def _write(self, cells: Sequence[str], style: str = "") -> None:
        if not sys.stdout.isatty():
            click.echo("\t".join(cells))
            return
        from rich.cells import cell_len, set_cell_size
        from rich.console import Console
        from rich.text import Text

        line = Text(style=style)
        for (name, width), cell in zip(self._widths.items(), cells, strict=True):
            fits = name == self._cut or cell_len(cell) < width
            line.append(set_cell_size(cell, width) if fits else cell, style=style_of(name, cell))
            line.append("  ")
        Console().print(line, no_wrap=True, overflow="crop")


def style_of(heading: str, cell: str) -> str:
    """How a cell looks under its heading."""
    return COLORS.get(cell, "") if heading in COLORED else ""


def paint(text: str, color: str = "", *, bold: bool = False) -> str:
    """Text with a colour, where colours are shown."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=color or None, bold=bold or None)


def show_fields(title: str, fields: Mapping[str, object]) -> None:
    """A title, and its fields below each other."""
    click.echo(paint(clean(title), bold=True))
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        cell = clean(value)
        click.echo(f"  {name:<{width}}  {paint(cell, style_of(name, cell))}")
