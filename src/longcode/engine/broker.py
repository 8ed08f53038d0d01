"""The broker: where a kick becomes a task that one worker takes. On Redis or Valkey, through Celery.

A job that was kicked has a flag, so that further kicks fall together: `kicked` while its task waits, `running`
while a worker is at it, `again` where it was kicked meanwhile. Flags end by themselves, so that no crash keeps a
job from running for longer than they last. `docs/decisions/0005-work-finds-its-worker.md` says why.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from longcode.errors import ConfigurationError, StorageDown
from longcode.settings import Settings

TASK: Final = "longcode.run"
QUEUE: Final = "longcode"
# Before every key that Celery makes, so that the server may be shared.
PREFIX: Final = "longcode:broker:"
SEEN_KEY: Final = "longcode:seen"

TIMEOUT_SECONDS: Final = 1.0
SOCKET_SECONDS: Final = 5.0
# A task that a dying worker took with it, or that nobody takes, keeps later kicks away so long.
KICKED_SECONDS: Final = 10.0
# A run keeps its flag alive; one that was killed lets go of it so soon.
RUNNING_SECONDS: Final = 3.0
# No job takes so long; the process of one that hangs is killed and made anew.
JOB_SECONDS: Final = 300
# What a killed worker had taken and not begun comes back after so long; its job has long run by then.
VISIBILITY_SECONDS: Final = 30
# Without any worker nothing takes tasks; every job runs on a period, so that dropping kicks loses nothing.
TASKS_AT_MOST: Final = 1000
FORGOTTEN_SECONDS: Final = 86_400

# KEYS: flag, queue. ARGV: ms of a kick, tasks at most. 1: its task is to be published.
KICK: Final = """
local flag = redis.call('GET', KEYS[1])
if not flag then
  if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[2]) then return 0 end
  redis.call('SET', KEYS[1], 'kicked', 'PX', ARGV[1])
  return 1
end
if flag == 'running' then redis.call('SET', KEYS[1], 'again', 'KEEPTTL') end
return 0
"""

# KEYS: flag, who was seen. ARGV: ms of a kick, 1 where there is more to do, who ran it, seconds until a process
# is forgotten. 1: its task is to be published.
END: Final = """
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[2], now, ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[4])
if ARGV[2] == '1' or redis.call('GET', KEYS[1]) == 'again' then
  redis.call('SET', KEYS[1], 'kicked', 'PX', ARGV[1])
  return 1
end
redis.call('DEL', KEYS[1])
return 0
"""

# KEYS: who was seen. ARGV: who.
SEE: Final = "return redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])"


def url_of(settings: Settings) -> str | None:
    """Where the broker is; None where there is none."""
    return settings.broker_url or settings.redis_url


def needed_url(settings: Settings) -> str:
    """As `url_of`. Raises ConfigurationError where there is none."""
    url = url_of(settings)
    if url is None:
        raise ConfigurationError(
            ["LONGCODE_BROKER_URL: worker and beat need Redis or Valkey; set it, or LONGCODE_REDIS_URL"]
        )
    return url


class Broker:
    """Kicks and their flags. Every method that talks to the server raises StorageDown, and tries nothing twice.

    url: redis://, rediss:// or unix://. The connections are made when they are needed.
    """

    def __init__(self, url: str, app: Celery | None = None) -> None:
        self._app = celery_app(url) if app is None else app
        self._redis = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            # They would make the pool hand out connections that the server has closed.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self._kick = self._redis.register_script(KICK)
        self._end = self._redis.register_script(END)
        self._see = self._redis.register_script(SEE)
        self._host = socket.gethostname()

    def kick(self, job: str) -> None:
        """Have some worker run the job, unless one is about to."""
        with _faults_as_storage_down():
            if self._kick(keys=[_flag(job), PREFIX + QUEUE], args=[_ms(KICKED_SECONDS), TASKS_AT_MOST]):
                self._publish(job)

    def begin(self, job: str) -> None:
        """Say that the job runs here: from now on a kick makes it run once more."""
        with _faults_as_storage_down():
            self._redis.set(_flag(job), "running", px=_ms(RUNNING_SECONDS))

    def keep(self, job: str) -> None:
        """Say that it still runs; at least every RUNNING_SECONDS."""
        with _faults_as_storage_down():
            self._redis.pexpire(_flag(job), _ms(RUNNING_SECONDS))

    def end(self, job: str, *, more: bool) -> None:
        """Say that it has run; it runs again where there is more to do, or where it was kicked meanwhile."""
        args: list[str | int] = [_ms(KICKED_SECONDS), int(more), f"worker {self._host}", FORGOTTEN_SECONDS]
        with _faults_as_storage_down():
            if self._end(keys=[_flag(job), SEEN_KEY], args=args):
                self._publish(job)

    def see(self, process: str) -> None:
        """Note that a process of this machine lives."""
        with _faults_as_storage_down():
            self._see(keys=[SEEN_KEY], args=[f"{process} {self._host}"])

    def seen(self) -> Mapping[tuple[str, str], float]:
        """The seconds since each process was seen last, by its kind and its machine."""
        with _faults_as_storage_down():
            now: float = self._redis.time()[0]
            entries: Any = self._redis.zrange(SEEN_KEY, 0, -1, withscores=True)
        found = {}
        for name, at in entries:
            process, _, host = name.decode().partition(" ")
            found[process, host] = max(0.0, now - at)
        return found

    def close(self) -> None:
        """Let go of connections."""
        self._redis.close()
        self._app.close()

    def _publish(self, job: str) -> None:
        try:
            self._app.send_task(TASK, args=(job,), retry=False)
        except OperationalError:
            # The flag would keep the next kick away.
            self._redis.delete(_flag(job))
            raise


class _Application(Celery):  # type: ignore[misc]
    """Celery's application on the broker that it was made with, whatever variables of Celery's own say."""

    def __init__(self, url: str) -> None:
        super().__init__("longcode", broker=url, set_as_current=False)
        self.given_url = url

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_read(url or self.given_url, **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_write(url or self.given_url, **options)


def celery_app(url: str) -> Celery:
    """The Celery application, without tasks.

    A task is taken from the queue when it begins, not when it ends: it is a hint. What it would have done is in
    the database, and a job that died with its worker runs again on its period. Late acknowledgement would run
    it no sooner than the visibility timeout.
    """
    app = _Application(_for_kombu(url))
    app.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_publish_retry=False,
        task_time_limit=JOB_SECONDS,
        result_expires=None,
        accept_content=["json"],
        broker_connection_timeout=TIMEOUT_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_heartbeat=0,
        broker_pool_limit=1,
        broker_transport_options={
            "global_keyprefix": PREFIX,
            "visibility_timeout": VISIBILITY_SECONDS,
            "socket_timeout": SOCKET_SECONDS,
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "socket_keepalive": True,
        },
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    return app


def _for_kombu(url: str) -> str:
    """The URL as Celery's transport wants it: another word for sockets, and TLS with certificates checked."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "unix":
        if "db" in query:
            query["virtual_host"] = query.pop("db")
        return f"redis+socket://{parts.netloc}{parts.path}?{urlencode(query)}"
    if parts.scheme == "rediss":
        return urlunsplit(parts._replace(query=urlencode({"ssl_cert_reqs": "required", **query})))
    return url


def _flag(job: str) -> str:
    return f"longcode:job:{job}"


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


@contextmanager
def _faults_as_storage_down() -> Iterator[None]:
    try:
        yield
    except (RedisError, OperationalError, OSError) as error:
        raise StorageDown(f"the broker did not answer: {error or 'timeout'}") from error
