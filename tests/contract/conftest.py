"""The server that is explored."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.server import Installation, installation


@pytest.fixture
def site(sqlite_template: Path, tmp_path: Path) -> Iterator[Installation]:
    """An installation of the test's own."""
    shutil.copy(sqlite_template, tmp_path / "longcode.db")
    with installation(f"sqlite:///{tmp_path}/longcode.db") as opened:
        yield opened
