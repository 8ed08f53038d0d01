"""`longcode up` under SIGKILL: what was answered is there once, sent once, and fetched once."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.cli.http import Http
from tests.faults.stream import DEMO, NUMBERS, SECRET, STRANGER, Stream, register, settle_accounts
from tests.processes import Longcode, free_port, wait_until_async

KILLS = 3
CALLS_BEFORE_A_KILL = 150


def up(folder: Path, **settings: str) -> Longcode:
    """A `longcode up` on folder/data, not started."""
    env = {"LONGCODE_DEMO_SECRET": SECRET, "LONGCODE_SENDER_LIMIT": "100000", **settings}
    return Longcode("up", "--data", str(folder / "data"), folder=folder, port=free_port(), env=env, executable=True)


async def test_a_stream_of_calls_survives_kills(tmp_path: Path) -> None:
    async def ask(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{tmp_path}/data/longcode.db?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    process = up(tmp_path)
    stream = Stream(process.url)
    try:
        process.start()
        await register(stream)
        for _ in range(KILLS):
            async with stream.run():
                await stream.more(CALLS_BEFORE_A_KILL)
                stream.flowing.clear()
                process.kill()
            process.launch()
            await wait_until_async(process.is_ready, 30.0, what="the next start")
        assert stream.failed >= KILLS
        await settle_accounts(stream, ask)
        assert await asyncio.to_thread(process.terminate) == 0
    finally:
        process.kill()


def test_a_stop_pair_and_a_senders_count_survive_a_kill(tmp_path: Path) -> None:
    process = up(tmp_path, LONGCODE_SENDER_LIMIT="3")
    ours, other, *_ = NUMBERS
    with process:
        demo = Http(process.port or 0).basic(DEMO, SECRET)
        assert demo.inbound(STRANGER, other, "STOP").status == 200
        assert [demo.outbound(ours, STRANGER).status for _ in range(2)] == [200, 200]
        process.kill()
        process.start()
        blocked = demo.outbound(other, STRANGER)
        assert (blocked.status, blocked.json["error"]) == (
            400,
            f"sms from {other} to {STRANGER} blocked by STOP request",
        )
        assert [demo.outbound(ours, STRANGER).status for _ in range(2)] == [200, 429]
