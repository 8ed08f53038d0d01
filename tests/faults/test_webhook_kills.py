"""`longcode up` under SIGKILL: every event of every answered call arrives at its endpoint, under one id."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.faults.stream import DEMO, Stream, register, settle_accounts
from tests.faults.test_kill_up import up
from tests.faults.witnesses import everything_is_told, faltering
from tests.processes import run_cli, wait_until_async
from tests.webhooks.endpoint import listening

KILLS = 3
CALLS_BEFORE_A_KILL = 60


async def test_events_survive_kills(tmp_path: Path) -> None:
    async def ask(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"{tmp_path}/data/longcode.db", isolation_level=None)) as connection:
            return connection.execute(query).fetchall()

    process = up(tmp_path)
    stream = Stream(process.url)
    async with listening(faltering()) as endpoint:
        try:
            await asyncio.to_thread(process.start)
            add = ("webhook", "add", endpoint.url, "--account", DEMO, "--allow-private")
            await asyncio.to_thread(run_cli, *add, "--data", str(tmp_path / "data"), folder=tmp_path)
            await register(stream)
            for _ in range(KILLS):
                async with stream.run():
                    await stream.more(CALLS_BEFORE_A_KILL)
                    stream.flowing.clear()
                    process.kill()
                process.launch()
                await wait_until_async(process.is_ready, 30.0, what="the next start")
            await settle_accounts(stream, ask)
            await everything_is_told(endpoint, ask)
            assert await asyncio.to_thread(process.terminate) == 0
        finally:
            process.kill()
    assert len(endpoint.requests) > KILLS * CALLS_BEFORE_A_KILL
