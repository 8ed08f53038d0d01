"""`longcode up` as a process: how it starts, whom it lets in, what it refuses and how it ends."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.calls import Reply
from tests.cli.http import Http
from tests.processes import Longcode, free_port, run_cli, wait_until

SECRET = "demo secret"
SHOWN_SECRET = re.compile(r"Account demo, secret (\S+) \(shown this once\)")
# The demo account's.
NUMBER = "12025550101"


def up(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> Longcode:
    """A `longcode up` on folder/data, not started: the executable."""
    data = ("--data", str(folder / "data"))
    return Longcode("up", *data, *args, folder=folder, port=free_port(), env=env, executable=True)


def http_of(process: Longcode) -> Http:
    assert process.port is not None
    return Http(process.port)


@dataclass(frozen=True, slots=True)
class Running:
    """The `longcode up` that most tests share."""

    folder: Path
    process: Longcode = field(repr=False)

    @property
    def nobody(self) -> Http:
        return http_of(self.process)

    @property
    def demo(self) -> Http:
        return self.nobody.basic("demo", SECRET)

    def rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """What the database answers to a query."""
        with closing(sqlite3.connect(f"file:{self.folder}/data/longcode.db?mode=ro", uri=True)) as connection:
            return connection.execute(query, parameters).fetchall()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("up")
    with up(folder, env={"LONGCODE_DEMO_SECRET": SECRET}) as process:
        yield Running(folder, process)


def test_the_first_start_shows_the_demo_secret_and_a_later_one_does_not(tmp_path: Path) -> None:
    with up(tmp_path) as process:
        [secret] = SHOWN_SECRET.findall(process.output())
        assert f"Longcode listens on {process.url}\n" in process.output()
        assert http_of(process).basic("demo", secret).outbound(NUMBER, "447700900123").status == 200
    process.launch()
    process.wait_ready()
    assert len(SHOWN_SECRET.findall(process.output())) == 1
    assert http_of(process).basic("demo", secret).outbound(NUMBER, "447700900123").status == 200
    assert process.terminate() == 0


def test_the_operator_may_choose_the_demo_secret(running: Running) -> None:
    assert running.demo.outbound(NUMBER, "447700900123").status == 200
    assert running.nobody.basic("demo", "another").outbound(NUMBER, "447700900123").status == 403


def test_a_second_up_on_the_same_folder_is_refused_while_commands_work(running: Running) -> None:
    refused = run_cli("up", "--port", str(free_port()), "--data", str(running.folder / "data"), status=1)
    assert refused.stderr == f"Error: another `longcode up` runs on {running.folder / 'data'}\n"
    made = run_cli("apikey", "create", "--account", "demo", "--data", str(running.folder / "data"), executable=True)
    assert running.nobody.bearer(made.stdout.strip()).call("GET", "/api/numbers/").status == 200


@dataclass(frozen=True, slots=True)
class AnonymousCase:
    """A call by nobody in particular. headers: {url} stands for our own address; status: of the answer."""

    what: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


ANONYMOUS = [
    AnonymousCase("plain", 200),
    AnonymousCase("our own origin", 200, {"Origin": "{url}"}),
    AnonymousCase("a foreign origin", 403, {"Origin": "https://elsewhere.example"}),
    AnonymousCase("no origin to speak of", 403, {"Origin": "null"}),
    AnonymousCase("through a proxy", 401, {"X-Forwarded-For": "203.0.113.7"}),
    AnonymousCase("through a proxy that says so in the standard's way", 401, {"Forwarded": "for=203.0.113.7"}),
    AnonymousCase("under a name that is not this machine's", 401, {"Host": "longcode.example"}),
    AnonymousCase("with wrong credentials", 401, {"Authorization": "Basic ZGVtbzp3cm9uZw=="}),
]


@pytest.mark.parametrize("case", ANONYMOUS, ids=lambda case: case.what)
def test_nobody_acts_as_demo_on_this_machine_only(case: AnonymousCase, running: Running) -> None:
    headers = {name: value.format(url=running.process.url) for name, value in case.headers.items()}
    reply = running.nobody.call("GET", "/api/numbers/", headers=headers)
    assert reply.status == case.status
    if case.status == 401:
        assert "basic" in reply.headers["www-authenticate"].lower()


def test_nobody_acts_as_demo_where_others_can_connect(tmp_path: Path) -> None:
    with up(tmp_path, "--host", "0.0.0.0", env={"LONGCODE_DEMO_SECRET": SECRET}) as process:
        assert http_of(process).call("GET", "/api/numbers/").status == 401
        assert http_of(process).basic("demo", SECRET).call("GET", "/api/numbers/").status == 200


@dataclass(frozen=True, slots=True)
class FaultCase:
    """A start that fails. says: each is on standard error; {data} stands for the folder."""

    what: str
    args: tuple[str, ...]
    says: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


FAULTS = [
    FaultCase(
        "settings, all of them together",
        ("up",),
        (
            "LONGCODE_FOO: there is no such",
            "LONGCODE_SENDER_LIMIT: ",
            "LONGCODE_LOG_LEVEL: ",
            "LONGCODE_REDIS_URL: ",
            "LONGCODE_BROKER_URL: ",
        ),
        {
            "LONGCODE_FOO": "1",
            "LONGCODE_BROKER_URL": "amqp://127.0.0.1",
            "LONGCODE_SENDER_LIMIT": "0",
            "LONGCODE_LOG_LEVEL": "loud",
            "LONGCODE_REDIS_URL": "http://127.0.0.1",
        },
    ),
    FaultCase("a file in the folder's place", ("up",), ("the folder {data} cannot be used",), files={"data": b""}),
    FaultCase("a folder that cannot be made", ("up",), ("the folder /proc/no ",), {"LONGCODE_DATA": "/proc/no"}),
    FaultCase(
        "a damaged database", ("up", "--port", "0"), ("not a database",), files={"data/longcode.db": b"\xff" * 8192}
    ),
    FaultCase("a server that would share a file", ("serve",), ("need PostgreSQL",)),
    FaultCase("a worker that would share a file", ("worker",), ("need PostgreSQL",)),
    FaultCase(
        "a worker without a broker",
        ("worker",),
        ("LONGCODE_BROKER_URL: worker and beat need Redis or Valkey",),
        {"LONGCODE_DATABASE_URL": "postgresql://127.0.0.1:1/longcode"},
    ),
    FaultCase(
        "a server on a file that it is told to use",
        ("serve",),
        ("need PostgreSQL",),
        {"LONGCODE_DATABASE_URL": "sqlite:////tmp/longcode.db"},
    ),
    FaultCase("a command before there is a database", ("account", "create", "x"), ("run `longcode up`",)),
]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.what)
def test_what_cannot_start_says_why_in_a_sentence(case: FaultCase, tmp_path: Path) -> None:
    for name, content in case.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    done = run_cli(*case.args, env={"LONGCODE_DATA": str(tmp_path / "data"), **case.env}, status=1)
    for sentence in case.says:
        assert sentence.format(data=tmp_path / "data") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_cli("up", "--port", str(port), "--data", str(tmp_path), status=None)
    assert done.returncode not in (0, -15)
    assert "Address already in use" in done.stderr
    assert "Longcode listens" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not SHOWN_SECRET.search(done.stderr)
    assert not (tmp_path / "longcode.db").exists()


def test_the_files_of_messages_are_their_owners_alone(tmp_path: Path) -> None:
    run_cli("migrate", env={"LONGCODE_DATA": str(tmp_path / "data")}, folder=tmp_path)
    assert stat.S_IMODE((tmp_path / "data" / "longcode.db").stat().st_mode) == 0o600


def test_a_head_that_goes_on_for_ever_is_refused(running: Running) -> None:
    port = running.nobody.port
    with socket.create_connection(("127.0.0.1", port), timeout=10.0) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ")
        sender = threading.Thread(target=_pour, args=(client, 1024 * 1024))
        sender.start()
        answer = client.recv(4096)
        sender.join()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert running.nobody.call("GET", "/healthz").status == 200


def _pour(client: socket.socket, octets: int) -> None:
    try:
        client.sendall(b"x" * octets)
    except OSError:
        return  # it was told before it had said everything


@dataclass(frozen=True, slots=True)
class EndingCase:
    """What becomes of a message to a recipient whose number ends so."""

    digits: str
    end: str
    error: str | None = None
    has_reference: bool = True


ENDINGS = [
    EndingCase("0001", "FAILED", "invalid_destination", has_reference=False),
    EndingCase("0002", "FAILED", "absent_subscriber"),
    EndingCase("0003", "SENT"),
    EndingCase("0004", "DELIVERED"),
    EndingCase("0005", "DELIVERED"),
    EndingCase("0006", "DELIVERED"),
    EndingCase("0007", "DELIVERED"),
    EndingCase("0008", "DELIVERED"),
    EndingCase("0123", "DELIVERED"),  # and every other number; the list is in the order of the digits
]


def test_every_ending_of_the_simulator_comes_about(running: Running) -> None:
    # All at once: two of them take seconds.
    created = {case.digits: running.nobody.create(case.digits, f"+44770090{case.digits}") for case in ENDINGS}
    assert {reply.status for reply in created.values()} == {201}

    def record(case: EndingCase) -> Reply:
        return running.nobody.call("GET", created[case.digits].headers["location"])

    def ended(case: EndingCase) -> bool:
        return bool(record(case).json["status"] == case.end)

    for case in ENDINGS:
        wait_until(partial(ended, case), 20.0, what=f"{case.end} of {case.digits}")
    references = {case.digits: record(case).json["provider_reference"] for case in ENDINGS}
    assert {digits for digits, reference in references.items() if reference is None} == {
        case.digits for case in ENDINGS if not case.has_reference
    }
    taken = [reference for reference in references.values() if reference is not None]
    assert len(set(taken)) == len(taken)
    errors = running.rows("SELECT client_reference, error FROM message WHERE sender = 'MyCorp' ORDER BY 1")
    assert [error for error in errors if error[0] in created] == [(case.digits, case.error) for case in ENDINGS]


def test_what_the_other_dialects_send_is_delivered_too(running: Running) -> None:
    assert running.demo.outbound(NUMBER, "447700900124", "by outbound").status == 200
    told = {
        "senderPhone": "+1 202 555 0102",
        "receiverPhone": "+447700900125",
        "messageText": "by conversation",
        "timestamp": 1_700_000_000,
        "uuid": "11111111-1111-4111-8111-111111111111",
    }
    assert running.nobody.post("/api/send-sms", told).json == {"message": "SMS sent successfully"}
    query = "SELECT text, status FROM message WHERE text IN ('by outbound', 'by conversation') ORDER BY text"
    delivered = [("by conversation", "delivered"), ("by outbound", "delivered")]
    wait_until(lambda: running.rows(query) == delivered, what="the delivery of both")


def test_a_stop_signal_lets_calls_in_flight_end_and_the_exit_status_is_0(tmp_path: Path) -> None:
    with up(tmp_path, env={"LONGCODE_DEMO_SECRET": SECRET}) as process:
        body = json.dumps({"sender_id": "MyCorp", "recipient": "+447700900126", "text": "in flight"}).encode()
        head = (
            "POST /api/messages/ HTTP/1.1\r\nHost: 127.0.0.1\r\nIdempotency-Key: send_msg:1\r\nContent-Length: {}\r\n"
        )
        with socket.create_connection(("127.0.0.1", process.port or 0), timeout=10.0) as client:
            client.sendall(head.format(len(body)).encode() + b"Expect: 100-continue\r\n\r\n")
            # It has the call in hand: it asks for the body.
            assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
            ended = threading.Thread(target=process.terminate)
            ended.start()
            wait_until(lambda: not _connects(process.port or 0), what="the end of listening")
            client.sendall(body)
            answer = client.recv(4096)
            ended.join()
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert process.exit_status == 0
    with closing(sqlite3.connect(tmp_path / "data" / "longcode.db")) as connection:
        assert connection.execute("SELECT count(*) FROM message WHERE text = 'in flight'").fetchone() == (1,)


def _connects(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
