"""The deployments run: the very commands and environments of the Compose files, without Docker.

Only what containers change is changed: the addresses of `postgres` and `valkey`, the port of `serve`, the shared
volume, and the folder of the secrets.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.calls import basic
from tests.deploy.compose import DEVELOPMENT, PRODUCTION, ROOT, Service, services
from tests.processes import Longcode, Process, clean_environment, free_port, run_cli, wait_until
from tests.services.postgresql import postgresql
from tests.services.valkey import valkey

# In the container; on this machine it may be taken.
SERVE_PORT = re.compile(r"\b8080\b")
MESSAGE = {"sender_id": "MyCorp", "recipient": "12025550155", "text": "Hello from a deployment"}
ABROAD = {**MESSAGE, "recipient": "447700900155"}
CARRIER_PASSWORD = "not-a-password"


@dataclass(frozen=True, slots=True)
class Native:
    """One deployment on this machine.

    changed: what the values of its environment say in containers, and what stands there instead.
    more: further values.
    """

    services: Mapping[str, Service]
    changed: Mapping[str, str]
    more: Mapping[str, str]
    folder: Path
    port: int

    def environment(self, name: str) -> dict[str, str]:
        """The service's own, and our programs on the PATH as in its image."""
        own = {key: self._here(value) for key, value in self.services[name].environment.items()}
        bin_folder = str(Path(sys.executable).parent)
        path = {"PATH": f"{bin_folder}:{clean_environment()['PATH']}"}
        return clean_environment({**own, **self.more, **path})

    def process(self, name: str, command: Sequence[str] = ()) -> Process:
        """The service, or the command in its place: a fork then, where it is one of ours."""
        chosen = [SERVE_PORT.sub(str(self.port), part) for part in command or self.services[name].command]
        if command and chosen[0] == "longcode":
            return Longcode(*chosen[1:], folder=self.folder / name, env=self.environment(name))
        program = shutil.which(chosen[0], path=self.environment(name)["PATH"])
        assert program is not None, f"{chosen[0]} is not installed"
        return Process([program, *chosen[1:]], folder=self.folder / name, env=self.environment(name))

    def once(self, name: str, command: Sequence[str] = ()) -> str:
        """Run it to its end, which must be a good one; what it printed."""
        process = self.process(name, command)
        process.launch()
        status = process.wait(60)
        assert status == 0, process.describe(f"ended with {status}")
        return process.output()

    def is_healthy(self, name: str) -> bool:
        """Ask the service's own health check."""
        process = self.process(name, self.services[name].health)
        process.launch()
        return process.wait(60) == 0

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request to `serve`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, json.loads(response.read()))
        finally:
            connection.close()

    def answers(self) -> bool:
        """Whether `serve` does by now."""
        try:
            return self.ask("GET", "/healthz").status == 200
        except OSError:
            return False

    def _here(self, text: str) -> str:
        for there, here in self.changed.items():
            text = text.replace(there, here)
        return text


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the decoded body."""

    status: int
    json: Any


@contextmanager
def native(file: Path, folder: Path, *, secrets: Path | None, password: str) -> Iterator[Native]:
    """The file's data services as real servers, with Valkey's settings from the file; nothing of ours runs yet.

    password: PostgreSQL's, as the file has it. secrets: the folder of the secret files, where it has any.
    """
    found = services(file)
    given = found["valkey"].raw["command"][1:]
    settings = {name.removeprefix("--"): value for name, value in zip(given[::2], given[1::2], strict=True)}
    with postgresql() as database, valkey(settings) as state:
        asyncio.run(_prepare(database.url(), password))
        changed = {
            "@postgres:5432/": f"@127.0.0.1:{database.port}/",
            "//valkey:6379/": f"//127.0.0.1:{state.port}/",
        }
        # The volume of the development file; production has a key file instead.
        more = {"LONGCODE_DATA": str(folder / "volume")}
        if secrets is not None:
            changed["/run/secrets/"] = f"{secrets}/"
            more["LONGCODE_SECRETS"] = str(secrets)
            url = secrets / "longcode_database_url"
            url.write_text(url.read_text().replace("@postgres:5432/", changed["@postgres:5432/"]))
        yield Native(found, changed, more, folder, free_port())


async def _prepare(url: str, password: str) -> None:
    """What PostgreSQL's image does at its first start: the user's password and the database."""
    connection = await asyncpg.connect(url)
    try:
        assert password.isalnum(), "it stands in a statement"
        await connection.execute(f"ALTER ROLE longcode PASSWORD '{password}'")
        await connection.execute("CREATE DATABASE longcode")
    finally:
        await connection.close()


@contextmanager
def running(deployment: Native) -> Iterator[None]:
    """`serve`, `worker`, `beat` and `link` started before there is a schema, then `migrate`; at the end all drain."""
    serve, worker, beat, link = (deployment.process(name) for name in ("serve", "worker", "beat", "link"))
    patient = (serve, worker, link)
    started = (*patient, beat)
    try:
        for process in started:
            process.launch()
        wait_until(lambda: all("Waiting: " in process.output() for process in patient), 30, what="waiting for a schema")
        deployment.once("migrate")
        wait_until(deployment.answers, 60, what="a serve that answers")
        assert deployment.is_healthy("serve")
        wait_until(lambda: "Longcode works" in worker.output(), 30, what="a working worker")
        wait_until(lambda: "Longcode keeps time" in beat.output(), 30, what="a working beat")
        wait_until(lambda: "Longcode links" in link.output(), 30, what="a working link")
        assert deployment.ask("GET", "/readyz").status == 200
        yield
        for process in started:
            assert process.running, process.describe("ended too early")
            os.kill(process.pid, signal.SIGTERM)
        for process in started:
            assert process.wait() == 0, process.describe("did not end well")
    except BaseException as error:
        for process in started:
            error.add_note(process.describe("was running"))
        raise
    finally:
        for process in started:
            process.kill()


@contextmanager
def smsc(folder: Path) -> Iterator[tuple[int, Path]]:
    """An SMSC that insists on the carrier's password: its port, and the file of what it took, a line each."""
    port, log = free_port(), folder / "smsc.log"
    given = ["--port", str(port), "--log", str(log), "--script", json.dumps({"password": CARRIER_PASSWORD})]
    process = Process(
        [sys.executable, "-m", "tests.smpp.smsc", *given],
        folder=folder / "smsc",
        env=clean_environment({"PYTHONPATH": str(ROOT)}),
    )
    with process:
        wait_until(process.output, what="an SMSC that listens")
        yield port, log


