"""`examples/*.sh` and `api.http` do what they say, against a real `longcode up`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from tests.dialects.promises import ROWS
from tests.processes import Longcode, free_port, wait_until
from tests.web.described import operation

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.sh"))
API_HTTP = ROOT / "api.http"
# As the head of api.http says.
DEMO_SECRET, DLR_SECRET = "demo-secret", "dlr-secret"
VARIABLE = re.compile(r"\{\{([^}]+)\}\}")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Longcode]:
    """A fresh server on an embedded database."""
    env = {"LONGCODE_DEMO_SECRET": DEMO_SECRET, "LONGCODE_DLR_SECRET": DLR_SECRET}
    with Longcode("up", "--data", str(tmp_path / "data"), folder=tmp_path, port=free_port(), env=env) as process:
        yield process


def run(script: Path, base: str, secret: str, dlr_secret: str = DLR_SECRET) -> subprocess.CompletedProcess[str]:
    """Run a script as the account demo."""
    given = {"BASE": base, "CREDENTIALS": f"demo:{secret}", "DLR_SECRET": dlr_secret}
    return subprocess.run(
        [script],
        env={"PATH": os.environ["PATH"], **given},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_there_are_examples() -> None:
    assert {script.stem for script in SCRIPTS} >= {
        "inbound_outbound",
        "conversations",
        "numbers",
        "messages",
        "mailbox",
    }
    assert shutil.which("curl"), "the examples need curl"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_an_example_runs_twice_and_fails_where_it_is_refused(up: Longcode, script: Path) -> None:
    for _ in range(2):
        done = run(script, up.url, DEMO_SECRET)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert run(script, up.url, "wrong").returncode != 0
    up.terminate()
    assert run(script, up.url, DEMO_SECRET).returncode != 0


def test_the_example_of_reports_tells_which_secret_does_not_fit(up: Longcode) -> None:
    done = run(ROOT / "examples" / "messages.sh", up.url, DEMO_SECRET, "another")
    assert done.returncode == 1
    assert "DLR_SECRET is not the server's LONGCODE_DLR_SECRET" in done.stderr


@dataclass(frozen=True, slots=True)
class Request:
    """One request of api.http, its variables still in it. name: by which others use its answer."""

    title: str
    name: str | None
    status: int
    method: str
    url: str
    headers: Mapping[str, str]
    body: str


def read_requests(text: str) -> tuple[dict[str, str], list[Request]]:
    """The variables of a file and its requests, in order."""
    head, *parts = re.split(r"^### ?", text, flags=re.MULTILINE)
    variables = dict(re.findall(r"^@(\w+) = (.*)$", head, flags=re.MULTILINE))
    return variables, [_read_request(part) for part in parts]


def _read_request(part: str) -> Request:
    title, rest = part.split("\n", 1)
    name = re.search(r"^# @name (\w+)$", rest, flags=re.MULTILINE)
    status = re.search(r"^# → (\d+)$", rest, flags=re.MULTILINE)
    assert status is not None, f"{title}: no status"
    head, _, body = re.sub(r"^#.*\n", "", rest, flags=re.MULTILINE).strip().partition("\n\n")
    line, *lines = head.splitlines()
    method, url = line.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return Request(title, name and name[1], int(status[1]), method, url, headers, body)


@dataclass(slots=True)
class Client:
    """Sends requests as the REST Client does, and keeps the answers of those that have a name."""

    variables: dict[str, str]
    answers: dict[str, Any] = field(default_factory=dict)
    named: dict[str, Request] = field(default_factory=dict)

    def send(self, request: Request) -> tuple[int, bytes]:
        body = self.fill(request.body)
        self.variables["signature"] = hmac.new(DLR_SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()
        headers = {name: self.fill(value) for name, value in request.headers.items()}
        scheme, _, pair = headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        address = self.variables["base"].removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=30)
        try:
            target = self.target(request)
            connection.request(request.method, target, body=body.encode() or None, headers=headers)
            reply = connection.getresponse()
            answer = reply.status, reply.read()
        finally:
            connection.close()
        if request.name is not None:
            self.named[request.name] = request
            self.answers[request.name] = json.loads(answer[1])
        return answer

    def target(self, request: Request) -> str:
        return self.fill(request.url).removeprefix(self.variables["base"])

    def fill(self, text: str) -> str:
        """The text with its variables' values."""
        return VARIABLE.sub(lambda match: self.value(match[1]), text)

    def value(self, variable: str) -> str:
        """A variable of the file, or a part of an answer, which is asked for again until it is there."""
        name, dot, path = variable.partition(".response.body.$.")
        if not dot:
            return self.variables[name]
        steps = [int(step) if step.isdigit() else step for step in re.findall(r"\w+", path)]

        def found() -> str | None:
            value = reduce(lambda part, step: part[step], steps, self.answers[name])
            if value is None:
                self.send(self.named[name])
            return None if value is None else str(value)

        return wait_until(found, what=variable)


def test_every_request_of_api_http_gets_its_status_in_order(up: Longcode) -> None:
    variables, requests = read_requests(API_HTTP.read_text("utf-8"))
    client = Client({**variables, "base": up.url})
    assert variables["secret"] == DEMO_SECRET
    called = set()
    for request in requests:
        status, body = client.send(request)
        assert status == request.status, f"{request.title}: {status} {body.decode()}"
        found = operation(request.method, client.target(request))
        if found is not None:
            called.add((found.method, found.path))
    assert {(row.method, row.path) for row in ROWS} <= called


def test_the_second_request_uses_the_id_of_the_first() -> None:
    _, (first, second, *_) = read_requests(API_HTTP.read_text("utf-8"))
    assert (first.method, first.name) == ("POST", "message")
    assert "{{message.response.body.$.id}}" in second.url


def test_the_signature_is_made_as_the_head_says(tmp_path: Path) -> None:
    head = API_HTTP.read_text("utf-8").split("###")[0]
    command = re.search(r"^# +(printf .*)$", head, flags=re.MULTILINE)
    assert command is not None
    printed = subprocess.run(["bash", "-c", command[1]], capture_output=True, encoding="utf-8", check=True).stdout
    body = '{"provider_reference": "…", "status": "DELIVERED"}'.encode()
    assert printed.split()[0] == hmac.new(DLR_SECRET.encode(), body, hashlib.sha256).hexdigest()
