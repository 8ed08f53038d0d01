"""Lists of any length, read and shown page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, TypeVar

from longcode.cli.tables import Table, echo_json

PAGE = 500

Row = TypeVar("Row")
Place = TypeVar("Place", int, str, tuple[str, str])
Row_co = TypeVar("Row_co", covariant=True)
Place_contra = TypeVar("Place_contra", contravariant=True)


class ReadPage(Protocol[Place_contra, Row_co]):
    """Reads at most `count` rows behind a place."""

    async def __call__(self, *, after: Place_contra, count: int) -> Sequence[Row_co]:
        """The rows, in order."""


class Listing:
    """Rows under their headings for people; one JSON object a line for programs."""

    def __init__(self, *headings: str, as_json: bool) -> None:
        self._headings = headings
        self._table = None if as_json else Table(*headings)

    def add(self, rows: Sequence[Sequence[object]]) -> None:
        """Show a page."""
        if self._table is not None:
            self._table.add(rows)
            return
        for row in rows:
            echo_json(dict(zip(self._headings, row, strict=True)))


async def pages(
    read: ReadPage[Place, Row], place: Callable[[Row], Place], start: Place
) -> AsyncIterator[Sequence[Row]]:
    """Every page that is not empty. place: where a row stands. start: before the first row."""
    after = start
    while page := await read(after=after, count=PAGE):
        yield page
        if len(page) < PAGE:
            return
        after = place(page[-1])
