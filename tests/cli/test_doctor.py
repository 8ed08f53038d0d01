"""What `longcode doctor` finds on databases in every state."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from longcode.carriers.smpp_link import LinkState
from longcode.cli.doctor import background_faults
from longcode.engine.broker import SEEN_KEY
from longcode.settings import Settings
from tests.processes import free_port, run_cli

SMPP = ("host=127.0.0.1", "port=2775", "system_id=esme", "password=secret")
LATER, LONG_AGO = 60, -120


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the simulator, which carries everything, and the idle carrier north by SMPP."""
    data = tmp_path_factory.mktemp("doctor") / "data"
    for args in (("migrate",), ("seed",), ("carrier", "add", "north", "--driver", "smpp", *SMPP)):
        run_cli(*args, "--data", str(data))
    return data


@dataclass(frozen=True, slots=True)
class Said:
    """What a process says of north's binds, by (name, state). seconds: when, from now."""

    binds: tuple[tuple[str, str], ...]
    seconds: float = LATER


@dataclass(frozen=True, slots=True)
class DoctorCase:
    """finds: what it prints; "": nothing is wrong. waiting: a message waits for this carrier; "" for a route."""

    what: str
    finds: str
    statements: tuple[str, ...] = ()
    said: Said | None = None
    waiting: str | None = None
    args: tuple[str, ...] = ()


