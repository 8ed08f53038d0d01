"""The commands about carriers and routes, beside no running product."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Longcode, free_port, run_cli, wait_until

SMPP = ("host=127.0.0.1", "port=2775", "system_id=esme", "password=top=secret")
SEALED = "top=secret"


@dataclass(frozen=True, slots=True)
class Operator:
    """One who types commands on the folder of an embedded database."""

    data: Path

    def run(self, *args: str, status: int = 0) -> str:
        """Run a command; what it printed, standard output first."""
        done = run_cli(*args, "--data", str(self.data), status=status)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def lines(self, *args: str) -> list[dict[str, Any]]:
        """What a command gives with --json."""
        return [json.loads(line) for line in self.run(*args, "--json").splitlines()]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database answers to a query."""
        with closing(sqlite3.connect(f"file:{self.data}/longcode.db?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def write(self, statement: str, *values: object) -> None:
        """Put into the database what no command does."""
        with closing(sqlite3.connect(self.data / "longcode.db")) as connection, connection:
            connection.execute(statement, values)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    made = Operator(tmp_path_factory.mktemp("carriers") / "data")
    made.run("migrate")
    made.run("seed")
    made.run("carrier", "add", "north", "--driver", "smpp", *SMPP)
    return made


def test_a_password_is_stored_encrypted_and_never_shown(operator: Operator) -> None:
    printed = operator.run("carrier", "show", "north")
    assert "setting host       127.0.0.1\n" in printed
    assert "setting password   •••\n" in printed
    [shown] = operator.lines("carrier", "show", "north")
    assert shown["settings"] == {"host": "127.0.0.1", "port": "2775", "system_id": "esme", "password": "•••"}
    assert SEALED.encode() not in b"".join(path.read_bytes() for path in operator.data.iterdir())
    [(settings,)] = operator.rows("SELECT settings FROM carrier WHERE name = 'north'")
    assert json.loads(settings)["password"].startswith("sealed:")


def test_carriers_are_listed_with_what_waits_for_them(operator: Operator) -> None:
    found = {line["name"]: line for line in operator.lines("carrier", "list")}
    assert found["north"] == {
        "name": "north",
        "driver": "smpp",
        "state": "running",
        "waiting": 0,
        "last_error": None,
        "circuit": None,
    }
    assert operator.run("carrier", "list").splitlines()[0] == "name\tdriver\tstate\twaiting\tlast error\tleft alone for"


def test_pausing_is_seen_by_every_process_and_is_harmless_twice(operator: Operator) -> None:
    [before] = operator.rows("SELECT version FROM catalog_version")
    assert operator.run("carrier", "pause", "north") == "carrier north paused\n"
    assert operator.run("carrier", "pause", "north") == "carrier north was paused already\n"
    assert operator.rows("SELECT version FROM catalog_version") == [(before[0] + 1,)]
    assert [line["state"] for line in operator.lines("carrier", "show", "north")] == ["paused"]
    assert operator.run("carrier", "resume", "north") == "carrier north resumed\n"
    assert operator.run("carrier", "resume", "north") == "carrier north was running already\n"
    assert [line["state"] for line in operator.lines("carrier", "show", "north")] == ["running"]


def test_routes_are_listed_in_the_order_in_which_they_are_tried_and_removed_by_id(operator: Operator) -> None:
    for args in (("--prefix", "44"), ("--prefix", "4477", "--account", "demo"), ("--priority", "5")):
        operator.run("route", "add", "--carrier", "north", *args)
    routes = operator.lines("route", "list")
    assert [(route["prefix"], route["account"], route["priority"], route["carrier"]) for route in routes] == [
        ("4477", "demo", 0, "north"),
        ("44", None, 0, "north"),
        ("", None, 5, "north"),
        ("", None, -1000, "simulator"),
    ]
    assert operator.run("route", "list").splitlines()[3].split("\t")[1:6] == ["all", "all", "5", "north", "all"]
    [shown] = operator.lines("carrier", "show", "north")
    assert [route["prefix"] for route in shown["routes"]] == ["4477", "44", ""]
    for route in shown["routes"]:
        assert operator.run("route", "remove", str(route["id"])) == f"route {route['id']} removed\n"
    assert "no route leads to it" in operator.run("carrier", "show", "north")
    assert "no route 99" in operator.run("route", "remove", "99", status=1)


def test_binds_are_shown_as_their_process_reports_them_until_it_falls_silent(operator: Operator) -> None:
    assert "is `longcode link` running?" in operator.run("carrier", "show", "north")
    [(carrier_id,)] = operator.rows("SELECT id FROM carrier WHERE name = 'north'")
    bind = {"name": "transceiver 1", "state": "waiting", "submits": 3, "last_error": "the bind was refused"}
    bind["since"] = "2026-11-22T10:00:00.123456+00:00"
    # Fresh for as long as this test may take.
    for process, seconds in (("fresh", 60), ("silent", -60)):
        operator.write(
            "INSERT INTO carrier_status VALUES (?, ?, ?, ?)",
            carrier_id,
            process,
            json.dumps({"binds": [bind]}),
            int((time.time() + seconds) * 1e6),
        )
    since = "since=2026-11-22T10:00:00.123Z"
    printed = operator.run("carrier", "show", "north")
    assert (
        f"process fresh: reporting\n  transceiver 1  waiting  submits=3 last_error=the bind was refused {since}\n"
        in printed
    )
    assert "process silent: stale, last heard 20" in printed
    assert "\n  transceiver 1  was waiting  submits=3" in printed
    [shown] = operator.lines("carrier", "show", "north")
    assert [(link["process"], link["stale"]) for link in shown["links"]] == [("fresh", False), ("silent", True)]
    assert {link["binds"][0]["since"] for link in shown["links"]} == {"2026-11-22T10:00:00.123Z"}
    assert {line["name"]: line["last_error"] for line in operator.lines("carrier", "list")} == {
        "simulator": None,
        "north": "the bind was refused",
    }


def test_settings_are_changed_and_the_others_stay_with_their_seals(operator: Operator) -> None:
    operator.run("carrier", "add", "moving", "--driver", "smpp", *SMPP, "window=5")
    stored = "SELECT settings FROM carrier WHERE name = 'moving'"
    [(before,)] = operator.rows(stored)
    assert operator.run("carrier", "set", "moving", "port=2776", "--unset", "window") == "carrier moving changed\n"
    [(after,)] = operator.rows(stored)
    expected = json.loads(before) | {"port": "2776"}
    del expected["window"]
    assert json.loads(after) == expected
    assert operator.run("carrier", "set", "moving", "port=2776") == "carrier moving is set so already\n"

    operator.run("carrier", "set", "moving", "password=other=one")
    [(sealed,)] = operator.rows(stored)
    assert json.loads(sealed)["password"].startswith("sealed:")
    assert json.loads(sealed)["password"] != json.loads(before)["password"]
    refused = operator.run("carrier", "set", "moving", "port=0", "pass", "colour=red", "--unset", "mode", status=1)
    for fault in ("pass: expected key=value", "mode: is not set", "port: expected", "colour: there is no"):
        assert fault in refused
    assert operator.rows(stored) == [(sealed,)]


def test_a_carrier_is_removed_once_no_route_leads_to_it(operator: Operator) -> None:
    operator.run("carrier", "add", "going", "--driver", "simulator")
    operator.run("route", "add", "--carrier", "going", "--prefix", "99")
    [route] = [line["id"] for line in operator.lines("route", "list") if line["carrier"] == "going"]
    assert f"route {route} leads to it" in operator.run("carrier", "remove", "going", status=1)
    operator.run("route", "remove", str(route))
    assert operator.run("carrier", "remove", "going") == "carrier going removed\n"
    assert "going" not in operator.run("carrier", "list")


def test_what_a_link_logs_names_its_carrier(tmp_path: Path) -> None:
    port = free_port()
    with Longcode("up", "--data", str(tmp_path / "data"), folder=tmp_path, port=free_port()) as up:
        nobody = (*SMPP[:1], f"port={port}", *SMPP[2:])
        Operator(tmp_path / "data").run("carrier", "add", "north", "--driver", "smpp", *nobody)

        def refused() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in up.output().splitlines() if line.startswith("{")]
            return [line for line in lines if line["event"] == "not bound"]

        [line, *_] = wait_until(refused, what="a refused bind")
        assert (line["carrier"], line["bind"]) == ("north", "transceiver 1")


def test_a_carrier_is_tried_and_what_failed_is_said(operator: Operator) -> None:
    port = free_port()
    operator.run(
        "carrier", "add", "nobody", "--driver", "smpp", *SMPP[:1], f"port={port}", *SMPP[2:], "circuit_faults=3"
    )
    refused = operator.run("carrier", "test", "nobody", status=1)
    assert refused == f"✗ refused: nothing listens on 127.0.0.1:{port}, or a firewall turns us away\n"
    assert operator.run("carrier", "test", "simulator") == "✓ the simulator needs no connection\n"


TWILIO = ("account_sid=AC" + "0" * 32, "auth_token=top=secret")


def test_an_http_carrier_is_shown_with_the_addresses_for_its_callbacks(operator: Operator) -> None:
    operator.run("carrier", "add", "my twilio", "--driver", "twilio", *TWILIO)
    printed = operator.run("carrier", "show", "my twilio")
    assert re.search(r"status callbacks +/carriers/my%20twilio/status\n", printed)
    assert "LONGCODE_PUBLIC_URL" in printed
    assert re.search("setting auth_token +•••\n", printed)
    operator.run("carrier", "set", "my twilio", "callbacks=https://sms.example/")
    [shown] = operator.lines("carrier", "show", "my twilio")
    assert shown["callbacks"] == {
        "status": "https://sms.example/carriers/my%20twilio/status",
        "inbound": "https://sms.example/carriers/my%20twilio/inbound",
    }
    assert SEALED.encode() not in b"".join(path.read_bytes() for path in operator.data.iterdir())
    assert [line["callbacks"] for line in operator.lines("carrier", "show", "north")] == [{}]


def test_a_template_that_could_never_work_is_refused_when_it_is_made(operator: Operator) -> None:
    args = ("url=https://{{text}}.example/", "body={{colour}}", "reference=regex:(", "receipt_status=s", "speed=9")
    printed = operator.run("carrier", "add", "bad", "--driver", "http", *args, status=1)
    for key in (
        "url:",
        "body: there is no {{colour}}",
        "reference:",
        "receipt_delivered:",
        "callback_token:",
        "speed:",
    ):
        assert key in printed
    good = ("url=https://x.example/{{recipient}}/{{text}}", "method=GET", "reference=id")
    operator.run("carrier", "add", "good", "--driver", "http", *good)
    assert "neither it nor the body has {{text}}" in operator.run(
        "carrier", "set", "good", "url=https://x.example/{{recipient}}", status=1
    )


def test_an_http_carrier_is_tried(operator: Operator) -> None:
    port = free_port()
    operator.run(
        "carrier", "add", "away", "--driver", "twilio", *TWILIO, f"api=http://127.0.0.1:{port}", "failover_tries=2"
    )
    refused = operator.run("carrier", "test", "away", status=1)
    assert refused == f"✗ refused: nothing listens on 127.0.0.1:{port}, or a firewall turns us away\n"


@dataclass(frozen=True, slots=True)
class RefusalCase:
    what: str
    args: tuple[str, ...]
    says: tuple[str, ...]


REFUSALS = [
    RefusalCase(
        "settings with faults of every kind, together",
        ("add", "x", "--driver", "smpp", "port=99999", "pass", "port=1", "colour=red"),
        ("pass: expected key=value", "port: given twice", "port: expected", "colour: there is no", "password: missing"),
    ),
    RefusalCase("a name with a control character", ("add", "a\tb", "--driver", "simulator"), ("printable",)),
    RefusalCase("showing a carrier that there is not", ("show", "no"), ("there is no carrier no",)),
    RefusalCase("pausing one", ("pause", "no"), ("there is no carrier no",)),
    RefusalCase("changing one", ("set", "no", "port=1"), ("there is no carrier no",)),
    RefusalCase("changing nothing", ("set", "north"), ("nothing to change",)),
    RefusalCase("removing one", ("remove", "no"), ("there is no carrier no",)),
    RefusalCase("trying one", ("test", "no"), ("there is no carrier no",)),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.what)
def test_a_refused_command_says_what_is_wrong(operator: Operator, case: RefusalCase) -> None:
    printed = operator.run("carrier", *case.args, status=1)
    for sentence in case.says:
        assert sentence in printed
