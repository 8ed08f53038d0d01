"""Files that a spreadsheet may open, and that we read again."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.encoding.csv_cells import lines_of, marked, unmarked

FORMULAS = ('=HYPERLINK("http://sms.example")', "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "+")


@pytest.mark.parametrize("cell", FORMULAS)
def test_what_a_spreadsheet_would_compute_is_marked(cell: str) -> None:
    assert marked(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "12025550101", "+12025550101", "+1 (202) 555-01.01", "MyCorp", "a=b", "0.25"])
def test_numbers_and_texts_stay_as_they_are(cell: str) -> None:
    assert marked(cell) == unmarked(cell) == cell


@pytest.mark.parametrize("cell", ["'", "'s-Hertogenbosch", "'12025550101"])
def test_of_other_files_nothing_is_taken_away(cell: str) -> None:
    assert unmarked(cell) == cell


@given(st.lists(st.text(st.sampled_from("'=+-@\t\n\",a1 ")), min_size=2, max_size=2))
def test_what_was_written_is_read(row: list[str]) -> None:
    [read] = csv.reader(io.StringIO(lines_of([row]), newline=""))
    assert [unmarked(cell) for cell in read] == row
