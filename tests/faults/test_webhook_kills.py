"""`longcode up` under SIGKILL: every event of every answered call arrives at its endpoint, under one id."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.faults.stream import DEMO, Stream, register
from tests.faults.test_kill_up import up
from tests.processes import run_cli, wait_until_async
from tests.webhooks.endpoint import Endpoint, Reply, Request, answer, listening

KILLS = 3
CALLS_BEFORE_A_KILL = 60


def faltering(request: Request) -> Reply:
    """Well, but for one request in ten, which gets no answer."""
    return (b"", True) if request.body[-20] % 10 == 0 else answer()


async def test_events_survive_kills(tmp_path: Path) -> None:
    process = up(tmp_path)
    stream = Stream(process.url)
    async with listening(faltering) as endpoint:
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
            endpoint.script = lambda _: answer()
            await wait_until_async(lambda: _all_told(tmp_path, endpoint), 60.0, 0.2, what="every event")
            assert await asyncio.to_thread(process.terminate) == 0
        finally:
            process.kill()
    assert len(endpoint.requests) > KILLS * CALLS_BEFORE_A_KILL
    bodies: dict[str, bytes] = {}
    for request in endpoint.requests:
        kind = request.json["type"].encode() + request.json["data"]["id"].encode()
        assert bodies.setdefault(request.id, kind) == kind  # an id never names two events


def _all_told(folder: Path, endpoint: Endpoint) -> bool:
    """True once no message is under way and each step of each message arrived."""
    with closing(sqlite3.connect(f"file:{folder}/data/longcode.db?mode=ro", uri=True)) as connection:
        [(waiting,)] = connection.execute("SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM webhook_queue)")
        if waiting:
            return False
        steps = connection.execute(
            "SELECT status, id FROM message WHERE status IN ('delivered', 'undelivered', 'failed', 'received')"
        ).fetchall()
        events = connection.execute("SELECT count(*) FROM event").fetchone()[0]
    told = {(one.json["data"]["status"], one.json["data"]["id"].replace("-", "")) for one in endpoint.requests}
    assert set(steps) <= told
    assert len(set(endpoint.ids)) == events
    return True
