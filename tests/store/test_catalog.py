"""Carriers and routes, and the version by which caches know that they are old, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from longcode.domain.clock import utc_now
from longcode.errors import ConfigurationError, Duplicate, NotFound, Refused
from longcode.flow.catalog import CatalogCache
from longcode.store.accounts import AccountStore
from longcode.store.carrier_status import CarrierStatusStore
from longcode.store.catalog import CarrierRow, CatalogStore, RouteRow, Stored
from longcode.store.database import Database
from longcode.store.intake import IntakeStore
from longcode.store.outbox import Conclusion, OutboxStore
from longcode.store.words import WordStore
from tests.store.test_timeline import new


class CountingStore(CatalogStore):
    """The real store, which counts how often it was read."""

    loads = 0

    async def load(self) -> Stored:
        self.loads += 1
        return await super().load()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def store(database: Database) -> CountingStore:
    return CountingStore(database, utc_now)


async def test_what_was_added_is_loaded(store: CountingStore, database: Database) -> None:
    account = await AccountStore(database, utc_now).create("acme", "")
    carrier_id = await store.add_carrier("sim", "simulator", {"rate": 50, "hosts": ["a", "b"]})
    first = await store.add_route("sim", prefix="", account_id=None, priority=0)
    second = await store.add_route("sim", prefix="1202", account_id=account.id, priority=9)
    stored = await store.load()
    assert stored.version == await store.version()
    assert stored.carriers == [CarrierRow(carrier_id, "sim", "simulator", {"rate": 50, "hosts": ["a", "b"]}, False)]
    assert sorted(stored.routes, key=lambda route: route.id) == [
        RouteRow(first, carrier_id, "", None, 0),
        RouteRow(second, carrier_id, "1202", account.id, 9),
    ]
    assert stored.paces == []


async def test_a_pace_is_set_changed_and_removed(store: CountingStore, database: Database) -> None:
    account = await AccountStore(database, utc_now).create("acme", "")
    cache = CatalogCache(store, WordStore(database))
    await store.set_pace(account.id, "", 10)
    await store.set_pace(account.id, "MyCorp", 0.5)
    assert (await cache.now()).paces == {(account.id, ""): 10, (account.id, "MyCorp"): 0.5}
    await store.set_pace(account.id, "", 20)
    assert (await cache.now()).paces == {(account.id, ""): 20, (account.id, "MyCorp"): 0.5}
    assert await store.remove_pace(account.id, "MyCorp")
    assert not await store.remove_pace(account.id, "MyCorp")
    assert (await cache.now()).paces == {(account.id, ""): 20}
    assert cache.latest is await cache.now()


async def test_names_of_carriers_are_taken_once_and_must_exist(store: CountingStore) -> None:
    await store.add_carrier("sim", "simulator", {})
    before = await store.version()
    with pytest.raises(Duplicate):
        await store.add_carrier("sim", "smpp", {})
    with pytest.raises(NotFound):
        await store.add_route("Sim", prefix="", account_id=None, priority=0)
    assert await store.version() == before


async def test_a_cache_reads_again_only_what_moved_on(store: CountingStore, database: Database) -> None:
    cache = CatalogCache(store, WordStore(database))
    await store.add_carrier("sim", "simulator", {})
    for _ in range(3):
        catalog = await cache.now()
    assert (store.loads, len(catalog.carriers)) == (1, 1)
    await store.add_carrier("other", "smpp", {})
    assert len((await cache.now()).carriers) == 2
    assert store.loads == 2
    # Somebody who saw an older version is content with a newer one.
    assert (await cache.at(0)).version == await store.version()
    assert store.loads == 2


async def test_settings_are_changed_as_a_whole_or_not_at_all(store: CountingStore) -> None:
    await store.add_carrier("north", "smpp", {"port": "1"})
    before = await store.version()
    assert await store.change_settings("north", lambda row: {**row.settings, "host": "a"})
    assert await store.version() == before + 1
    assert not await store.change_settings("north", lambda row: dict(row.settings))

    def fault(_row: CarrierRow) -> dict[str, Any]:
        raise ConfigurationError(["port: expected an integer"])

    with pytest.raises(ConfigurationError):
        await store.change_settings("north", fault)
    with pytest.raises(NotFound):
        await store.change_settings("south", fault)
    [carrier] = (await store.load()).carriers
    assert carrier.settings == {"port": "1", "host": "a"}
    assert await store.version() == before + 1


async def test_a_carrier_is_removed_once_nothing_leads_to_it_and_nothing_waits_for_it(
    store: CountingStore, database: Database
) -> None:
    carrier_id = await store.add_carrier("north", "smpp", {})
    routes = [await store.add_route("north", prefix=prefix, account_id=None, priority=0) for prefix in ("1", "2")]
    waiting = replace(new(1), carrier_id=carrier_id)
    await IntakeStore(database).insert([waiting], [])
    status = CarrierStatusStore(database)
    await status.report(carrier_id, "a", {}, utc_now())
    with pytest.raises(Refused, match=f"routes {routes[0]}, {routes[1]} lead to it; messages wait for it, such as"):
        await store.remove_carrier("north")
    for route in routes:
        await store.remove_route(route)
    with pytest.raises(Refused, match=f"removed: messages wait for it, such as {waiting.message.id}"):
        await store.remove_carrier("north")
    await OutboxStore(database, utc_now).conclude([Conclusion(message_id=waiting.message.id)])
    await store.remove_carrier("north")
    assert (await CatalogCache(store, WordStore(database)).now()).carriers == {}
    assert await status.processes(carrier_id) == []
    with pytest.raises(NotFound):
        await store.remove_carrier("north")


async def test_a_removed_carriers_id_is_never_given_to_another(store: CountingStore) -> None:
    first = await store.add_carrier("north", "smpp", {})
    await store.remove_carrier("north")
    assert await store.add_carrier("north", "smpp", {}) > first
