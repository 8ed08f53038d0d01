"""`longcode send`: one message, or one for each line of a file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Desk, desk_in

DEMO = ("--account", "demo")
SEND = ("send", *DEMO, "--from", "MyCorp")
OURS, ALSO_OURS = "12025550190", "12025550191"
ANNA, BERT = "+12025550101", "+12025550102"


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path) -> Desk:
    made = desk_in(tmp_path, sqlite_template)
    made.run("sender", "add", "MyCorp", *DEMO)
    return made


def texts(desk: Desk) -> list[tuple[str, str, str]]:
    """Sender, recipient and text of every message, as they came."""
    return [(one["sender"], one["recipient"], one["text"]) for one in desk.lines("messages", "--limit", "1000")]


def test_a_message_is_stored_and_told_with_its_id_and_status(desk: Desk) -> None:
    told = desk.run("send", *DEMO, "+1 (202) 555-0101", "Hello").split()
    [stored] = desk.lines("message", "list", *DEMO)
    assert told == ["message", stored["id"], "accepted"]
    assert texts(desk) == [("MyCorp", ANNA, "Hello")]


def test_a_key_sends_once_and_holds_to_its_message(desk: Desk) -> None:
    first, again = (desk.lines(*SEND, "--key", "order 1", ANNA, "Hello") for _ in range(2))
    assert (first[0]["replayed"], again[0]["replayed"]) == (False, True)
    assert first[0]["id"] == again[0]["id"]
    assert "another body" in desk.run(*SEND, "--key", "order 1", ANNA, "Goodbye", status=1)
    [shown] = desk.lines("message", "show", first[0]["id"])
    assert shown["timeline"][0]["detail"] == "accepted from account demo by longcode send with key order 1"


def test_without_from_the_only_sender_is_taken(desk: Desk) -> None:
    assert "has no number and no sender ID" in desk.run("send", "--account", "other", ANNA, "Hello", status=1)
    desk.run("number", "add", OURS, *DEMO)
    told = desk.run("send", *DEMO, ANNA, "Hello", status=1)
    assert told == f"Error: demo may send from {OURS}, MyCorp: choose one with --from\n"


def test_a_pool_gives_the_sender(desk: Desk) -> None:
    desk.run("number", "add", OURS, *DEMO)
    desk.run("pool", "create", "main", *DEMO)
    desk.run("pool", "add", "main", OURS, *DEMO)
    desk.run("send", *DEMO, "--pool", "main", ANNA, "Hello")
    assert texts(desk) == [(OURS, ANNA, "Hello")]


def test_steps_are_told_to_a_url_that_is_named(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"to\n{ANNA}\n{BERT}\n")
    url = ("--webhook", "https://hooks.example/")
    assert "2 accepted" in desk.run(*SEND, *url, "--file", str(tmp_path / "x.csv"), "Hello")
    private = desk.run(*SEND, "--webhook", "https://127.0.0.1/", ANNA, "Hello", status=1)
    assert "127.0.0.1 is a private address" in private
    [made] = desk.lines("webhook", "list", *DEMO)
    [shown] = desk.lines("webhook", "show", str(made["id"]))
    assert (shown["url"], shown["per_message"]) == ("https://hooks.example/", True)
    assert len(texts(desk)) == 2


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call, and everything that is said to be wrong with it."""

    what: str
    args: tuple[str, ...]
    says: tuple[str, ...]

    def __str__(self) -> str:
        return self.what


@pytest.mark.parametrize(
    "case",
    [
        Refusal("a text is missing", (ANNA,), ("say TO and TEXT",)),
        Refusal("a text of several words", (ANNA, "a", "b"), ("as one word in quotes",)),
        Refusal(
            "a sender and a pool", ("--pool", "p", "--campaign", "b", ANNA, "a"), ("or a pool", "--campaign is for")
        ),
        Refusal("no recipient and no text", ("abc", ""), ("'abc' is no recipient", "1 to 1600 characters")),
        Refusal("no URL of a webhook", ("--webhook", "ftp://x.example/", ANNA), ("say TO and TEXT", "https://")),
        Refusal("no time", ("--at", "soon", ANNA, "a"), ("'soon' is no time",)),
        Refusal("another's sender", ("--from", "Bank", ANNA, "a"), ("Bank is no number and no sender ID",)),
    ],
    ids=str,
)
def test_what_cannot_be_sent_is_refused_with_every_fault(desk: Desk, case: Refusal) -> None:
    told = desk.run(*SEND, *case.args, status=1)
    assert all(words in told for words in case.says)
    assert texts(desk) == []


