"""A try of a carrier's settings: connect, and ask what sends nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from longcode.carriers import policy, smpp_check, smpp_settings
from longcode.carriers.registry import KINDS, SMPP
from longcode.domain.clock import Clock
from longcode.flow.carrier_standing import site_of
from longcode.settings import Settings
from longcode.store.catalog import CarrierRow
from longcode.vault import unsealed


async def steps(row: CarrierRow, settings: Settings, clock: Clock) -> AsyncGenerator[str, None]:
    """Each step that went well, as it does. Raises CheckFailed at the first that does not, ConfigurationError."""
    vendor = KINDS[row.driver].vendor
    own, _ = policy.split(row.settings)
    given = unsealed(own, settings)
    if row.driver == SMPP:
        async with aclosing(smpp_check.check(smpp_settings.parse(given))) as tried:
            async for step in tried:
                yield step
    elif vendor is not None:
        from longcode.carriers import http_check  # aiohttp, which other processes do without

        async with aclosing(http_check.check(vendor(site_of(row, settings), given), clock)) as tried:
            async for step in tried:
                yield step
    else:
        yield "the simulator needs no connection"
