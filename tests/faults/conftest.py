"""One installation with an SMSC for all tests that cut it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.smpp_installation import Installation, open_installation


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def smpp(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """The installation; each test leaves everything in it running and its queue empty."""
    async with open_installation(tmp_path_factory.mktemp("smpp")) as installation:
        yield installation
