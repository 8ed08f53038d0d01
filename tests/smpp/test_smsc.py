"""The scripted SMSC does what its scripts say, so that tests may rely on it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from longcode.smpp import pdu, receipts
from longcode.smpp.constants import CommandStatus, Tag
from longcode.smpp.endpoints import connect
from longcode.smpp.errors import BindRefused, ConnectionCut, ResponseTimeout
from longcode.smpp.fields import Tlv
from longcode.smpp.incoming import Answer
from longcode.smpp.session import Session
from longcode.smpp.states import Role
from longcode.smpp.terms import Timers
from longcode.smpp.text import Concatenation, read
from longcode.smpp.window import Outcome
from tests.smpp.loopback import until
from tests.smpp.smsc import Script, Smsc

QUICK = Timers(response=0.2, enquire_link=None)


class Esme:
    """An ESME that keeps the order of what it saw: message ids answered and receipted."""

    def __init__(self) -> None:
        self.session = Session(Role.ESME, self._handle, timers=QUICK, window=100)
        self.seen: list[tuple[str, str]] = []
        self.messages: list[pdu.DeliverSm] = []

    def _handle(self, session: Session, request: pdu.Pdu) -> Answer:
        assert isinstance(request, pdu.DeliverSm)
        receipt = receipts.parse(request)
        if receipt is None:
            self.messages.append(request)
        else:
            self.seen.append((receipt.state, receipt.reference))
        return pdu.DeliverSmResp()

    async def submit(self, text: str, destination: str = "12025550102") -> pdu.Response:
        answered: asyncio.Future[pdu.Response] = asyncio.get_running_loop().create_future()

        def note(outcome: Outcome) -> None:
            if isinstance(outcome, pdu.SubmitSmResp):
                self.seen.append((f"answered {text}", outcome.message_id))
            if isinstance(outcome, pdu.Response):
                answered.set_result(outcome)
            else:
                answered.set_exception(outcome)

        request = pdu.SubmitSm(
            source_addr="12025550101",
            destination_addr=destination,
            registered_delivery=1,
            short_message=text.encode(),
            tlvs=(Tlv(Tag.user_message_reference, 7), Tlv(0x1405, b"\xab")),
        )
        # By callback, for a task that awaits would see the answer only after what came with it.
        self.session.submit(request, note)
        return await answered


@asynccontextmanager
async def scripted(script: Script, log: Path | None = None) -> AsyncIterator[tuple[Smsc, Esme]]:
    smsc = await Smsc.start(script, log=log)
    esme = Esme()
    await connect("127.0.0.1", smsc.port, esme.session)
    try:
        await esme.session.bind(pdu.BindTransceiver(system_id="esme"))
        yield smsc, esme
    finally:
        esme.session.abort()
        await smsc.stop()


async def test_each_message_is_in_the_log_before_its_answer(tmp_path: Path) -> None:
    async with scripted(Script(), log=tmp_path / "log") as (smsc, esme):
        await esme.submit("hello")
        (line,) = (tmp_path / "log").read_text().splitlines()
        entry = json.loads(line)
        assert entry.pop("time") > 0
        assert entry == {
            "system_id": "esme",
            "source": "12025550101",
            "destination": "12025550102",
            "short_message": b"hello".hex(),
            "esm_class": 0,
            "data_coding": 0,
            "registered_delivery": 1,
            "tlvs": {"user_message_reference": 7, "0x1405": "ab"},
            "message_id": smsc.taken[0].message_id,
        }
        await until(lambda: len(esme.seen) == 2)
        assert esme.seen == [("answered hello", entry["message_id"]), ("DELIVRD", entry["message_id"])]


async def test_receipts_come_before_answers_late_twice_failed_or_never() -> None:
    async with scripted(Script(receipt_before_answer=True)) as (smsc, esme):
        await esme.submit("a")
        await until(lambda: len(esme.seen) == 2)
        assert [what for what, _ in esme.seen] == ["DELIVRD", "answered a"]
        smsc.script = Script(receipt_state="UNDELIV", receipt_twice=True, receipt_delay_seconds=0.02)
        await esme.submit("b")
        await until(lambda: len(esme.seen) == 5)
        assert [what for what, _ in esme.seen[2:]] == ["answered b", "UNDELIV", "UNDELIV"]
        smsc.script = Script(receipts=False)
        await esme.submit("c")
        assert len(esme.seen) == 6


async def test_answers_come_out_of_order_twice_late_or_never() -> None:
    async with scripted(Script(out_of_order=3, receipts=False)) as (smsc, esme):
        await asyncio.gather(*(esme.submit(text) for text in "abc"))
        assert [what for what, _ in esme.seen] == ["answered c", "answered b", "answered a"]
        smsc.script = Script(answer_twice=True, receipts=False)
        await esme.submit("d")
        await until(lambda: esme.session.counters.unexpected_responses == 1)
        smsc.script = Script(answer_delay_seconds=0.05, receipts=False)
        await esme.submit("e")
        smsc.script = Script(never_answer=True, receipts=False)
        with pytest.raises(ResponseTimeout):
            await esme.submit("f")
        assert len(smsc.taken) == 6


async def test_more_than_it_allows_a_second_is_throttled() -> None:
    async with scripted(Script(per_second=3)) as (smsc, esme):
        answers = await asyncio.gather(*(esme.submit("x") for _ in range(5)))
        assert [answer.command_status for answer in answers] == [0, 0, 0, 0x58, 0x58]
        assert (len(smsc.taken), smsc.refused) == (3, 2)


async def test_destinations_and_binds_are_rejected_by_name() -> None:
    async with scripted(Script(reject=(("12025550199", 0x0B),))) as (smsc, esme):
        assert (await esme.submit("x", "12025550199")).command_status == 0x0B
        assert (await esme.submit("x")).command_status == 0
        smsc.script = Script(password="secret")
        other = await connect("127.0.0.1", smsc.port, Esme().session)
        with pytest.raises(BindRefused) as caught:
            await other.bind(pdu.BindTransceiver(password="wrong"))
        assert caught.value.command_status == CommandStatus.ESME_RINVPASWD
        other.abort()


@pytest.mark.parametrize("script", [Script(close_after=2), Script(cut_after=2)], ids=["close", "cut"])
async def test_the_connection_ends_at_the_message_that_was_named(script: Script) -> None:
    async with scripted(script) as (smsc, esme):
        outcomes = await asyncio.gather(*(esme.submit(text) for text in "ab"), return_exceptions=True)
        assert isinstance(outcomes[0], pdu.SubmitSmResp)
        assert isinstance(outcomes[1], ConnectionCut)
        assert outcomes[1].written
        assert len(smsc.taken) == 2


async def test_messages_are_delivered_on_demand_in_parts() -> None:
    text = "All work and no play makes a message long. " * 8
    async with scripted(Script()) as (smsc, esme):
        for by in Concatenation:
            esme.messages.clear()
            statuses = await smsc.deliver(source="12025550102", destination="12025550101", text=text, by=by)
            assert statuses == [0, 0, 0]
            assert "".join(read(message).text or "" for message in esme.messages) == text


async def test_it_runs_as_a_process_that_takes_orders(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.smpp.smsc", "--log", str(tmp_path / "log"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    esme = Esme()
    try:
        ready = json.loads(await process.stdout.readline())
        await connect("127.0.0.1", ready["port"], esme.session)
        await esme.session.bind(pdu.BindTransceiver(system_id="esme"))
        reader, writer = await asyncio.open_connection("127.0.0.1", ready["control_port"])

        async def order(**orders: object) -> dict[str, object]:
            writer.write(json.dumps(orders).encode() + b"\n")
            answer: dict[str, object] = json.loads(await reader.readline())
            return answer

        delivered = await order(do="deliver", source="12025550102", destination="12025550101", text="hi")
        assert delivered == {"ok": True, "statuses": [0]}
        assert await order(do="script", script={"per_second": 1}) == {"ok": True}
        assert not (await order(do="script", script={"unknown": 1}))["ok"]
        assert not (await order(do="dance"))["ok"]
        answers = await asyncio.gather(esme.submit("a"), esme.submit("b"))
        assert [answer.command_status for answer in answers] == [0, 0x58]
        state = {"ok": True, "taken": 1, "refused": 1, "sessions": ["esme"]}
        assert await order(do="state") == state
        assert await order(do="cut") == {"ok": True}
        await esme.session.wait_closed()
        writer.close()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        esme.session.abort()
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert len((tmp_path / "log").read_text().splitlines()) == 1
