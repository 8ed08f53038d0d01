"""Real processes for the tests: started, awaited, killed by real signals, and never left behind.

`wait_until` and `wait_until_async` are the only places of the suite that poll. Free of pytest, so that
the benchmarks can use all of it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar, overload

import psutil

from tests.forked import Forked, Request, forkserver

Found = TypeVar("Found")

# Below what the kernel gives to outgoing connections (32768 on Linux, 49152 elsewhere): none of those can
# take the port of a server that a test has stopped for a moment.
SERVER_PORTS = range(15_000, 32_000)
LEASH = Path(__file__).parent / "services" / "leash.py"
TAIL_LINES = 60


class NeverHappened(AssertionError):
    """What a test waited for did not come about in time."""


class ProcessFailed(AssertionError):
    """A process ended, or stayed unready, against what the test needs; carries the end of its output."""


def wait_until(
    condition: Callable[[], Found],
    timeout_seconds: float = 10.0,
    every: float = 0.02,
    *,
    what: str = "the condition",
) -> Found:
    """Give the first truthy value of condition, asked every so many seconds.

    Asks once more at the deadline. Raises NeverHappened after it; `what` names the wish in its text.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        late = time.monotonic() >= deadline
        if found := condition():
            return found
        if late:
            raise NeverHappened(f"{what} did not happen within {timeout_seconds} s")
        time.sleep(every)


@overload
async def wait_until_async(
    condition: Callable[[], Awaitable[Found]],
    timeout_seconds: float = ...,
    every: float = ...,
    *,
    what: str = ...,
) -> Found: ...


@overload
async def wait_until_async(
    condition: Callable[[], Found], timeout_seconds: float = ..., every: float = ..., *, what: str = ...
) -> Found: ...


