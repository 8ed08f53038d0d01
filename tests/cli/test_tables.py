"""What people read of a value."""

from __future__ import annotations

import pytest

from longcode.cli.tables import clean


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (["44", "1202"], "44, 1202"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ("a\x1b[2J\tb", "a\ufffd[2J\ufffdb"),
    ],
)
def test_a_value_is_shown_in_plain_words_and_steers_no_terminal(value: object, shown: str) -> None:
    assert clean(value) == shown
