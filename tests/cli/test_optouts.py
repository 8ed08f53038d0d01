"""`longcode optout`: what it keeps, shows, writes and reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import Desk, desk_in

DEMO = ("--account", "demo")
ANNA, BERT = "12025550101", "12025550102"
OURS = "12025550190"


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path) -> Desk:
    made = desk_in(tmp_path, sqlite_template)
    made.run("number", "add", "+1 202 555 0190", *DEMO)
    return made


def test_opt_outs_of_both_scopes_are_added_listed_and_removed(desk: Desk) -> None:
    assert desk.run("optout", "add", "+1 202-555-0101", *DEMO) == "+1 202-555-0101 opted out of demo\n"
    assert "already" in desk.run("optout", "add", ANNA, *DEMO)
    assert desk.run("optout", "add", BERT, *DEMO, "--sender", OURS) == f"{BERT} opted out of {OURS} of demo\n"
    listed = [
        (one["recipient"], one["scope"], one["sender"], one["source"]) for one in desk.lines("optout", "list", *DEMO)
    ]
    assert listed == [(ANNA, "account", None, "operator"), (BERT, "number", OURS, "operator")]
    assert f"{BERT}\tnumber\t{OURS}\toperator\t" in desk.run("optout", "list", *DEMO)
    assert "has not opted out of 12025550190 of demo" in desk.run(
        "optout", "remove", ANNA, *DEMO, "--sender", OURS, status=1
    )
    assert "again" in desk.run("optout", "remove", ANNA, *DEMO)
    assert "again" in desk.run("optout", "remove", BERT, *DEMO)
    assert desk.lines("optout", "list", *DEMO) == []


def test_a_sender_that_is_not_the_accounts_is_refused(desk: Desk) -> None:
    desk.run("sender", "add", "MyCorp", *DEMO)
    desk.run("optout", "add", ANNA, *DEMO, "--sender", "MyCorp")
    for sender in (BERT, "mycorp"):
        told = desk.run("optout", "add", ANNA, *DEMO, "--sender", sender, status=1)
        assert "is neither a number nor a sender ID of demo" in told


def test_the_history_tells_who_of_whom_when_and_by_what(desk: Desk) -> None:
    desk.run("optout", "add", ANNA, *DEMO)
    desk.run("optout", "add", ANNA, "--account", "other")
    desk.run("optout", "remove", ANNA, *DEMO)
    told = desk.lines("optout", "history", "+1 202 555 0101")
    assert [(one["account"], one["change"]) for one in told] == [
        ("demo", "created"),
        ("other", "created"),
        ("demo", "removed"),
    ]
    assert {key: told[0][key] for key in told[0] if key != "at"} == {
        "account": "demo",
        "change": "created",
        "scope": "account",
        "sender": None,
        "recipient": ANNA,
        "source": "operator",
        "keyword": None,
        "message_id": None,
    }
    assert len(desk.lines("optout", "history", ANNA, "--account", "other")) == 1
    assert "there is no account nobody" in desk.run("optout", "history", ANNA, "--account", "nobody", status=1)


def test_what_is_exported_may_be_imported_elsewhere_and_again(desk: Desk, tmp_path: Path) -> None:
    desk.run("optout", "add", ANNA, *DEMO)
    desk.run("optout", "add", BERT, *DEMO, "--sender", OURS)
    exported = desk.run("optout", "export", *DEMO)
    assert exported.splitlines()[0] == "scope,sender,recipient,source,time"
    (tmp_path / "ledger.csv").write_text(exported)
    for counts in ("2 added, 0 unchanged", "0 added, 2 unchanged"):
        assert (
            desk.run("optout", "import", str(tmp_path / "ledger.csv"), "--account", "other") == f"opt-outs: {counts}\n"
        )
    assert desk.run("optout", "export", "--account", "other") == exported
    formula = "scope,sender,recipient,source,time\nnumber,+1 202 555 0190,'=1+1,'@x,\n"
    assert "1 added" in desk.run("optout", "import", "-", *DEMO, stdin=formula)
    assert ",'=1+1,'@x," in desk.run("optout", "export", *DEMO)
    assert ("=1+1", OURS, "@x") in [
        (one["recipient"], one["sender"], one["source"]) for one in desk.lines("optout", "list", *DEMO)
    ]
    assert desk.run("optout", "import", "-", *DEMO, stdin="\ufeffrecipient\r\n+447700900123\r\n") == (
        "opt-outs: 1 added, 0 unchanged\n"
    )
    assert ("447700900123", "import") in [
        (one["recipient"], one["source"]) for one in desk.lines("optout", "list", *DEMO)
    ]


def test_every_faulty_line_of_a_file_is_named_and_none_is_kept(desk: Desk) -> None:
    file = "\n".join(
        [
            "scope,sender,recipient,source,time",
            f",,{ANNA},,",
            ",,,,",
            f"all,,{ANNA},,",
            f"number,,{ANNA},,",
            f"account,{OURS},{ANNA},,",
            f",,{ANNA},{'s' * 33},yesterday",
            f",,{ANNA},,2999-01-01",
            f",,{ANNA},,,,",
            f",,{'1' * 65},,",
            f",{'s' * 65},{ANNA},,",
            f",a\x1bb,{ANNA},a\0b,",
            f",,{ANNA},,1969-12-31T23:59:59Z",
        ]
    )
    told = desk.run("optout", "import", "-", *DEMO, stdin=file, status=1)
    for line in (
        "line 3: '' is no recipient",
        "line 4: scope is number or account, not 'all'",
        "line 5: scope number needs a sender",
        "line 6: scope account has no sender",
        "line 7: source has at most 32 characters",
        "line 7: time is no instant: 'yesterday'",
        "line 8: time is in the future: 2999-01-01",
        "line 9: more fields than columns",
        "line 10: '1111",
        "line 11: 'ssss",
        "line 12: 'a\\x1bb' is no sender",
        "line 12: source is printable",
        "line 13: time is before 1970",
    ):
        assert line in told
    assert "line 2:" not in told
    assert desk.lines("optout", "list", *DEMO) == []


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("", "no column `recipient`"),
        ("number\n1\n", "no column `recipient`"),
        ("recipient,name\n1,x\n", "unknown column 'name'"),
        ("recipient,recipient\n1,2\n", "the column 'recipient' twice"),
        ('recipient\n"1\n', "not CSV"),
    ],
)
def test_a_file_of_another_kind_is_refused(desk: Desk, file: str, fault: str) -> None:
    assert fault in desk.run("optout", "import", "-", *DEMO, stdin=file, status=1)