async def wait_until_async(
    condition: Callable[[], Awaitable[Found]] | Callable[[], Found],
    timeout_seconds: float = 10.0,
    every: float = 0.02,
    *,
    what: str = "the condition",
) -> Found:
    """Give the first truthy value of condition, which may be a plain or an async function; else as above."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        late = time.monotonic() >= deadline
        answer = condition()
        if found := (await answer if isinstance(answer, Awaitable) else answer):
            return found
        if late:
            raise NeverHappened(f"{what} did not happen within {timeout_seconds} s")
        await asyncio.sleep(every)


def free_port() -> int:
    """Give a TCP port of the loopback interface that nothing listens on."""
    for port in random.sample(SERVER_PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise NeverHappened(f"no free port in {SERVER_PORTS}")


@dataclass(frozen=True, slots=True)
class Owner:
    """The system user that a process runs as."""

    uid: int
    gid: int


class Process:
    """One real process with everything it starts; its output goes to stdout.log and stderr.log in folder.

    folder: also the working directory; output of a second start is appended.
    owner: whom to run as, None for ourselves.
    stop_signal: what asks it to end, from us or when we die ourselves.
    A context manager starts it and ends it; an end of the interpreter ends it too. The kernel counts the
    death of the *thread* that launched it as ours: launch from one that lasts.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str],
        owner: Owner | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.command = list(command)
        self.folder = folder
        self.env = dict(env)
        self.owner = owner
        self.stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | Forked | None = None

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        assert self._child is not None, f"{self.command[0]} was never started"
        return self._child.pid

    @property
    def exit_status(self) -> int | None:
        """None before the first start and while it runs; -N after signal N."""
        return None if self._child is None else self._child.poll()

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def is_ready(self) -> bool:
        """Ask once whether it does its work by now; subclasses know how."""
        return self.running

    def launch(self) -> None:
        """Start it and wait for nothing."""
        assert not self.running, f"{self.command[0]} already runs"
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "stdout.log").open("ab") as out, (self.folder / "stderr.log").open("ab") as err:
            self._child = self._spawn(out, err)
        atexit.register(self.terminate)

    def _spawn(self, out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes] | Forked:
        owner = self.owner or Owner(-1, -1)
        leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid())]
        leash += [str(int(self.stop_signal)), str(owner.uid), str(owner.gid)]
        return subprocess.Popen(
            leash + self.command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )

    def start(self, timeout_seconds: float = 30.0) -> None:
        """Launch it and wait until it is ready. Raises ProcessFailed, with nothing left running."""
        self.launch()
        try:
            self.wait_ready(timeout_seconds)
        except BaseException:
            self.kill()
            raise

    def wait_ready(self, timeout_seconds: float = 30.0) -> None:
        """Wait until it is ready. Raises ProcessFailed if it ends instead, or takes too long."""

        def settled() -> bool:
            if not self.running:
                raise ProcessFailed(self.describe(f"ended with {self.exit_status} before it was ready"))
            return self.is_ready()

        try:
            wait_until(settled, timeout_seconds)
        except NeverHappened as late:
            raise ProcessFailed(self.describe(f"was not ready within {timeout_seconds} s")) from late

    def wait(self, timeout_seconds: float = 30.0) -> int:
        """Wait until it ends of itself; gives its exit status."""
        assert self._child is not None, f"{self.command[0]} was never started"
        try:
            status = self._child.wait(timeout_seconds)
        except subprocess.TimeoutExpired as late:
            raise ProcessFailed(self.describe(f"still runs after {timeout_seconds} s")) from late
        self.kill()
        return status

    def terminate(self, timeout_seconds: float = 20.0) -> int:
        """Send the stop signal and wait; gives the exit status. When late: SIGKILL, then ProcessFailed."""
        if not self.running:
            self.kill()
            return self.exit_status or 0
        with contextlib.suppress(ProcessLookupError):  # it ended this very moment
            os.kill(self.pid, self.stop_signal)
        try:
            return self.wait(timeout_seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL it with all of its descendants and its process group, and wait until they are gone.

        Frozen first, so that it starts nothing more meanwhile. Harmless when it has ended.
        """
        if self._child is None:
            return
        family: list[psutil.Process] = []
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if self._child.poll() is None:
                os.kill(self.pid, signal.SIGSTOP)
                family = [psutil.Process(self.pid)]
                family += family[0].children(recursive=True)
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
        wait_until(lambda: all(map(_is_gone, family)), what=f"the end of {self.command[0]}")
        atexit.unregister(self.terminate)

    def output(self) -> str:
        """Everything it wrote, standard output first."""
        logs = (self.folder / name for name in ("stdout.log", "stderr.log"))
        return "".join(log.read_text("utf-8", "replace") for log in logs if log.exists())

    def describe(self, what: str) -> str:
        """A sentence about it, with the end of each output: what a failing test should show."""
        lines = [f"{' '.join(self.command)} {what}"]
        for name in ("stdout.log", "stderr.log"):
            log = self.folder / name
            written = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
            lines += [f"--- {name}, last {TAIL_LINES} lines", *written[-TAIL_LINES:]]
        return "\n".join(lines)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.describe("was running"))
        self.terminate()


class Longcode(Process):
    """`longcode ARGS`.

    port: appended as `--port`, and ready then means that GET /healthz answers 200; without it, ready
    means running, unless `ready` says better.
    env: on top of ours without its LONGCODE_ variables.
    executable: start the file of this environment's bin folder; else the same is forked, which takes no time.
    From async tests whose own loop the process talks to while it starts or drains, use
    `await asyncio.to_thread(longcode.terminate)`, or `launch` and `wait_until_async(longcode.is_ready)`.
    """

    def __init__(
        self,
        *args: str,
        folder: Path,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
        executable: bool = False,
    ) -> None:
        port_args = [] if port is None else ["--port", str(port)]
        super().__init__([_executable(), *args, *port_args], folder=folder, env=clean_environment(env))
        self.port = port
        self._ready = ready
        self._executable = executable

    @property
    def url(self) -> str:
        """Where it listens, without a final slash."""
        assert self.port is not None, "started without a port"
        return f"http://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        if self._ready is not None:
            return self._ready()
        return self.running if self.port is None else _is_healthy(self.port)

    def _spawn(self, out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes] | Forked:
        if self._executable:
            return super()._spawn(out, err)
        request = Request(self.command, self.env, str(self.folder), int(self.stop_signal))
        with open(os.devnull, "rb") as nothing:
            return forkserver().start(request, nothing, out, err)


def run_cli(
    *args: str,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdin: str = "",
    timeout_seconds: float = 60.0,
    status: int | None = 0,
    executable: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run `longcode ARGS` to its end and give what it printed.

    folder: the working directory, a passing one if None. status: the exit status that the test expects,
    None for any; another raises ProcessFailed with the output. executable: as of Longcode.
    """
    with contextlib.ExitStack() as passing:
        cwd = folder or Path(passing.enter_context(tempfile.TemporaryDirectory(prefix="longcode-cli-")))
        run = _run if executable else _run_forked
        done = run([_executable(), *args], cwd, clean_environment(env), stdin, timeout_seconds)
    if status is not None and done.returncode != status:
        shown = f"--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        raise ProcessFailed(f"longcode {' '.join(args)} ended with {done.returncode}, not {status}\n{shown}")
    return done


def _run(
    command: list[str], folder: Path, env: dict[str, str], stdin: str, timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=env,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_seconds,
        check=False,
    )


def _run_forked(
    command: list[str], folder: Path, env: dict[str, str], stdin: str, timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    with contextlib.ExitStack() as passing:
        given, out, err = (passing.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(stdin.encode())
        given.seek(0)
        child = forkserver().start(Request(command, env, str(folder), int(signal.SIGTERM)), given, out, err)
        try:
            status = child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            raise
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(command, status, out.read().decode(), err.read().decode())


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without the settings of a Longcode that the developer may run, plus extra."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LONGCODE_")}
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(extra or {})


def _executable() -> str:
    return str(Path(sys.executable).parent / "longcode")


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _is_gone(process: psutil.Process) -> bool:
    """A zombie counts: it holds nothing, and who inherits it may be slow to bury it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
