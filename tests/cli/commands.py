"""Commands of the operator on a database of their own."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from longcode.bootstrap import Product, running
from longcode.settings import load
from tests.processes import run_cli

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """One who types commands. folder: of the embedded database."""

    folder: Path

    def run(self, *args: str, status: int = 0, stdin: str = "") -> str:
        """Run a command; what it printed, standard output first."""
        done = run_cli(*args, "--data", str(self.folder), status=status, stdin=stdin)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def lines(self, *args: str) -> list[dict[str, Any]]:
        """What a command gives with --json."""
        return [json.loads(line) for line in self.run(*args, "--json").splitlines()]

    def in_product(self, act: Callable[[Product], Awaitable[T]]) -> T:
        """Do something that no command does, on the product that the commands work on."""

        async def inner() -> T:
            async with running(load({"LONGCODE_DATABASE_URL": f"sqlite:///{self.folder}/longcode.db"})) as product:
                return await act(product)

        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(inner())


def desk_in(folder: Path, template: Path) -> Desk:
    """A desk with the accounts `demo` and `other`. template: a migrated database."""
    shutil.copy(template, folder / "longcode.db")
    desk = Desk(folder)
    for name in ("demo", "other"):
        desk.run("account", "create", name, "--secret", "s")
    return desk