def test_waiting_says_by_its_exit_status_whether_it_was_delivered(desk: Desk) -> None:
    for number in (OURS, ALSO_OURS):
        desk.run("number", "add", number, *DEMO)
    assert desk.run("send", *DEMO, "--from", OURS, "--wait", ALSO_OURS, "Hello").endswith(" delivered\n")
    told = desk.run(*SEND, "--wait", "--timeout", "0", "--at", "2099-01-01", ANNA, "Hello", status=1).splitlines()
    assert [line.split(maxsplit=2)[2] for line in told] == ["scheduled", "scheduled still"]


def test_what_is_scheduled_says_when_it_is_due_and_until_when_it_is_good(desk: Desk) -> None:
    [sent] = desk.lines(*SEND, "--at", "2099-01-01", "--priority", "2", ANNA, "Hello")
    [shown] = desk.lines("message", "show", sent["id"])
    [listed] = desk.lines("message", "list", *DEMO)
    due = {"send_at": "2099-01-01T00:00:00.000Z", "expires_at": "2099-01-02T00:00:00.000Z", "priority": 2}
    assert [one.items() >= due.items() for one in (sent, shown, listed)] == [True] * 3
    told = desk.run("message", "show", sent["id"])
    assert all(re.search(f"^  {name.replace('_', ' ')} +{value}$", told, re.MULTILINE) for name, value in due.items())


FILE = f"""to,text,from,key
+1 202 555 0101,Hello,,
abc,Hello,,
{BERT},,,
{BERT},,,
{BERT},"two
lines",Bank,
{BERT},a,b,c,d
{BERT},Hello,,chosen
"""


def send_file(desk: Desk, file: Path, *args: str, status: int = 1) -> list[dict[str, Any]]:
    told = desk.run(*SEND, "--file", str(file), "--json", "Default", *args, status=status)
    return [json.loads(line) for line in told.splitlines()]


def test_each_line_of_a_file_is_sent_once_and_the_faulty_ones_are_told_by_number(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text(FILE)
    first, again = send_file(desk, file), send_file(desk, file)
    assert [(line["line"], line.get("error"), line.get("replayed")) for line in first] == [
        (2, None, False),
        (3, "invalid", None),
        (4, None, False),
        (5, None, False),
        (7, "not_owned", None),
        (8, "invalid", None),
        (9, None, False),
    ]
    assert [line.get("replayed") for line in again] == [True, None, True, True, None, None, True]
    assert [line.get("id") for line in again] == [line.get("id") for line in first]
    assert sorted(texts(desk)) == sorted(
        [
            ("MyCorp", ANNA, "Hello"),
            ("MyCorp", BERT, "Default"),
            ("MyCorp", BERT, "Default"),
            ("MyCorp", BERT, "Hello"),
        ]
    )


def test_a_file_whose_lines_were_mended_sends_only_those(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text(f"to,text\nabc,one\n{ANNA},two\n")
    assert "line 2: 'abc' is no recipient" in (told := desk.run(*SEND, "--file", str(file), status=1))
    assert told.startswith("messages: 1 accepted, 0 sent before, 1 not sent\n")
    file.write_text(f"to,text\n{BERT},one\n{ANNA},two\n")
    assert desk.run(*SEND, "--file", str(file)) == "messages: 1 accepted, 1 sent before, 0 not sent\n"
    told = desk.run(*SEND, "--file", str(file), "--campaign", "once more")
    assert told == "messages: 2 accepted, 0 sent before, 0 not sent\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("number,txt\n", ("unknown column 'number'", "unknown column 'txt'", "no column `to`")),
        ('to\n"', ("not CSV",)),
        ("", ("no column `to`",)),
        ("to,text,to\n12025550190,hi,12025550191\n", ("the column 'to' twice",)),
    ],
)
def test_a_file_that_is_none_is_refused(desk: Desk, tmp_path: Path, content: str, says: tuple[str, ...]) -> None:
    (tmp_path / "x.csv").write_text(content)
    told = desk.run(*SEND, "--file", str(tmp_path / "x.csv"), status=1)
    assert all(words in told for words in says)


def test_a_stream_needs_a_name_for_its_keys(desk: Desk) -> None:
    assert "say --campaign" in desk.run(*SEND, "--file", "-", "Hello", status=1, stdin=f"to\n{ANNA}\n")
    told = desk.run(*SEND, "--file", "-", "--campaign", "b", "Hello", stdin=f"\ufeffto\n{ANNA}\n")
    assert told.startswith("messages: 1 accepted")


def test_waiting_for_a_file_tells_how_its_messages_ended(desk: Desk, tmp_path: Path) -> None:
    desk.run("number", "add", OURS, *DEMO)
    file = tmp_path / "numbers.csv"
    file.write_text(f"to\n{OURS}\n{ANNA}\n")
    told = desk.run(*SEND, "--file", str(file), "--wait", "--timeout", "0", "Hello", status=1)
    assert told.splitlines()[1] == "now: 1 accepted, 1 delivered"
