"""No list, look-up or job reads more than it gives, in a database with a million messages, on both databases.

Each is asked for by its own function. On PostgreSQL the server says what each statement really read, under a plan
for the values that it has and under one for any values: after a few runs a connection may use either. On SQLite its
machine's instructions are counted. Nothing there is ever analyzed, neither here nor by Longcode, so that SQLite plans
the same whatever the tables hold.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from longcode import store
from longcode.store import expiring
from longcode.store.database import Database
from tests.million import Million, fill
from tests.services.databases import Databases
from tests.services.postgresql import PostgresServer
from tests.store.cost import Cost, Meter, begin, explain_everything, postgresql_meter, sqlite_meter
from tests.store.million_cases import CASES, FEW, Case, Stores
from tests.store.test_plans import HOT, generic_plan, live_through, scanned

# A look into a heap and one or two into an index for each row, each from its root.
BLOCKS_A_ROW: Final = 8
STEPS_A_ROW: Final = 60
LIFE: Final = Case("a message's life", "from accept to its receipt and a STOP", lambda s: live_through(s.database))

# Written and read by their keys, one after the other; no list.
BY_KEY: Final = {
    "AccountStore": "secret by_name by_key_hash operator_by_key_hash create set_secret add_key add_operator_key key"
    " revoke_operator_key revoke_key has_sender_id remove_sender_id add_sender_id",
    "ArrivalStore": "now keep tells_nothing_new finish keep_unowned forget",
    "BoxStore": "ack",
    "CancelStore": "cancel",
    "CarrierStatusStore": "report",
    "CatalogStore": "version add_carrier change_settings remove_carrier set_paused add_route remove_route set_pace"
    " remove_pace",
    "CircuitStore": "open close take_probe",
    "EventStream": "begin",
    "IntakeStore": "fingerprints",
    "KeyedCallStore": "claim answered release",
    "LimitStore": "set",
    "MailboxStore": "register",
    "NumberStore": "get add replace change delete assign release",
    "OptOutStore": "add add_many get",
    "OutboxStore": "claim_fresh record",
    "PoolStore": "remove add drop owns",
    "ReceiptStore": "settle",
    "ReroutingStore": "now",
    "SimulatorLedger": "take forget",
    "StrayStore": "now note prove forget",
    "WebhookStore": "add get remove disable enable rotate",
    "WordStore": "set_keyword remove_keyword set_reply remove_reply set_route remove_route route",
}
# A message's life runs them.
LIVED: Final = {
    "IntakeStore": "preflight insert usage stored_key messages",
    "OutboxStore": "begin conclude",
    "PoolStore": "create introduce",
    "ReceiptStore": "append adopt respell",
    "ReroutingStore": "move",
    "OptOutStore": "remove",
    "StopStore": "despite_opt_out",
}
# Once, at the start of a process that is alone with its database: they look through a whole queue.
AT_THE_START: Final = {"OutboxStore": "release_leases", "WebhookQueue": "release_leases"}

CONNECTIONS: Final = {"Database", "DriverPool"}
CUSTOM: Final = "postgresql, custom plans"
ENGINES: Final = ("sqlite", "postgresql, generic plans", CUSTOM)


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled database. place: where things are in it."""

    url: str
    place: Million


@pytest.fixture(scope="module", params=ENGINES)
def costs(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, sync_runner: asyncio.Runner
) -> Mapping[str, list[Cost]]:
    """What the statements of each case read."""
    # A life leaves accounts behind, and is lived once.
    cases = [case for case in CASES if not case.alike] if request.param == CUSTOM else [*CASES, LIFE]
    if request.param == "sqlite":
        filled = request.getfixturevalue("big_sqlite")
        return sync_runner.run(_ask(sqlite_meter(filled.url), filled.place, cases))
    filled = request.getfixturevalue("big_postgresql")
    meter = postgresql_meter(postgres_server, filled.url, plans="custom" if request.param == CUSTOM else "generic")
    return sync_runner.run(_ask(meter, filled.place, cases))


@pytest.fixture(scope="module")
def big_sqlite(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, sync_runner: asyncio.Runner
) -> Iterator[Filled]:
    path = tmp_path_factory.mktemp("million") / "longcode.db"
    path.write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{path}"
    yield Filled(url, sync_runner.run(fill(url)))
    path.unlink()


@pytest.fixture(scope="module")
def big_postgresql(
    postgres_server: PostgresServer, postgres_databases: Databases, sync_runner: asyncio.Runner
) -> Iterator[Filled]:
    name = "million"
    url = sync_runner.run(postgres_server.create_database(name, template=postgres_databases.template))
    place = sync_runner.run(fill(url))
    sync_runner.run(explain_everything(url))
    yield Filled(url, place)
    sync_runner.run(postgres_server.drop_database(name))


async def _ask(
    meter: AbstractAsyncContextManager[Meter], place: Million, cases: Sequence[Case]
) -> Mapping[str, list[Cost]]:
    async with meter as opened:
        stores = Stores(opened.database, place)
        for case in cases:
            await begin(opened, case.name)
            await case.ask(stores)
    return opened.costs


@pytest.mark.parametrize("of", list(dict.fromkeys(case.of for case in (*CASES, LIFE))))
def test_nothing_reads_more_than_it_gives(costs: Mapping[str, list[Cost]], of: str) -> None:
    cases = {case.name: case for case in (*CASES, LIFE) if case.of == of and case.name in costs}
    assert [(name, told) for name, case in cases.items() for cost in costs[name] if (told := _excess(cost, case))] == []
    assert not cases or any(costs[name] for name in cases), "no statement was seen"


def _excess(cost: Cost, case: Case) -> str:
    """What a statement read, and how, where that is too much."""
    within = (
        cost.rows <= case.rows
        and cost.blocks <= FEW + case.rows * BLOCKS_A_ROW
        and cost.steps <= FEW * STEPS_A_ROW + case.rows * STEPS_A_ROW
    )
    return (
        "" if within else f"{cost.rows} rows, {cost.blocks} blocks, {cost.steps} steps: {cost.statement}\n{cost.plan}"
    )


def test_hot_statements_scan_no_full_table(big_postgresql: Filled, sync_runner: asyncio.Runner) -> None:
    plans = sync_runner.run(_plan_hot(big_postgresql.url))
    assert [(name, plan) for name, plan in plans.items() if scanned(plan)] == []


async def _plan_hot(url: str) -> dict[str, str]:
    database = Database(url)
    async with database.driver() as driver:
        plans = {name: await generic_plan(driver, statement) for name, statement in HOT.items()}
    await database.close()
    return plans


def test_every_function_of_the_stores_is_asked_or_goes_by_keys() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    known = [case.of for case in CASES]
    for table in (BY_KEY, LIVED, AT_THE_START):
        known += [f"{name}.{function}" for name, functions in table.items() for function in functions.split()]
    assert _functions() ^ set(known) == set()


def _functions() -> set[str]:
    """What asks a database, by its class, as far as it is not private."""
    found = set()
    for module in pkgutil.iter_modules(store.__path__, "longcode.store."):
        if module.ispkg:
            continue
        loaded = importlib.import_module(module.name)
        for name, kind in vars(loaded).items():
            if not inspect.isclass(kind) or kind.__module__ != module.name or name in CONNECTIONS:
                continue
            found |= {
                f"{name}.{function}"
                for function, code in vars(kind).items()
                if not function.startswith("_")
                and (inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code))
            }
        if loaded is expiring:
            found |= {f"expiring.{function}" for function in vars(expiring) if function.startswith("purge")}
    return found
