"""A real server on an event loop of its own, for clients that know nothing of ours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from longcode.flow.identity import OPERATOR_PREFIX, hash_key, new_key
from tests.app import Api, open_api
from tests.conftest import DLR_SECRET
from tests.wire.asgi import served

START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Installation:
    """A server with an account that has something of everything.

    basic, bearer: headers of who calls as this account. operator: of one who calls for it. keeper: of one who calls for
    another account, and may revoke keys there.
    """

    url: str
    basic: Mapping[str, str]
    bearer: Mapping[str, str]
    operator: Mapping[str, str]
    keeper: Mapping[str, str]
    dlr_secret: str


@contextmanager
def installation(database_url: str) -> Iterator[Installation]:
    """The server in a thread, which ends with the context."""
    ready: list[Installation] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with (
            open_api(database_url, dlr_secret=DLR_SECRET, api_calls_per_minute=0) as api,
            served(api.app) as port,
        ):
            ready.append(await _set_up(api, port))
            started.set()
            await stop.wait()

    def serve() -> None:
        try:
            loop.run_until_complete(run())
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=serve, name="installation")
    thread.start()
    started.wait(START_SECONDS)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _set_up(api: Api, port: int) -> Installation:
    caller = await api.account("demo")
    await api.whitelist(caller, "MyCorp")
    for tail in range(3):
        await api.assign(caller, f"+1202555010{tail}")
    await api.product.catalog_store.add_carrier("simulator", "simulator", {})
    await api.product.catalog_store.add_route("simulator", prefix="", account_id=None, priority=0)
    for login in ("anna", "bob"):
        await api.product.mailbox_store.register(caller.account_id, login)
    key = new_key()
    await api.product.accounts.add_key(caller.account_id, hash_key(key), key[:8])
    operators = new_key(OPERATOR_PREFIX)
    await api.product.accounts.add_operator_key(hash_key(operators), operators[:8])
    operator = {"Authorization": f"Bearer {operators}"}
    return Installation(
        url=f"http://127.0.0.1:{port}",
        basic=caller.credentials,
        bearer={"Authorization": f"Bearer {key}"},
        operator={**operator, "Longcode-Account": caller.name},
        keeper={**operator, "Longcode-Account": (await api.account("other")).name},
        dlr_secret=DLR_SECRET,
    )
