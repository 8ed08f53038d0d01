"""Databases whose plans can be looked at."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def untouched() -> bool:
    """New ones: the pages that deleted rows leave change what a query costs."""
    return True
