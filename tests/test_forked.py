"""What is forked is what the executable is, and ends when it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.forked import ROOT
from tests.processes import Longcode, clean_environment, free_port, run_cli, wait_until


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("--version",), 0),
        (("account", "create"), 2),
        (("account", "list"), 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_fork_says_and_answers_what_the_executable_does(args: tuple[str, ...], status: int, tmp_path: Path) -> None:
    env = {"LONGCODE_DATA": "here", "LONGCODE_LOG_LEVEL": "loud"}
    forked, started = (
        run_cli(*args, env=env, folder=tmp_path, status=status, executable=executable) for executable in (False, True)
    )
    assert (forked.stdout, forked.stderr) == (started.stdout, started.stderr)


def test_a_fork_is_ended_by_signals_and_tells_by_which(tmp_path: Path) -> None:
    process = Longcode("up", "--data", str(tmp_path), folder=tmp_path, port=free_port())
    with process:
        assert process.terminate() == 0
        process.start()
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def test_forks_end_when_the_suite_itself_is_killed(tmp_path: Path) -> None:
    program = (
        "import signal, sys; from pathlib import Path; from tests.processes import Longcode; "
        f"up = Longcode('up', folder=Path({str(tmp_path)!r}), port={free_port()}); up.start(); print(up.pid); "
        "signal.pause()"
    )
    suite = subprocess.Popen(
        [sys.executable, "-uc", program], cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE
    )
    try:
        assert suite.stdout is not None
        up = psutil.Process(int(suite.stdout.readline()))
        assert up.status() != psutil.STATUS_ZOMBIE
    finally:
        suite.kill()
        suite.communicate()
    wait_until(lambda: not up.is_running() or up.status() == psutil.STATUS_ZOMBIE, what="the end of the fork")
