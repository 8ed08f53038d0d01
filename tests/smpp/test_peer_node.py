"""npm `smpp`, an SMPP implementation that we did not write, on either end of our session.

Needs Node and npm, which put the package into .cache/node. Without them these tests are left out, and say
so; where the environment variable CI is set, that is a failure.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longcode.smpp import pdu, receipts
from longcode.smpp.constants import CommandStatus
from longcode.smpp.endpoints import connect
from longcode.smpp.errors import BindRefused
from longcode.smpp.incoming import Answer
from longcode.smpp.session import Session
from longcode.smpp.states import Role
from longcode.smpp.text import read
from tests.smpp.loopback import QUICK, until
from tests.smpp.smsc import Script, Smsc

PEERS = Path(__file__).with_name("peers")
CACHE = Path(__file__).parents[2] / ".cache" / "node" / "smpp"
LOCK = "package-lock.json"


def _leave_out(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(f"left out: {reason}")


@pytest.fixture(scope="module")
def peers() -> Path:
    """The folder with the peers' scripts and the package that they need."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        _leave_out("node or npm is not installed")
    installed = CACHE / LOCK
    if not (CACHE / "node_modules").is_dir() or installed.read_bytes() != (PEERS / LOCK).read_bytes():
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.copy(PEERS / "package.json", CACHE)
        shutil.copy(PEERS / LOCK, CACHE)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        outcome = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=120, check=False)
        if outcome.returncode:
            _leave_out(f"npm could not install the peer: {outcome.stderr[-200:]}")
    for script in PEERS.glob("*.js"):
        shutil.copy(script, CACHE)
    return CACHE


async def _node(peers: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec("node", *arguments, cwd=peers, stdout=asyncio.subprocess.PIPE)


async def _client(peers: Path, port: int, password: str) -> dict[str, object]:
    process = await _node(peers, "client.js", str(port), password, "hello")
    try:
        async with asyncio.timeout(20):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    seen: dict[str, object] = json.loads(output)
    return seen


async def test_its_client_binds_submits_gets_a_receipt_and_unbinds(peers: Path) -> None:
    smsc = await Smsc.start(Script(password="secret", receipt_delay_seconds=0.02))
    try:
        seen = await _client(peers, smsc.port, "secret")
        (taken,) = smsc.taken
        assert str(seen.pop("receipt")).startswith(f"id:{taken.message_id} sub:001 dlvrd:001 ")
        assert seen == {
            "bind": 0,
            "system_id": "longcode",
            "submit": 0,
            "message_id": taken.message_id,
            "receipted_message_id": taken.message_id,
            "message_state": 2,
            "enquire_link": 0,
            "unbind": 0,
        }
        assert bytes.fromhex(taken.short_message) == b"hello"
    finally:
        await smsc.stop()


async def test_its_client_learns_why_its_bind_is_refused(peers: Path) -> None:
    smsc = await Smsc.start(Script(password="secret"))
    try:
        assert await _client(peers, smsc.port, "wrong") == {"bind": 0x0E}
    finally:
        await smsc.stop()


@pytest.fixture
async def server_port(peers: Path) -> AsyncIterator[int]:
    """The port of an SMSC in Node."""
    process = await _node(peers, "server.js")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def test_its_server_takes_our_messages_and_delivers_to_us(server_port: int) -> None:
    delivered: list[pdu.DeliverSm] = []

    def take(session: Session, request: pdu.Pdu) -> Answer:
        assert isinstance(request, pdu.DeliverSm)
        delivered.append(request)
        return pdu.DeliverSmResp()

    session = await connect("127.0.0.1", server_port, Session(Role.ESME, take, timers=QUICK, window=20))
    try:
        with pytest.raises(BindRefused) as caught:
            await session.bind(pdu.BindTransceiver(system_id="esme", password="wrong"))
        assert caught.value.command_status == CommandStatus.ESME_RINVPASWD
        assert (await session.bind(pdu.BindTransceiver(system_id="esme"))).system_id == "node"
        assert await session.request(pdu.EnquireLink()) == pdu.EnquireLinkResp()
        submits = (pdu.SubmitSm(destination_addr="1", short_message=b"%d" % n) for n in range(200))
        answers = await asyncio.gather(*(session.request(submit) for submit in submits))
        assert answers == [pdu.SubmitSmResp(message_id=str(n)) for n in range(200)]
        await session.request(pdu.SubmitSm(destination_addr="12025550102", registered_delivery=1, short_message=b"mo"))
        await until(lambda: len(delivered) == 2)
        receipt = receipts.parse(delivered[0])
        assert receipt is not None
        assert (receipt.reference, receipt.state, receipt.error_code) == ("mo", "DELIVRD", "000")
        assert read(delivered[1]).text == "δοκιμή"
        await session.close()
    finally:
        session.abort()
