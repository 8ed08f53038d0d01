"""The port of expiring state: STOP pairs and sender limits.

Two adapters keep it, on Redis and on SQL tables, and one suite of contract tests holds both.
A pair is ordered and belongs to one account: (sender, recipient) says that `sender` may not
write to `recipient`. Parties are compared as `longcode.domain.phone.canonical` gives them;
the caller passes them in that form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pair:
    """`sender` may not write to `recipient`, for one account."""

    account_id: int
    sender: str
    recipient: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one call asks, all of it in one atomic step.

    First `marks` are kept for the STOP lifetime from now (a mark that is there is refreshed).
    Then, where `ask` is given, is that pair stopped? Only if it is not, and `count` is true,
    one call of `ask.sender` is counted in its window; a call over the limit is not counted.
    """

    marks: tuple[Pair, ...] = ()
    ask: Pair | None = None
    count: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one Question.

    stopped: the pair asked about holds.
    over_limit_seconds: 0 where the call may go on; else whole seconds, at least 1, until the
    sender's window ends.
    """

    stopped: bool = False
    over_limit_seconds: int = 0


class Expiring(Protocol):
    """Every method raises StorageDown where the state does not answer in time."""

    async def settle(self, questions: Sequence[Question]) -> list[Verdict]:
        """Answer all questions in one round trip, in their order; each is atomic on its own."""

    async def give_back(self, questions: Sequence[Question]) -> None:
        """Take back one counted call for each question that counted, in windows still open."""

    async def stopped(self, pairs: Sequence[Pair]) -> set[Pair]:
        """Those of `pairs` that hold now."""

    async def restore(self, pairs: Sequence[tuple[Pair, datetime]]) -> None:
        """Keep each pair for the STOP lifetime from its instant; never shorten one that holds longer.

        Marks the state as complete, so that `complete` answers true.
        """

    async def complete(self) -> bool:
        """False where the state was emptied since `restore` last ran."""

    async def purge(self) -> None:
        """Drop what has expired, where the store does not do so by itself."""

    async def close(self) -> None:
        """Let go of connections."""
