"""Processes of `longcode` that start at once, forked by a server that has imported it already."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
# How the server is talked to: a request is its length and its JSON, with open files along: standard input, output
# and error, and a socket for the news of the process. News are numbers: its pid, and at its end its exit status.
LENGTH = struct.Struct("!I")
NUMBER = struct.Struct("!i")
FILES = 4


@dataclass(frozen=True, slots=True)
class Request:
    """One process to start. arguments: from the program's name on."""

    arguments: Sequence[str]
    env: Mapping[str, str]
    folder: str
    stop_signal: int


class Forked:
    """One process, with what is needed of `subprocess.Popen`; safe for threads."""

    def __init__(self, news: socket.socket) -> None:
        self._news = news
        self._lock = threading.Lock()
        self._status: int | None = None
        self.pid = self._next()

    def poll(self) -> int | None:
        """The exit status, -N after signal N; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; gives the exit status. Raises subprocess.TimeoutExpired."""
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return status

    def _ended(self, timeout: float | None) -> int | None:
        with self._lock:
            if self._status is None and select.select([self._news], [], [], timeout)[0]:
                self._status = self._next()
                self._news.close()
            return self._status

    def _next(self) -> int:
        found = self._news.recv(NUMBER.size, socket.MSG_WAITALL)
        # A server that was killed took its processes along.
        return int(NUMBER.unpack(found)[0]) if found else -signal.SIGKILL


class ForkServer:
    """The server, for those who want processes; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.services.forkserver", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self.close)

    def start(self, request: Request, stdin: IO[Any], stdout: IO[Any], stderr: IO[Any]) -> Forked:
        """Start a process that has these files."""
        news, theirs = socket.socketpair()
        content = json.dumps(asdict(request)).encode()
        with theirs, self._lock:
            files = [stdin.fileno(), stdout.fileno(), stderr.fileno(), theirs.fileno()]
            socket.send_fds(self._control, [LENGTH.pack(len(content))], files)
            self._control.sendall(content)
        return Forked(news)

    def close(self) -> None:
        """End it, and with it whatever still runs."""
        self._control.close()
        self._process.wait()


@functools.cache
def forkserver() -> ForkServer:
    """The one of this process, started for the first who asks."""
    return ForkServer()