def delivered(deployment: Native, headers: Mapping[str, str], message: Mapping[str, str] = MESSAGE) -> None:
    """Send a message and see it delivered."""
    keyed = {**headers, "Idempotency-Key": f"send_msg:deployment-{message['recipient']}"}
    first = deployment.ask("POST", "/api/messages/", message, keyed)
    assert first.status == 201, first
    path = f"/api/messages/{first.json['id']}/"
    wait_until(
        lambda: deployment.ask("GET", path, headers=headers).json["status"] == "DELIVERED", 20, what="a delivery"
    )
    again = deployment.ask("POST", "/api/messages/", message, keyed)
    assert (again.status, again.json["id"]) == (200, first.json["id"])


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Native]:
    """The development file's deployment, running."""
    folder = tmp_path_factory.mktemp("development")
    with native(DEVELOPMENT, folder, secrets=None, password="longcode") as deployment, running(deployment):
        yield deployment


def test_development_serves_callers_without_credentials_as_demo(development: Native) -> None:
    delivered(development, {})
    assert development.is_healthy("worker")
    assert development.is_healthy("beat")
    demo = services(DEVELOPMENT)["serve"].environment["LONGCODE_DEMO_SECRET"]
    own = development.ask("GET", "/api/numbers", headers=basic("demo", demo))
    assert (own.status, own.json["count"]) == (200, 3)
    assert development.ask("GET", "/api/numbers", headers=basic("demo", "wrong")).status == 401
    assert "exists already" in development.once("migrate"), "a second start changes nothing"


def test_link_sends_by_a_carrier_whose_password_another_process_sealed(development: Native, tmp_path: Path) -> None:
    with smsc(tmp_path) as (port, log):
        environment = development.environment("serve")
        settings = ("host=127.0.0.1", f"port={port}", "system_id=corp", f"password={CARRIER_PASSWORD}")
        run_cli("carrier", "add", "abroad", "--driver", "smpp", *settings, env=environment)
        run_cli("route", "add", "--carrier", "abroad", "--prefix", "44", env=environment)
        demo = services(DEVELOPMENT)["serve"].environment["LONGCODE_DEMO_SECRET"]
        delivered(development, basic("demo", demo), ABROAD)
        taken = [json.loads(line) for line in log.read_text().splitlines()]
        assert [(one["system_id"], one["destination"]) for one in taken] == [("corp", ABROAD["recipient"])]
        delivered(development, {}, {**ABROAD, "recipient": "447700900156"})
        assert len(log.read_text().splitlines()) == 1, "callers without credentials reach the simulator only"
        assert development.is_healthy("link")


def test_production_asks_everybody_for_credentials(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    subprocess.run([ROOT / "deploy" / "secrets.sh", secrets], check=True, capture_output=True)
    password = (secrets / "postgres_password").read_text().strip()
    with native(PRODUCTION, tmp_path, secrets=secrets, password=password) as deployment, running(deployment):
        environment = deployment.environment("serve")
        for command in (
            ("account", "create", "acme", "--secret", "not-a-secret"),
            ("sender", "add", "MyCorp", "--account", "acme"),
            ("carrier", "add", "trial", "--driver", "simulator"),
            ("route", "add", "--carrier", "trial"),
        ):
            run_cli(*command, env=environment)
        keyed = {"Idempotency-Key": "send_msg:nobody"}
        assert deployment.ask("POST", "/api/messages/", MESSAGE, keyed).status == 401
        assert deployment.ask("POST", "/api/messages/", MESSAGE, keyed | basic("demo", "demo-secret")).status == 401
        delivered(deployment, basic("acme", "not-a-secret"))
        assert deployment.is_healthy("worker")
        assert password not in "".join(log.read_text() for log in tmp_path.rglob("*.log"))


@pytest.mark.parametrize("command", [("migrate",), ("serve",), ("worker",), ("link",)], ids=" ".join)
def test_waiting_ends_with_the_reason_where_no_database_comes(command: tuple[str, ...]) -> None:
    port = free_port()
    nowhere = {
        "LONGCODE_DATABASE_URL": f"postgresql://longcode@127.0.0.1:{port}/longcode",
        "LONGCODE_REDIS_URL": f"redis://127.0.0.1:{port}/0",
    }
    done = run_cli(*command, "--wait", "1", env=nowhere, status=1)
    assert done.stderr.startswith("Waiting: the database did not answer")
    assert done.stderr.splitlines()[-1].startswith("Error: the database did not answer")
