"""Rows for people and for programs: a table on a terminal, else a line a row with tabs between."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

import click

NOTHING = "-"


def clean(value: object) -> str:
    """A value as it may be shown: what others typed must not steer a terminal or make columns of its own."""
    text = NOTHING if value is None or value == "" else str(value)
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


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
            drawn.add_column(heading, overflow="fold")
        for row in rows:
            drawn.add_row(*(Text(cell) for cell in row))
        Console().print(drawn)


def show_fields(title: str, fields: Mapping[str, object]) -> None:
    """A title, and its fields below each other."""
    click.echo(clean(title))
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        click.echo(f"  {name:<{width}}  {clean(value)}")
