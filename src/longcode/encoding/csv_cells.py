"""CSV that a spreadsheet may open: no cell that we write is a formula, and what we read again is what was written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

# What spreadsheets take for a formula, and the mark itself, so that taking it away again is never a guess.
# Source: OWASP, "CSV Injection".
_MARKED: Final = re.compile("['=+\\-@\t\r]")
# Arithmetic at most; a mark would come between a number and whoever else reads the file.
_NUMBER: Final = re.compile(r"\+[0-9 ().\-]+")
MARK: Final = "'"


def lines_of(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV, their cells marked where a spreadsheet would compute them."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([marked(cell) for cell in row] for row in rows)
    return written.getvalue()


def repeated(names: Sequence[str]) -> list[str]:
    """What is said of columns that a file has more than once: nobody knows which of them counts."""
    return [f"the file has the column {name!r} twice" for name in sorted(set(names)) if names.count(name) > 1]


def marked(cell: str) -> str:
    """A cell as it is written: with a ' before what begins as formulas do. Numbers keep their + as it is."""
    return MARK + cell if _MARKED.match(cell) and not _NUMBER.fullmatch(cell) else cell


def unmarked(cell: str) -> str:
    """A cell as it was meant: without the ' that stands before what begins as formulas do."""
    return cell[1:] if cell.startswith(MARK) and _MARKED.match(cell, 1) else cell
