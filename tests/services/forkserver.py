"""Fork a real `longcode` process for each request.

    python -m tests.services.forkserver FD       FD: our end of the socket on which the requests come

A start of the executable is half a second of importing, and the suite has hundreds. What runs here is the same
`main` with arguments, environment, folder, files, session and signals of its own. The server ends when the other
end of the socket closes, by whatever death, and then its processes get their stop signals.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import longcode
from longcode.cli import main
from tests.forked import FILES, LENGTH, NUMBER, Request
from tests.services.leash import hold

# Alembic runs these by itself, and only in a setting of its own.
MIGRATIONS = "longcode.store.migrations"


@dataclass(frozen=True, slots=True)
class Child:
    """One process. news: the file that takes its news."""

    news: int
    stop_signal: int


def run(control: socket.socket) -> bool:
    """Serve until nobody is left to ask; True in a child, which is then to be `longcode`."""
    for module in pkgutil.walk_packages(longcode.__path__, "longcode."):
        if not module.name.startswith(MIGRATIONS):
            importlib.import_module(module.name)
    # What all share stays shared: a collection would touch it, and copy it into each child.
    gc.collect()
    gc.freeze()
    awake, wake = socket.socketpair()
    wake.setblocking(False)
    with control, awake, wake:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno())
        child = _serve(control, awake)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return child


def _serve(control: socket.socket, awake: socket.socket) -> bool:
    """`run` once all is imported. awake: readable when a child has ended."""
    server = os.getpid()
    children: dict[int, Child] = {}
    while True:
        ready, _, _ = select.select([control, awake], [], [])
        if awake in ready:
            awake.recv(4096)
            _bury(children)
        if control in ready:
            received = _receive(control)
            if received is None:
                for pid, child in children.items():
                    os.kill(pid, child.stop_signal)
                return False
            request, files = received
            pid = os.fork()
            if pid == 0:
                _settle(request, files, server)
                for child in children.values():
                    os.close(child.news)
                return True
            *passed, news = files
            for fd in passed:
                os.close(fd)
            _tell(news, pid)
            children[pid] = Child(news, request.stop_signal)


def _receive(control: socket.socket) -> tuple[Request, list[int]] | None:
    head, files, _, _ = socket.recv_fds(control, LENGTH.size, FILES)
    if not head:
        return None
    content = control.recv(LENGTH.unpack(head)[0], socket.MSG_WAITALL)
    return Request(**json.loads(content)), files


def _bury(children: dict[int, Child]) -> None:
    """Tell the exit status of every child that has ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        news = children.pop(pid).news
        _tell(news, os.waitstatus_to_exitcode(status))
        os.close(news)


def _tell(fd: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(fd, NUMBER.pack(number))


def _settle(request: Request, files: Sequence[int], server: int) -> None:
    """Make the child what a start of its own would have made it."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hold(server, request.stop_signal)
    for target, fd in enumerate(files[:3]):
        os.dup2(fd, target)
    for fd in files:
        os.close(fd)
    os.environ.clear()
    os.environ.update(request.env)
    time.tzset()
    os.chdir(request.folder)
    sys.argv = list(request.arguments)


def finish(ended: SystemExit) -> NoReturn:
    """End the process as the interpreter does, save for freeing each object: that alone takes 50 ms in a fork."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    if isinstance(ended.code, str):
        sys.stderr.write(f"{ended.code}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended.code if isinstance(ended.code, int) else int(ended.code is not None))


if __name__ == "__main__" and run(socket.socket(fileno=int(sys.argv[1]))):
    try:
        main(prog_name=Path(sys.argv[0]).name)
    except SystemExit as ended:
        finish(ended)
