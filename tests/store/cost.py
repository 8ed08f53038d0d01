"""What each statement of a database reads: as PostgreSQL's own log and SQLite's machine count it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from sqlalchemy import event

from longcode.store.database import Database
from tests.services.postgresql import PostgresServer

# Each statement with its plan, and with what was really read.
EXPLAINING: Final = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
}
_LOGGED: Final = re.compile(r"duration: [\d.]+ ms  plan:\n((?:\t.*\n)+)")
_MARK: Final = "SELECT 'what follows is of case"
STEPS_A_TICK: Final = 100


@dataclass(frozen=True, slots=True)
class Cost:
    """What one statement read. rows: that it looked at; blocks: of 8 kB; steps: of SQLite's machine."""

    statement: str
    plan: str
    rows: int = 0
    blocks: int = 0
    steps: int = 0


@dataclass(slots=True)
class Meter:
    """Runs of cases on a database, and what their statements read, by case."""

    database: Database
    costs: dict[str, list[Cost]] = field(default_factory=dict)
    case: str = ""


async def explain_everything(url: str) -> None:
    """Have the server log how it runs each statement of whoever connects to a database from now on."""
    connection = await asyncpg.connect(url)
    try:
        name = await connection.fetchval("SELECT current_database()")
        for setting, value in EXPLAINING.items():
            await connection.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    finally:
        await connection.close()


@asynccontextmanager
async def postgresql_meter(server: PostgresServer, url: str, *, plans: str) -> AsyncIterator[Meter]:
    """plans: `generic`, as a connection makes them once it knows a statement; or `custom`, as before.

    Hot statements have what `Database` says.
    """
    database = Database(url, pool_size=1)
    setting = f"SET plan_cache_mode = force_{plans}_plan"

    @event.listens_for(database.engine.sync_engine, "connect")
    def _force(connection: Any, _record: Any) -> None:
        connection.cursor().execute(setting)

    meter = Meter(database)
    before = len(server.output())
    try:
        yield meter
    finally:
        await database.close()
    _read(server.output()[before:], meter)


async def begin(meter: Meter, case: str) -> None:
    """What is run from now on is of this case."""
    meter.case = case
    meter.costs[case] = []
    if not meter.database.is_sqlite:
        async with meter.database.driver() as driver:
            await driver.execute(f"{_MARK} {len(meter.costs)}'")


def _read(log: str, meter: Meter) -> None:
    names, case = list(meter.costs), ""
    for found in _LOGGED.finditer(log):
        told = json.loads(found[1])
        statement, top = told["Query Text"], told["Plan"]
        if statement.startswith(_MARK):
            case = names[int(statement.removeprefix(_MARK).strip(" '")) - 1]
        elif case and "pg_catalog" not in statement:
            blocks = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
            meter.costs[case].append(Cost(statement, "\n".join(_lines(top)), rows=_rows(top), blocks=blocks))


def _rows(node: Any) -> int:
    """How many rows of tables a plan looked at, with those that it looked at for nothing."""
    looked: float = sum(map(_rows, node.get("Plans", ())))
    if "Relation Name" in node and "Operation" not in node:
        every = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        looked += sum(node.get(kind, 0) for kind in every) * node["Actual Loops"]
    return round(looked)


def _lines(node: Any, depth: int = 0) -> list[str]:
    kinds = ("Node Type", "Relation Name", "Index Name", "Index Cond", "Filter", "Actual Rows", "Actual Loops")
    told = " · ".join(str(node[kind]) for kind in kinds if kind in node)
    removed = node.get("Rows Removed by Filter", 0)
    line = "  " * depth + told + (f" · for nothing {removed}" if removed else "")
    return [line, *(below for plan in node.get("Plans", ()) for below in _lines(plan, depth + 1))]


@asynccontextmanager
async def sqlite_meter(url: str) -> AsyncIterator[Meter]:
    """Counts the instructions of SQLite's machine; a row costs it ten to a hundred."""
    database = Database(url)
    meter = Meter(database)
    ticks = [0]

    def tick() -> None:
        ticks[0] += 1

    @event.listens_for(database.engine.sync_engine, "connect")
    def _watch(connection: Any, _record: Any) -> None:
        connection.run_async(lambda driver: driver.set_progress_handler(tick, STEPS_A_TICK))

    @event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def _begin(*_: Any) -> None:
        ticks[0] = 0

    @event.listens_for(database.engine.sync_engine, "after_cursor_execute")
    def _end(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if meter.case:
            meter.costs[meter.case].append(Cost(statement, "", steps=ticks[0] * STEPS_A_TICK))

    try:
        yield meter
    finally:
        await database.close()