ROUTE = (
    "INSERT INTO route (carrier_id, prefix, priority) SELECT id, '44', 0 FROM carrier WHERE name = 'north'",
    "UPDATE catalog_version SET version = version + 1",
)
PAUSE = ("UPDATE carrier SET paused = 1 WHERE name = 'north'",)
OPEN = (
    "INSERT INTO carrier_circuit (carrier_id, cause, opened_at, until, openings)"
    " SELECT id, 'system_error', 1795000000000000, 1795000000000000, 2 FROM carrier WHERE name = 'north'"
)
RESEALED = "UPDATE carrier SET settings = json_set(settings, '$.password', 'sealed:00') WHERE name = 'north'"
UNBOUND = (("transceiver 1", LinkState.WAITING.value),)
CASES = [
    DoctorCase("a carrier that nobody uses", ""),
    DoctorCase(
        "nobody serves it", "✗ carrier north: no process has reported on its binds: is `longcode up` running?", ROUTE
    ),
    DoctorCase("its own health alone", "", ROUTE, args=("--here",)),
    DoctorCase("bound", "", ROUTE, Said((("transceiver 1", LinkState.BOUND.value), *UNBOUND))),
    DoctorCase(
        "bound long ago",
        "✗ carrier north: no process reports on its binds since 20",
        ROUTE,
        Said((("transceiver 1", LinkState.BOUND.value),), seconds=LONG_AGO),
    ),
    DoctorCase(
        "no bind is bound", "✗ carrier north: none of its binds is bound: the bind was refused", ROUTE, Said(UNBOUND)
    ),
    DoctorCase(
        "receivers alone are bound",
        "✗ carrier north: only receivers are bound, which do not send: the bind was refused",
        ROUTE,
        Said((("receiver 1", LinkState.BOUND.value), ("transmitter 1", LinkState.WAITING.value))),
    ),
    DoctorCase(
        "it was left alone because it faulted",
        "✗ carrier north: is left alone: open since 20",
        (*ROUTE, OPEN),
        Said((("transceiver 1", LinkState.BOUND.value),)),
    ),
    DoctorCase(
        "its secrets were sealed with another key",
        "✗ carrier north: LONGCODE_SECRET_KEY_FILE: ",
        (*ROUTE, RESEALED),
        Said((("transceiver 1", LinkState.BOUND.value),)),
    ),
    DoctorCase("no route at all", "✗ no route leads to a carrier", ("DELETE FROM route",)),
    DoctorCase("paused with nothing to send", "", (*ROUTE, *PAUSE)),
    DoctorCase(
        "paused with something to send",
        "✗ carrier north: is paused while 1 wait for it; `longcode carrier resume`",
        (*ROUTE, *PAUSE),
        waiting="north",
    ),
    DoctorCase("nobody serves the simulator", "✗ carrier simulator: 1 wait for it, due since 20", waiting="simulator"),
    DoctorCase(
        "a message without a route", "✗ no route carries what waits: 1 in all; `longcode route add`", waiting=""
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_it_finds_what_keeps_messages_from_being_sent(case: DoctorCase, healthy: Path, tmp_path: Path) -> None:
    data = shutil.copytree(healthy, tmp_path / "data")
    with closing(sqlite3.connect(data / "longcode.db")) as connection, connection:
        for statement in case.statements:
            connection.execute(statement)
        if case.said is not None:
            binds = [
                {"name": name, "state": state, "last_error": "the bind was refused"} for name, state in case.said.binds
            ]
            connection.execute(
                "INSERT INTO carrier_status SELECT id, 'host:1', ?, ? FROM carrier WHERE name = 'north'",
                (json.dumps({"binds": binds}), micros(case.said.seconds)),
            )
        if case.waiting is not None:
            connection.execute(
                "INSERT INTO outbox (message_id, account_id, carrier_id, priority, due_at, expires_at, deferrals)"
                " VALUES (?, 1, (SELECT id FROM carrier WHERE name = ?), 5, ?, ?, 0)",
                ("0" * 32, case.waiting, micros(LONG_AGO), micros(LATER)),
            )
    done = run_cli("doctor", *case.args, "--data", str(data), status=1 if case.finds else 0)
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith(case.finds or "✓ nothing is wrong")
    assert len(done.stdout.splitlines()) == 1


def micros(seconds: float) -> int:
    """An instant so far from now, as SQLite keeps it."""
    return int((time.time() + seconds) * 1e6)


@pytest.mark.parametrize("args", [(), ("--here",)])
def test_it_finds_that_redis_does_not_answer(healthy: Path, args: tuple[str, ...]) -> None:
    env = {"LONGCODE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    done = run_cli("doctor", *args, "--data", str(healthy), status=1, env=env)
    assert done.stdout.startswith("✗ ")
    assert "Traceback" not in done.stderr


@dataclass(frozen=True, slots=True)
class BackgroundCase:
    """seen: the processes that did something now, by their machine; None: this one. missing: what is told."""

    what: str
    seen: tuple[tuple[str, str | None], ...]
    missing: tuple[str, ...]
    here: bool = False
    process: str | None = None


BACKGROUND = [
    BackgroundCase("nobody works", (), ("worker", "beat")),
    BackgroundCase("all work", (("worker", None), ("beat", None)), ()),
    BackgroundCase("they work elsewhere", (("worker", "other"), ("beat", "another")), ()),
    BackgroundCase("nobody keeps time", (("worker", None),), ("beat",)),
    BackgroundCase("its own health alone", (), (), here=True),
    BackgroundCase("this machine's worker", (("worker", None),), (), here=True, process="worker"),
    BackgroundCase("another machine's worker", (("worker", "other"),), ("worker",), here=True, process="worker"),
]


@pytest.mark.parametrize("case", BACKGROUND, ids=lambda case: case.what)
def test_it_finds_who_does_not_run_jobs(case: BackgroundCase, valkey_url: str) -> None:
    with Redis.from_url(valkey_url) as redis:
        for name, host in case.seen:
            redis.zadd(SEEN_KEY, {f"{name} {host or socket.gethostname()}": redis.time()[0]})
        redis.zadd(SEEN_KEY, {"worker long-gone": redis.time()[0] - 60})
    faults = background_faults(Settings(redis_url=valkey_url), here=case.here, process=case.process)
    assert [fault.split()[1] for fault in faults] == list(case.missing)


def test_it_finds_that_the_broker_does_not_answer() -> None:
    settings = Settings(broker_url=f"redis://127.0.0.1:{free_port()}/0")
    (fault,) = background_faults(settings, here=True, process=None)
    assert fault.startswith("the broker did not answer")
    assert background_faults(Settings(), here=False, process=None) == []
