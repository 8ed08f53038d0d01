"""`longcode` by a wall clock that somebody sets: python -m tests.faults.wrong_clock FILE ARGUMENT…

FILE holds eight octets, a double: by how many seconds the clock is ahead. It may change at any time.
"""

from __future__ import annotations

import mmap
import struct
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from uuid_utils.compat import uuid7

from longcode.domain import clock
from tests.processes import Longcode

HOUR = 3600.0
# The database's clock, found before the server's own: our statements ask it by these two names.
SERVER = """
CREATE SCHEMA wrong;
CREATE TABLE wrong.clock (ahead double precision NOT NULL);
INSERT INTO wrong.clock VALUES (0);
CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp() + make_interval(secs => ahead) FROM wrong.clock';
CREATE FUNCTION wrong.statement_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.statement_timestamp() + make_interval(secs => ahead) FROM wrong.clock';
ALTER DATABASE longcode SET search_path = wrong, public, pg_catalog;
"""
_DOUBLE = struct.Struct("d")


class WrongClock:
    """The wall clock of the machine that runs `longcode`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.write_bytes(_DOUBLE.pack(0.0))

    def set(self, ahead: float) -> None:
        """Set it so many seconds ahead."""
        with self._file.open("r+b") as file:  # never shorter: processes look at its octets in memory
            file.write(_DOUBLE.pack(ahead))

    def longcode(
        self, *args: str, folder: Path, port: int | None = None, env: Mapping[str, str] | None = None
    ) -> Longcode:
        """`longcode ARGS` on that machine."""
        root = str(Path(__file__).resolve().parents[2])
        process = Longcode(*args, folder=folder, port=port, env={**(env or {}), "PYTHONPATH": root}, executable=True)
        process.command[:1] = [sys.executable, "-m", "tests.faults.wrong_clock", str(self._file)]
        return process


def main() -> None:
    """Set the clock, then do what `longcode` does."""
    file = sys.argv.pop(1)
    with open(file, "rb") as opened:
        ahead = mmap.mmap(opened.fileno(), _DOUBLE.size, prot=mmap.PROT_READ)

    def utc_now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=_DOUBLE.unpack(ahead)[0])

    def mint_id() -> UUID:
        return uuid7(nanoseconds=int(utc_now().timestamp() * 1e9))

    # Before anything else takes them from there.
    clock.utc_now, clock.mint_id = utc_now, mint_id
    from longcode.cli import main

    main()


if __name__ == "__main__":
    main()
