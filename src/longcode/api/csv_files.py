"""Files of rows, in and out."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from longcode.api.problems import refuse
from longcode.encoding.csv_cells import repeated, unmarked

CSV: Final = "text/csv"
CSV_BYTES: Final = 8 * 1024 * 1024
CSV_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {CSV: {"schema": {"type": "string"}}}},
}
CSV_RESPONSE: Final[dict[int | str, Any]] = {
    200: {
        "description": "CSV in UTF-8, its first line the names of the columns.",
        "content": {CSV: {"schema": {"type": "string"}}},
    }
}


class Imported(BaseModel):
    """What became of a file: rows that were new, and rows that were there already."""

    added: int
    unchanged: int


def rows_of(body: bytes, *, required: Sequence[str], known: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a file with the lines at which they end. Raises InvalidRequest with all faults of its form."""
    try:
        reader = csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        names = list(reader.fieldnames or ())
        faults = [f"the file has no column `{name}`" for name in required if name not in names]
        faults += [f"the file has an unknown column {name!r}" for name in names if name not in known]
        faults += repeated(names)
        rows = []
        for row in reader if not faults else ():
            if None in row:
                faults.append(f"line {reader.line_num}: more fields than columns")
                continue
            if any("\0" in (value or "") for value in row.values()):
                faults.append(f"line {reader.line_num}: a character that no text may hold")
            rows.append((reader.line_num, {name: unmarked(value or "") for name, value in row.items()}))
    except (UnicodeDecodeError, csv.Error) as error:
        faults, rows = [f"the file is not CSV in UTF-8: {error}"], []
    refuse(faults)
    return rows


def cell(line: int, name: str) -> str:
    """What is said of a cell that cannot be used."""
    return f"line {line}: {name} is invalid"
