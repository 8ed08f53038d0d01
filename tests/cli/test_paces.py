"""The operator's commands about paces."""

from __future__ import annotations

from pathlib import Path

from tests.processes import run_cli


def test_paces_are_set_listed_and_removed(tmp_path: Path) -> None:
    def run(*args: str, status: int = 0) -> str:
        done = run_cli(*args, "--data", str(tmp_path), status=status)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    run("migrate")
    run("account", "create", "acme")
    assert run("pace", "set", "--account", "acme", "30") == "pace of acme: 30 segments a second\n"
    ours = "+1 202 555-0101"
    told = run("pace", "set", "--account", "acme", "--sender", ours, "0.25", status=1)
    assert told == f"Error: {ours} is neither a number nor a sender ID of acme\n"
    run("number", "add", "12025550101", "--account", "acme")
    run("pace", "set", "--account", "acme", "--sender", ours, "0.25")
    run("pace", "set", "--account", "acme", "--sender", "12025550101", "0.5")
    assert run("pace", "list") == "account\tsender\tsegments_per_second\nacme\tall\t30\nacme\t12025550101\t0.5\n"
    assert '"sender": null, "segments_per_second": 30.0' in run("pace", "list", "--json")
    assert run("pace", "remove", "--account", "acme") == "pace of acme removed\n"
    assert "acme has no pace" in run("pace", "remove", "--account", "acme", status=1)
    assert "no account" in run("pace", "set", "--account", "nobody", "1", status=1)
    assert "0.01<=x<=100000" in run("pace", "set", "--account", "acme", "0", status=2)
