"""How a database would run a query."""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import Select, text

from longcode.store.database import Database

# The whole of a table, or more of it than a page, in the plans of either database.
SCANNED = re.compile(
    r'"Seq Scan"[^}]*"Relation Name": "(message|mailbox|event)"|SCAN (message|mailbox|event)\b(?! USING INDEX)'
)
SORTED = re.compile(r'"Sort"|TEMP B-TREE')


async def plan(database: Database, query: Select[Any]) -> str:
    """The plan, in the words of the database; on PostgreSQL a generic one."""
    async with database.write() as connection:
        if database.is_sqlite:
            words = "EXPLAIN QUERY PLAN "
        else:
            words = "EXPLAIN (FORMAT JSON) "
            await connection.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
        compiled = query.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
        rows = (await connection.exec_driver_sql(words + str(compiled), _values(compiled))).all()
    return json.dumps([list(row) for row in rows], default=str)


def _values(compiled: Any) -> tuple[Any, ...]:
    values = compiled.construct_params()
    return tuple(
        processor(values[name]) if (processor := compiled._bind_processors.get(name)) else values[name]
        for name in compiled.positiontup
    )
