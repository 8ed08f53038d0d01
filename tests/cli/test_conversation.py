"""`longcode conversation`: both sides, for programs, for pipes and as a chat."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from rich.console import Console

from longcode.bootstrap import Product
from longcode.cli.conversation import Said, draw
from longcode.domain.account import Account
from longcode.domain.message import Direction, Status
from longcode.flow.inbound import Received
from tests.cli.commands import Desk, desk_in
from tests.store.test_timeline import new

DEMO = ("--account", "demo")
OURS, ANNA = "12025550190", "+12025550101"


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path) -> Desk:
    made = desk_in(tmp_path, sqlite_template)
    made.run("number", "add", "+1 202 555 0190", *DEMO)
    made.run("send", *DEMO, "--from", OURS, ANNA, "How are you?")
    made.in_product(receive)
    return made


async def receive(product: Product) -> None:
    account: Account = await product.accounts.by_name("demo")
    await product.inbound.take(
        Received(account=account, sender=ANNA, recipient=f"+{OURS}", text="Well.\nAnd you?", must_own=False)
    )


@pytest.mark.parametrize("number", [OURS, "+1 202 555 0190", ANNA, "12025550101"])
def test_both_sides_are_shown_however_the_number_is_written(desk: Desk, number: str) -> None:
    lines = desk.lines("conversation", number)
    assert [(line["direction"], line["text"]) for line in lines] == [
        ("outbound", "How are you?"),
        ("inbound", "Well.\nAnd you?"),
    ]


def test_a_pipe_gets_a_line_a_message_and_a_limit_takes_the_last(desk: Desk) -> None:
    heading, row = desk.run("conversation", ANNA, "--limit", "1").splitlines()
    assert heading == "at\tfrom\tto\tstatus\ttext"
    assert row.split("\t")[1:] == [ANNA, f"+{OURS}", "received", "Well.\ufffdAnd you?"]


def test_whose_conversation_must_be_said_where_several_have_one(desk: Desk) -> None:
    desk.run("sender", "add", "MyCorp", "--account", "other")
    desk.run("send", "--account", "other", ANNA, "Hello")
    assert "choose with --account: demo, other" in desk.run("conversation", ANNA, status=1)
    assert [line["text"] for line in desk.lines("conversation", ANNA, "--account", "other")] == ["Hello"]
    assert "other has no conversation of" in desk.run("conversation", OURS, "--account", "other", status=1)
    assert "there is no conversation of 99" in desk.run("conversation", "99", status=1)


def said(number: int, direction: Direction, text: str, status: Status, day: int = 22, **changes: str) -> Said:
    message = new(number, direction=direction, text=text, status=status, id=UUID(int=number), **changes).message
    return Said(datetime(2026, 11, day, 10, number, tzinfo=UTC), message)


def test_a_chat_has_theirs_on_the_left_and_ours_on_the_right() -> None:
    paper = io.StringIO()
    draw(
        [
            said(1, Direction.INBOUND, "Hello\x1b[2J", Status.RECEIVED),
            said(2, Direction.OUTBOUND, "a\nb", Status.FAILED, day=23, error="expired"),
        ],
        Console(file=paper, width=60, color_system=None),
    )
    lines = paper.getvalue().splitlines()
    assert [line.strip("─ ") for line in lines if line.startswith("─")] == ["2026-11-22", "2026-11-23"]
    assert any(line.startswith("│ Hello\ufffd[2J") for line in lines)
    assert any(line.rstrip().endswith("│ b                    │") for line in lines)
    assert any("10:02 failed expired │" in line for line in lines)
    assert "\x1b" not in paper.getvalue()
