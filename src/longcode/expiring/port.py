"""The port of expiring state: STOP pairs, sender limits, and the paces that processes share.

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

from longcode.errors import StorageDown


class Emptied(StorageDown):
    """The state lost its pairs: nothing was asked, marked or counted. `restore` it, then ask again."""


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


@dataclass(frozen=True, slots=True)
class Bucket:
    """A wish for tokens out of a bucket that many processes share.

    It fills evenly and holds what it fills with in burst_seconds, so that within any t seconds it
    grants at most rate_per_second x (t + burst_seconds). A wish for more than it holds is granted once it
    is full, and the next ones wait the longer. A bucket never asked before is full.
    """

    name: str
    rate_per_second: float
    tokens: int
    burst_seconds: float = 1.0


class Expiring(Protocol):
    """Every method raises StorageDown where the state does not answer in time.

    settle and stopped raise Emptied where `complete` would answer false.
    """

    async def settle(self, questions: Sequence[Question]) -> list[Verdict]:
        """Answer all questions in one round trip, in their order; each is atomic on its own."""

    async def give_back(self, questions: Sequence[Question]) -> None:
        """Take back one counted call for each question that counted, in windows still open."""

    async def stopped(self, pairs: Sequence[Pair]) -> set[Pair]:
        """Those of `pairs` that hold now."""

    async def pace(self, wishes: Sequence[Sequence[Bucket]]) -> list[list[float]]:
        """Grant wishes, in their order: each out of all its buckets, which differ, or nothing out of any.

        Gives for each wish, in the order of its buckets, the seconds until that bucket could grant it:
        all 0.0 where it is granted. A bucket that could not grant a wish grants none of the later ones,
        so that the small do not overtake the big. All of it is one atomic step, on the state's own clock.
        """

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
