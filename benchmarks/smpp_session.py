"""How many submit_sm a second one session carries, ESME and SMSC each in a process of its own.

    python -m benchmarks.smpp_session [--submits N] [--window W]

Nothing but the session is measured: the SMSC answers at once, the ESME keeps its window full.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from longcode.smpp.endpoints import connect, listen
from longcode.smpp.pdu import (
    Bind,
    BindTransceiver,
    BindTransceiverResp,
    Pdu,
    Response,
    SubmitSm,
    SubmitSmResp,
)
from longcode.smpp.session import Session
from longcode.smpp.states import Role
from longcode.smpp.window import Outcome

SUBMIT = SubmitSm(
    source_addr="12025550101",
    destination_addr="12025550102",
    registered_delivery=1,
    short_message=b"The quick brown fox jumps over the lazy dog, and the dog does not mind.",
)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop


def _serve(pipe: Connection) -> None:
    taken = 0

    def handle(session: Session, request: Pdu) -> Response:
        nonlocal taken
        if isinstance(request, Bind):
            return BindTransceiverResp(system_id="bench")
        taken += 1
        return SubmitSmResp(message_id=f"{taken:x}")

    async def main() -> None:
        closed = asyncio.Event()

        def session() -> Session:
            return Session(Role.SMSC, handle, on_closed=lambda _: closed.set())

        server = await listen("127.0.0.1", 0, session)
        pipe.send(server.port)
        await closed.wait()
        await server.close()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


async def _submit(port: int, submits: int, window: int) -> dict[str, Any]:
    session = await connect("127.0.0.1", port, Session(Role.ESME, lambda *_: None, window=window))
    await session.bind(BindTransceiver(system_id="bench"))
    done = asyncio.get_running_loop().create_future()
    sent = answered = 0

    def fill(outcome: Outcome) -> None:
        nonlocal answered
        answered += isinstance(outcome, SubmitSmResp)
        top_up()
        if answered == submits and not done.done():
            done.set_result(None)

    def top_up() -> None:
        nonlocal sent
        while sent < submits and session.free_slots:
            sent += 1
            session.submit(SUBMIT, fill)

    async def worker(count: int) -> None:
        for _ in range(count):
            await session.request(SUBMIT)

    started = time.perf_counter()
    top_up()
    await done
    by_callback = submits / (time.perf_counter() - started)
    started = time.perf_counter()
    await asyncio.gather(*(worker(submits // window) for _ in range(window)))
    by_await = submits // window * window / (time.perf_counter() - started)
    await session.close()
    return {"submits_per_second": round(by_callback), "awaited_per_second": round(by_await)}


def run(submits: int = 100_000, window: int = 100) -> dict[str, Any]:
    """Submits a second: `submits_per_second` by callback, `awaited_per_second` with a task for each slot."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,))
    server.start()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            figures = runner.run(_submit(ours.recv(), submits, window))
    finally:
        server.join(10)
        if server.is_alive():
            server.terminate()
    return {"window": window, "submits": submits, **figures}


def main() -> None:
    """Print the figures of the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submits", type=int, default=100_000)
    parser.add_argument("--window", type=int, default=100)
    options = parser.parse_args()
    print(json.dumps(run(options.submits, options.window)))


if __name__ == "__main__":
    main()
