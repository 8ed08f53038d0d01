"""Every kind of carrier keeps the same promises; a new one without its table fails."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from longcode.carriers import registry
from longcode.carriers.port import Accepted, Deferred, Outcome, Submission, Unconfirmed
from longcode.encoding.segments import Encoding
from tests.carriers.conformance import EXPECTED, PEERS, RETRY_AFTER, SECRET, Happening, Peer
from tests.carriers.smpp_world import submission
from tests.smpp.loopback import until

CASES = [(peer, happening) for peer in PEERS for happening in Happening if happening not in peer.absent]
HTTP_KINDS = {name for name, kind in registry.KINDS.items() if kind.vendor is not None}


class Answers:
    """Every outcome, in order."""

    def __init__(self) -> None:
        self.got: list[tuple[Submission, Outcome]] = []

    def __call__(self, sent: Submission, outcome: Outcome) -> None:
        self.got.append((sent, outcome))

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for _, outcome in self.got]


@pytest.fixture
def answers() -> Answers:
    return Answers()


def test_every_kind_has_its_table() -> None:
    assert {peer.kind for peer in PEERS} == set(registry.KINDS)
    assert all(all(peer.absent.values()) for peer in PEERS)
    assert set(EXPECTED) == set(Happening)


@pytest.mark.parametrize(("peer", "happening"), CASES, ids=lambda one: getattr(one, "value", None) or str(one))
async def test_it_says_what_is_true(
    peer: Peer, happening: Happening, answers: Answers, sqlite_template: Path, tmp_path: Path
) -> None:
    with capture_logs() as logged:
        async with peer.open(happening, sqlite_template, tmp_path) as stand:
            sent = submission(recipient=stand.recipient)
            await stand.driver.submit([sent], answers)
            await until(lambda: bool(answers.got))
            taken = stand.taken()
            shown = repr(stand.driver)
    [(answered, outcome)] = answers.got
    assert answered is sent
    assert isinstance(outcome, EXPECTED[happening]), outcome
    assert taken <= 1
    assert not isinstance(outcome, Accepted) or taken == 1
    # SMPP binds with the first eight characters, since it takes no more.
    assert SECRET[:8] not in f"{outcome} {logged} {shown}"
    if happening is Happening.THROTTLED and peer.kind in HTTP_KINDS:
        assert isinstance(outcome, Deferred)
        assert outcome.after_seconds == RETRY_AFTER


@pytest.mark.parametrize("peer", PEERS, ids=str)
async def test_every_submission_is_answered_once_and_capacity_comes_back(
    peer: Peer, answers: Answers, sqlite_template: Path, tmp_path: Path
) -> None:
    async with peer.open(Happening.ACCEPTED, sqlite_template, tmp_path) as stand:
        room = stand.driver.capacity().segments
        assert room > 0
        sent = [submission(recipient=stand.recipient) for _ in range(min(room, 8))]
        await stand.driver.submit(sent, answers)
        await until(lambda: len(answers.got) >= len(sent))
        assert {one.attempt_id for one, _ in answers.got} == {one.attempt_id for one in sent}
        assert all(isinstance(outcome, Accepted) for outcome in answers.outcomes)
        await until(lambda: stand.driver.capacity().segments == room)
    assert len(answers.got) == len(sent)


@pytest.mark.parametrize("peer", [peer for peer in PEERS if Happening.CUT not in peer.absent], ids=str)
async def test_what_is_in_flight_at_the_end_is_unconfirmed(
    peer: Peer, answers: Answers, sqlite_template: Path, tmp_path: Path
) -> None:
    async with peer.open(Happening.NOTHING, sqlite_template, tmp_path) as stand:
        sent = [submission(recipient=stand.recipient) for _ in range(3)]
        await stand.driver.submit(sent, answers)
        await until(lambda: stand.taken() == len(sent))
        await asyncio.wait_for(stand.driver.close(), 30)
        assert len(answers.got) == len(sent)
        assert all(isinstance(outcome, Unconfirmed) for outcome in answers.outcomes)
        await stand.driver.submit([submission(recipient=stand.recipient)], answers)
        await until(lambda: len(answers.got) > len(sent))
        assert isinstance(answers.outcomes[-1], Deferred)


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.kind in HTTP_KINDS], ids=str)
async def test_an_http_carrier_cuts_a_text_itself(peer: Peer, sqlite_template: Path, tmp_path: Path) -> None:
    text = "x" * 500
    async with peer.open(Happening.ACCEPTED, sqlite_template, tmp_path) as stand:
        [piece] = stand.driver.cut(text, Encoding.GSM7, 1)
        assert (piece.text, piece.index, piece.total) == (text, 0, 1)


NO_NETWORK = """
import importlib, pkgutil, sys

def refuse(event, _args):
    if event.startswith("socket."):
        raise SystemExit(f"importing uses the network: {event}")

sys.addaudithook(refuse)
import longcode.carriers
for module in pkgutil.iter_modules(longcode.carriers.__path__):
    importlib.import_module(f"longcode.carriers.{module.name}")
"""


def test_importing_drivers_uses_no_network() -> None:
    done = subprocess.run([sys.executable, "-c", NO_NETWORK], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
