"""What tests of webhooks share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.flow.hooks import Hooks, open_hooks
from tests.webhooks.endpoint import Endpoint, listening


@pytest.fixture
async def hooks(database_url: str) -> AsyncIterator[Hooks]:
    async with open_hooks(database_url) as opened:
        yield opened


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with listening() as opened:
        yield opened
