"""The broker's flags: how kicks fall together, and when a job runs again."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from longcode.engine import broker as module
from longcode.engine.broker import PREFIX, QUEUE, TASKS_AT_MOST, Broker, celery_app
from longcode.errors import StorageDown
from tests.processes import free_port
from tests.services.valkey import valkey

JOB = "dispatch 7"


@pytest.fixture
def redis(valkey_url: str) -> Iterator[Redis]:
    with Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture
def broker(valkey_url: str) -> Iterator[Broker]:
    opened = Broker(valkey_url)
    yield opened
    opened.close()


@dataclass(frozen=True, slots=True)
class FlagCase:
    """steps: methods of the broker, in their order. tasks: how many tasks wait then. flag: what it is then."""

    what: str
    steps: str
    tasks: int
    flag: str | None


CASES = [
    FlagCase("a kick is one task", "kick", 1, "kicked"),
    FlagCase("kicks of a job that waits fall together", "kick kick kick", 1, "kicked"),
    FlagCase("a job that runs is not waiting", "kick take begin", 0, "running"),
    FlagCase("a job that has run and was not kicked again rests", "kick take begin end", 0, None),
    FlagCase("a kick during a run makes no task at once", "kick take begin kick kick", 0, "again"),
    FlagCase("a kick during a run makes it run once more", "kick take begin kick kick end", 1, "kicked"),
    FlagCase("a job with more to do runs again", "kick take begin more", 1, "kicked"),
    FlagCase("a job that rests can be kicked", "kick take begin end kick", 1, "kicked"),
    FlagCase("a run keeps its kick", "kick take begin kick keep", 0, "again"),
    FlagCase("a second run of a lost flag harms nothing", "begin begin end end", 0, None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_flags(case: FlagCase, broker: Broker, redis: Redis) -> None:
    steps = {
        "kick": lambda: broker.kick(JOB),
        "take": lambda: redis.lpop(PREFIX + QUEUE),
        "begin": lambda: broker.begin(JOB),
        "keep": lambda: broker.keep(JOB),
        "end": lambda: broker.end(JOB, more=False),
        "more": lambda: broker.end(JOB, more=True),
    }
    for step in case.steps.split():
        steps[step]()
    flag = redis.get(f"longcode:job:{JOB}")
    assert (redis.llen(PREFIX + QUEUE), flag and flag.decode()) == (case.tasks, case.flag)
    assert flag is None or 0 < redis.pttl(f"longcode:job:{JOB}") <= module.KICKED_SECONDS * 1000


def test_jobs_have_flags_of_their_own(broker: Broker, redis: Redis) -> None:
    broker.kick("dispatch 7")
    broker.kick("dispatch 8")
    assert redis.llen(PREFIX + QUEUE) == 2


def test_a_task_holds_nothing_but_the_job(broker: Broker, redis: Redis) -> None:
    broker.kick(JOB)
    task = redis.lindex(PREFIX + QUEUE, 0)
    assert b'"longcode.run"' in task
    assert b"application/json" in task
    assert len(task) < 2000


def test_tasks_that_nobody_takes_are_bounded(broker: Broker, redis: Redis) -> None:
    redis.lpush(PREFIX + QUEUE, *range(TASKS_AT_MOST))
    broker.kick(JOB)
    assert redis.llen(PREFIX + QUEUE) == TASKS_AT_MOST
    assert redis.get(f"longcode:job:{JOB}") is None, "the next kick is not kept away"


def test_who_ran_something_is_seen_by_its_machine(broker: Broker, redis: Redis) -> None:
    assert broker.seen() == {}
    broker.see("beat")
    broker.begin(JOB)
    broker.end(JOB, more=False)
    seen = broker.seen()
    assert {process for process, _host in seen} == {"beat", "worker"}
    assert all(0.0 <= ago <= 5.0 for ago in seen.values())


def test_a_process_that_was_not_seen_for_a_day_is_forgotten(broker: Broker, redis: Redis) -> None:
    redis.zadd(module.SEEN_KEY, {"worker gone": redis.time()[0] - module.FORGOTTEN_SECONDS - 60})
    assert broker.seen()["worker", "gone"] > module.FORGOTTEN_SECONDS
    broker.end(JOB, more=False)
    assert {process for process, host in broker.seen() if host == "gone"} == set()


def test_a_broker_may_be_a_socket_file(tmp_path: Path) -> None:
    path = tmp_path / "valkey.sock"
    with valkey({"unixsocket": str(path)}) as server, Redis.from_url(server.url.replace("/0", "/2")) as second:
        broker = Broker(f"unix://{path}?db=2")
        broker.kick(JOB)
        broker.close()
        assert second.llen(PREFIX + QUEUE) == 1


def test_a_broker_that_is_down_is_told_as_such() -> None:
    broker = Broker(f"redis://127.0.0.1:{free_port()}/0")
    for act in (lambda: broker.kick(JOB), lambda: broker.begin(JOB), lambda: broker.see("beat"), broker.seen):
        with pytest.raises(StorageDown, match="the broker did not answer"):
            act()
    broker.close()


@dataclass(frozen=True, slots=True)
class UrlCase:
    """tls: whether certificates are checked; None: no TLS."""

    url: str
    host: str | None
    database: str
    tls: int | None = None


URLS = [
    UrlCase("redis://:secret@redis.example:6380/2", "redis.example", "2"),
    UrlCase("rediss://redis.example/0", "redis.example", "0", ssl.CERT_REQUIRED),
    UrlCase("rediss://redis.example/0?ssl_cert_reqs=none", "redis.example", "0", ssl.CERT_NONE),
]


@pytest.mark.parametrize("case", URLS, ids=lambda case: case.url)
def test_celery_reads_the_url_as_we_do(case: UrlCase) -> None:
    app = celery_app(case.url)
    connection = app.connection_for_write()
    assert (connection.hostname, str(connection.virtual_host)) == (case.host, case.database)
    assert (connection.ssl["ssl_cert_reqs"] if connection.ssl else None) == case.tls
    connection.release()
    app.close()


def test_no_variable_of_celery_leads_to_another_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        monkeypatch.setenv(name, "redis://another.example/0")
    app = celery_app("redis://redis.example/0")
    connections = (app.connection_for_read(), app.connection_for_write(), app.pool.acquire())
    assert {connection.hostname for connection in connections} == {"redis.example"}
    for connection in connections:
        connection.release()
    app.close()
