"""Every command that tells something tells it to scripts too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from longcode import cli
from tests.cli.commands import Desk

# These run until they are told to end, or do something and tell no more than that.
RUN = ("up", "serve", "worker", "beat", "link", "migrate", "seed")
GIVE = ("add", "create", "set", "change", "resume", "enable", "replay")
TAKE = ("remove", "release", "revoke", "pause", "disable", "cancel")
# It writes a file.
FILES = {"optout export"}


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Each command by what one types."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield " ".join((*names, name)), command


def test_every_command_that_lists_or_shows_has_json() -> None:
    found = dict(commands(cli.main))
    assert {"doctor", "optout list", "carrier show"} < set(found)
    without = {
        name
        for name, command in found.items()
        if name.split()[-1] not in (*RUN, *GIVE, *TAKE)
        and not any("--json" in option.opts for option in command.params)
    }
    assert without == FILES


def test_what_is_shown_once_and_what_is_wrong_is_told_as_json(tmp_path: Path, sqlite_template: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "longcode.db")
    desk = Desk(tmp_path)
    [made] = desk.lines("account", "create", "acme")
    assert made.keys() == {"name", "secret"}
    assert desk.lines("account", "secret", "acme", "--secret", "mine") == [{"name": "acme", "secret": None}]
    [key] = desk.lines("apikey", "create", "--account", "acme")
    assert key["key"].startswith(key["hint"])
    faults = [json.loads(line) for line in desk.run("doctor", "--json", status=1).splitlines()]
    assert [list(fault) for fault in faults] == [["fault"]]
    desk.run("carrier", "add", "sim", "--driver", "simulator")
    assert desk.lines("carrier", "test", "sim") == [{"ok": True, "step": "the simulator needs no connection"}]
