"""The commands that look at messages, beside a running `longcode up`."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.cli.http import Http
from tests.processes import Longcode, free_port, run_cli, wait_until

KEYS = {"id", "status", "sender", "recipient", "direction", "reference", "error", "attempts"}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# By the simulator's rules.
REJECTED, UNDELIVERABLE, SILENT, LOST_ANSWER = "+447700900001", "+447700900002", "+447700900003", "+447700900006"
DELIVERED = "+447700900123"
DLR_SECRET = "dlr secret"


@dataclass(frozen=True, slots=True)
class Operator:
    """One who looks while the product runs."""

    data: Path
    demo: Http

    def run(self, *args: str, status: int = 0) -> str:
        """Run a command; what it printed, standard output first."""
        done = run_cli(*args, "--data", str(self.data), status=status)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def lines(self, *args: str) -> list[dict[str, Any]]:
        """What a command gives with --json."""
        return [json.loads(line) for line in self.run(*args, "--json").splitlines()]

    def send(self, recipient: str, status: str = "QUEUED") -> str:
        """A message of account demo, once the dialect says that it stands so; its id."""
        answer = self.demo.create(uuid4().hex, recipient)
        assert answer.status == 201
        path = f"/api/messages/{answer.json['id']}/"
        wait_until(lambda: self.demo.call("GET", path).json["status"] == status, what=f"{recipient} {status}")
        return str(answer.json["id"])


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("messages")
    env = {"LONGCODE_DEMO_SECRET": "demo secret", "LONGCODE_DLR_SECRET": DLR_SECRET}
    with Longcode("up", "--data", str(folder / "data"), folder=folder, port=free_port(), env=env) as up:
        assert up.port is not None
        yield Operator(folder / "data", Http(up.port).basic("demo", "demo secret"))


def test_a_delivered_message_tells_how_it_got_there(operator: Operator) -> None:
    message_id = operator.send(DELIVERED, "DELIVERED")
    [shown] = operator.lines("message", "show", message_id)
    assert shown.keys() >= KEYS | {"carrier", "created_at", "segments", "timeline"}
    assert (shown["status"], shown["error"], shown["attempts"], shown["segments"]) == ("delivered", None, 1, 1)
    assert (shown["sender"], shown["recipient"], shown["direction"]) == ("MyCorp", DELIVERED, "outbound")
    assert shown["carrier"] == "simulator"
    assert shown["reference"].startswith("sim-")
    timeline = shown["timeline"]
    assert [line["event"] for line in timeline] == [
        "accepted",
        "queued",
        "claimed",
        "handed_over",
        "answered",
        "receipt",
        "ended",
        "state",
    ]
    assert all(line.keys() == {"at", "event", "detail"} and INSTANT.fullmatch(line["at"]) for line in timeline)

    printed = operator.run("message", "show", message_id)
    for line in timeline[:-1]:
        assert f"{line['at']}  {line['event']:<11}  {line['detail']}\n" in printed
    assert printed.endswith("\n\nnow delivered: nothing follows\n")
    assert operator.lines("message", "show", UUID(message_id).hex)[0]["id"] == message_id


@dataclass(frozen=True, slots=True)
class EndCase:
    what: str
    recipient: str
    waits_for: str
    status: str
    error: str | None
    says: str


@pytest.mark.parametrize(
    "case",
    [
        EndCase("rejected", REJECTED, "FAILED", "failed", "invalid_destination", "does not know or serve"),
        EndCase("undelivered", UNDELIVERABLE, "FAILED", "undelivered", "absent_subscriber", "switched off"),
        EndCase("without a receipt", SILENT, "SENT", "sent", None, "waits for a receipt"),
        EndCase("proven by its receipt", LOST_ANSWER, "DELIVERED", "delivered", None, "may have been sent"),
    ],
    ids=lambda case: case.what,
)
def test_a_message_says_why_it_stands_where_it_stands(operator: Operator, case: EndCase) -> None:
    [shown] = operator.lines("message", "show", operator.send(case.recipient, case.waits_for))
    assert (shown["status"], shown["error"]) == (case.status, case.error)
    assert any(case.says in line["detail"] for line in shown["timeline"])


def test_a_list_is_newest_first_filtered_and_bounded(operator: Operator) -> None:
    operator.run("account", "create", "lists", "--secret", "s")
    operator.run("sender", "add", "MyCorp", "--account", "lists")
    lists = Operator(operator.data, Http(operator.demo.port).basic("lists", "s"))
    sent = [lists.send(REJECTED, "FAILED"), lists.send(SILENT, "SENT"), lists.send(SILENT, "SENT")]

    listed = operator.lines("message", "list", "--account", "lists")
    assert [line["id"] for line in listed] == sent[::-1]
    assert all(line.keys() >= KEYS and isinstance(line["attempts"], int) for line in listed)
    assert [line["error"] for line in listed] == [None, None, "invalid_destination"]

    def found(*args: str) -> list[str]:
        return [line["id"] for line in operator.lines("message", "list", "--account", "lists", *args)]

    assert found("--limit", "2") == sent[:0:-1]
    assert found("--limit", "0") == sent[::-1]
    assert found("--status", "failed") == sent[:1]
    assert found("--direction", "inbound") == []
    head, *rows = operator.run("message", "list", "--account", "lists").splitlines()
    assert head.split("\t")[0] == "id"
    assert [row.split("\t")[0] for row in rows] == sent[::-1]


def test_a_message_that_waits_can_be_canceled_and_one_that_was_sent_cannot(operator: Operator) -> None:
    # One that nobody answers, and that is paused only then: paused ones are passed over.
    settings = ("host=127.0.0.1", f"port={free_port()}", "system_id=esme", "password=secret")
    operator.run("carrier", "add", "idle", "--driver", "smpp", *settings)
    operator.run("route", "add", "--carrier", "idle", "--prefix", "4477009007")
    waiting = operator.send("+447700900701")
    operator.run("carrier", "pause", "idle")
    [shown] = operator.lines("message", "show", waiting)
    assert (shown["carrier"], shown["attempts"]) == ("idle", 0)
    assert "carrier idle is paused" in shown["timeline"][-1]["detail"]
    assert {line["name"]: line["waiting"] for line in operator.lines("carrier", "list")} == {"simulator": 0, "idle": 1}

    assert operator.run("message", "cancel", waiting) == f"message {waiting} canceled\n"
    [canceled] = operator.lines("message", "show", waiting)
    assert (canceled["status"], canceled["timeline"][-1]["detail"]) == ("canceled", "canceled: nothing follows")
    assert "it is at its end" in operator.run("message", "cancel", waiting, status=1)
    sent = operator.send(SILENT, "SENT")
    assert "a carrier may have it" in operator.run("message", "cancel", sent, status=1)


def test_a_receipt_that_fits_nothing_is_shown_as_unmatched(operator: Operator) -> None:
    body = {"provider_reference": "nobody's", "status": "DELIVERED"}
    signature = hmac.new(DLR_SECRET.encode(), json.dumps(body).encode(), hashlib.sha256).hexdigest()
    answer = operator.demo.post("/api/webhooks/dlr/", body, headers={"X-Provider-Signature": signature})
    assert answer.status == 404
    assert [line["reference"] for line in operator.lines("receipt", "list", "--unmatched")] == ["nobody's"]
    operator.send(DELIVERED, "DELIVERED")
    references = [line["reference"] for line in operator.lines("receipt", "list")]
    assert "nobody's" in references
    assert len(references) > 1


def test_nothing_is_listed_where_nobody_was_written_to(operator: Operator) -> None:
    assert operator.lines("inbound", "list", "--unowned") == []
    assert "--direction inbound" in operator.run("inbound", "list", status=1)


@pytest.mark.parametrize("message_id", ["no-id", str(UUID(int=1))])
@pytest.mark.parametrize("command", ["show", "cancel"])
def test_a_message_that_there_is_not_is_said_to_be_none(operator: Operator, command: str, message_id: str) -> None:
    assert operator.run("message", command, message_id, status=1) == f"Error: there is no message {message_id}\n"


def test_what_others_typed_does_not_steer_the_terminal(operator: Operator) -> None:
    answer = operator.demo.post(
        "/api/receive-sms",
        {
            "senderPhone": "\x1b[2J\t1",
            "receiverPhone": "12025550101",
            "messageText": "x",
            "timestamp": 1,
            "uuid": "\x1b]0;x",
        },
    )
    assert answer.status == 200
    [row] = operator.run("message", "list", "--account", "demo", "--direction", "inbound").splitlines()[1:]
    assert row.split("\t")[3] == "\ufffd[2J\ufffd1"
    assert "\x1b" not in operator.run("message", "show", row.split("\t")[0])
