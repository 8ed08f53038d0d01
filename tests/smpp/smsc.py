"""A scripted SMSC: takes messages, writes each to a log before answering, and misbehaves on request.

In a test: `smsc = await Smsc.start(Script(...))`. As a process:

    python -m tests.smpp.smsc --port P --log FILE [--script '{"per_second": 50}'] [--control-port C]

It prints one line, {"port": P, "control_port": C}, when it listens, and ends on SIGTERM or SIGINT. The control
port takes a JSON object a line and answers one a line:

    {"do": "script", "script": {...}}       {"ok": true}
    {"do": "state"}                         {"ok": true, "taken": 3, "refused": 0, "sessions": ["esme"]}
    {"do": "deliver", "source": "12025550101", "destination": "12025550102", "text": "hi", "by": "udh8"}
                                            {"ok": true, "statuses": [0]}
    {"do": "cut"}                           {"ok": true}
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import ssl as tls
import sys
import time
from collections import deque
from pathlib import Path
from typing import Annotated, Any

import msgspec

from longcode.encoding.segments import split
from longcode.smpp import codec, pdu
from longcode.smpp.constants import CommandStatus, EsmClass, MessageState, Tag
from longcode.smpp.endpoints import Server, listen
from longcode.smpp.errors import SessionError
from longcode.smpp.fields import TLV_KINDS, Tlv
from longcode.smpp.incoming import Answer
from longcode.smpp.session import Session
from longcode.smpp.states import Role, State
from longcode.smpp.terms import Timers
from longcode.smpp.text import Concatenation, carry
from longcode.smpp.window import Outcome

Count = Annotated[int, msgspec.Meta(ge=1)]
_BIND_RESPONSES: dict[type[pdu.Pdu], type[pdu.BindResp]] = {
    pdu.BindTransmitter: pdu.BindTransmitterResp,
    pdu.BindReceiver: pdu.BindReceiverResp,
    pdu.BindTransceiver: pdu.BindTransceiverResp,
}
_RECEIVING = (State.BOUND_RX, State.BOUND_TRX)


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the SMSC behaves. The default is good manners: answers and receipts at once.

    receipts: for messages that ask for one. receipt_state: a name of MessageState.
    out_of_order: answers are gathered by so many and written last first.
    per_second: above it, ESME_RTHROTTLED. reject: (destination_addr, command_status) pairs.
    close_after, cut_after: once so many were taken in all, the connection ends without the last one's answer,
    or in the middle of it.
    password: what binds must carry; None takes any.
    """

    answer_delay_seconds: float = 0.0
    never_answer: bool = False
    answer_twice: bool = False
    out_of_order: Count | None = None
    receipts: bool = True
    receipt_state: str = MessageState.DELIVRD.name
    receipt_delay_seconds: float = 0.0
    receipt_before_answer: bool = False
    receipt_twice: bool = False
    per_second: Count | None = None
    close_after: Count | None = None
    cut_after: Count | None = None
    reject: tuple[tuple[str, int], ...] = ()
    password: str | None = None


class Taken(msgspec.Struct, frozen=True):
    """One submit_sm that the SMSC took: a line of the log. time: when it came in, seconds since
    1970. tlvs: by name, bytes as hex."""

    time: float
    system_id: str
    source: str
    destination: str
    short_message: str
    esm_class: int
    data_coding: int
    registered_delivery: int
    tlvs: dict[str, int | str]
    message_id: str


class _ScriptedSession(Session):
    """A session whose answers to submit_sm go through the script."""

    smsc: Smsc
    received_at = 0.0

    def data_received(self, data: bytes) -> None:
        """Note when the octets came in, before they are read."""
        self.received_at = time.time()
        super().data_received(data)

    def answer(self, sequence_number: int, response: pdu.Response) -> None:
        if isinstance(response, pdu.SubmitSmResp) and not response.command_status:
            self.smsc.answer(self, sequence_number, response)
        else:
            super().answer(sequence_number, response)

    def answer_now(self, sequence_number: int, response: pdu.Response) -> None:
        """Write the answer."""
        super().answer(sequence_number, response)

    def leave(self, last_words: bytes = b"") -> None:
        """Write everything so far and end without unbinding."""
        self._outbox.flush()
        self._transport.write(last_words)
        self._transport.close()


class Smsc:
    """The SMSC. `script` may be replaced while it runs; `taken` is what the log has, in order."""

    def __init__(self, script: Script, log: Path | None) -> None:
        self.script = script
        self.taken: list[Taken] = []
        self.refused = 0
        self._log = None if log is None else os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._prefix = f"{time.time_ns() // 1000 & 0xFFFFFFFFFF:x}"
        self._recent: deque[float] = deque()
        self._gathered: list[tuple[_ScriptedSession, int, pdu.SubmitSmResp]] = []
        self._deliveries: set[asyncio.Task[None]] = set()
        self._server: Server

    @classmethod
    async def start(
        cls,
        script: Script = Script(),  # noqa: B008 - frozen
        *,
        log: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: tls.SSLContext | None = None,
    ) -> Smsc:
        """An SMSC that listens."""
        smsc = cls(script, log)
        smsc._server = await listen(host, port, smsc._session, ssl=ssl)
        return smsc

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    @property
    def sessions(self) -> list[Session]:
        """The connections, bound or not."""
        return list(self._server.sessions)

    async def stop(self) -> None:
        """Cut every session, stop listening and close the log."""
        self._server.abort()
        for session in self.sessions:
            await session.wait_closed()
        for delivery in self._deliveries:
            delivery.cancel()
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def cut(self) -> None:
        """Cut every session, and go on listening."""
        for session in self.sessions:
            session.abort()

    async def deliver(
        self,
        *,
        source: str,
        destination: str,
        text: str,
        by: Concatenation = Concatenation.UDH_8,
        reference: int = 1,
    ) -> list[int]:
        """Deliver a message in as many parts as it takes; the command_status of each answer.

        Raises LookupError when nobody is bound to receive.
        """
        statuses = []
        for segment in split(text, reference=reference, reference_bits=16 if by is Concatenation.UDH_16 else 8):
            carried = carry(segment, by=by)
            message = pdu.DeliverSm(
                source_addr=source,
                destination_addr=destination,
                esm_class=carried.esm_class,
                data_coding=carried.data_coding,
                short_message=carried.short_message,
                tlvs=carried.tlvs,
            )
            statuses.append((await self._receiver().request(message)).command_status)
        return statuses

    def _receiver(self, preferred: Session | None = None) -> Session:
        if preferred is not None and preferred.state in _RECEIVING:
            return preferred
        for session in self._server.sessions:
            if session.state in _RECEIVING:
                return session
        raise LookupError("nobody is bound to receive")

    # Requests

    def _session(self) -> Session:
        timers = Timers(response=10.0, enquire_link=60.0)
        session = _ScriptedSession(Role.SMSC, self._handle, timers=timers, window=1000, max_incoming=10_000)
        session.smsc = self
        return session

    def _handle(self, session: Session, request: pdu.Pdu) -> Answer:
        match request:
            case pdu.Bind():
                wrong = self.script.password not in (None, request.password)
                status = CommandStatus.ESME_RINVPASWD if wrong else CommandStatus.ESME_ROK
                return _BIND_RESPONSES[type(request)](system_id="longcode", command_status=int(status))
            case pdu.SubmitSm():
                return self._submit(session, request)
        return pdu.refusal(request.command_id, CommandStatus.ESME_RINVCMDID)

    def _submit(self, session: Session, request: pdu.SubmitSm) -> pdu.SubmitSmResp:
        status = dict(self.script.reject).get(request.destination_addr, 0)
        if not status and self._throttled():
            status = int(CommandStatus.ESME_RTHROTTLED)
        if status:
            self.refused += 1
            return pdu.SubmitSmResp(command_status=status)
        message_id = f"{self._prefix}{len(self.taken) + 1:08x}"
        self._take(session, request, message_id)
        if self.script.receipts and request.registered_delivery & 0x03:
            self._plan_receipts(session, request, message_id)
        return pdu.SubmitSmResp(message_id=message_id)

    def _throttled(self) -> bool:
        if self.script.per_second is None:
            return False
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        if len(self._recent) >= self.script.per_second:
            return True
        self._recent.append(now)
        return False

    def _take(self, session: Session, request: pdu.SubmitSm, message_id: str) -> None:
        assert isinstance(session, _ScriptedSession)
        taken = Taken(
            time=session.received_at,
            system_id=session.bound_by.system_id if session.bound_by else "",
            source=request.source_addr,
            destination=request.destination_addr,
            short_message=request.short_message.hex(),
            esm_class=request.esm_class,
            data_coding=request.data_coding,
            registered_delivery=request.registered_delivery,
            tlvs={_tag_name(tlv.tag): _readable(tlv.value) for tlv in request.tlvs},
            message_id=message_id,
        )
        self.taken.append(taken)
        if self._log is not None:
            os.write(self._log, msgspec.json.encode(taken) + b"\n")

    # Answers

    def answer(self, session: _ScriptedSession, sequence_number: int, response: pdu.SubmitSmResp) -> None:
        """Answer, or not, as the script says."""
        script = self.script
        if len(self.taken) == script.close_after:
            session.leave()
        elif len(self.taken) == script.cut_after:
            session.leave(codec.encode(response, sequence_number)[:18])
        elif script.never_answer:
            return
        elif script.answer_delay_seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(script.answer_delay_seconds, session.answer_now, sequence_number, response)
        elif script.out_of_order:
            self._gathered.append((session, sequence_number, response))
            if len(self._gathered) >= script.out_of_order:
                for waiting, number, answer in reversed(self._gathered):
                    waiting.answer_now(number, answer)
                self._gathered.clear()
        else:
            session.answer_now(sequence_number, response)
            if script.answer_twice:
                session.answer_now(sequence_number, response)

    def _plan_receipts(self, session: Session, request: pdu.SubmitSm, message_id: str) -> None:
        receipt = _receipt(request, message_id, MessageState[self.script.receipt_state])
        if self.script.receipt_before_answer:
            self._deliver_receipt(session, receipt)
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(self.script.receipt_delay_seconds, self._deliver_receipt, session, receipt)

    def _deliver_receipt(self, session: Session, receipt: pdu.DeliverSm) -> None:
        try:
            receiver = self._receiver(session)
        except LookupError:
            return
        for _ in range(2 if self.script.receipt_twice else 1):
            try:
                receiver.submit(receipt, _ignore)
            except SessionError:
                delivery = asyncio.get_running_loop().create_task(_request(receiver, receipt))
                self._deliveries.add(delivery)
                delivery.add_done_callback(self._deliveries.discard)


def _ignore(outcome: Outcome) -> None:
    """A receipt that is not acknowledged is not repeated here."""


async def _request(session: Session, receipt: pdu.DeliverSm) -> None:
    try:
        await session.request(receipt)
    except SessionError:
        return


def _receipt(request: pdu.SubmitSm, message_id: str, state: MessageState) -> pdu.DeliverSm:
    now = time.strftime("%y%m%d%H%M", time.gmtime())
    delivered = state is MessageState.DELIVRD
    text = (
        f"id:{message_id} sub:001 dlvrd:{int(delivered):03d} submit date:{now} done date:{now} "
        f"stat:{state.name} err:{0 if delivered else 1:03d} text:"
    )
    return pdu.DeliverSm(
        source_addr=request.destination_addr,
        destination_addr=request.source_addr,
        esm_class=int(EsmClass.DELIVERY_RECEIPT),
        short_message=text.encode() + request.short_message[:20],
        tlvs=(Tlv(Tag.receipted_message_id, message_id), Tlv(Tag.message_state, int(state))),
    )


def _tag_name(tag: int) -> str:
    known = TLV_KINDS.get(tag)
    return known[0] if known else f"0x{tag:04x}"


def _readable(value: int | str | bytes) -> int | str:
    return value.hex() if isinstance(value, bytes) else value


# As a process


async def _obey(smsc: Smsc, line: bytes) -> dict[str, Any]:
    order = msgspec.json.decode(line)
    match order.pop("do"):
        case "script":
            smsc.script = msgspec.convert(order["script"], Script)
        case "state":
            bound = [session.bound_by.system_id for session in smsc.sessions if session.bound_by]
            return {"ok": True, "taken": len(smsc.taken), "refused": smsc.refused, "sessions": bound}
        case "deliver":
            order["by"] = Concatenation(order.get("by", Concatenation.UDH_8.value))
            return {"ok": True, "statuses": await smsc.deliver(**order)}
        case "cut":
            smsc.cut()
        case unknown:
            return {"ok": False, "error": f"nothing to do for {unknown!r}"}
    return {"ok": True}


async def control(smsc: Smsc, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Obey orders, a JSON object a line, until the other side ends."""
    async for line in reader:
        try:
            answer = await _obey(smsc, line)
        except (LookupError, TypeError, ValueError, SessionError, msgspec.MsgspecError) as error:
            answer = {"ok": False, "error": repr(error)}
        writer.write(msgspec.json.encode(answer) + b"\n")
    writer.close()


async def _main(options: argparse.Namespace) -> None:
    script = msgspec.json.decode(options.script, type=Script)
    smsc = await Smsc.start(script, log=options.log, host=options.host, port=options.port)
    server = await asyncio.start_server(
        lambda reader, writer: control(smsc, reader, writer), options.host, options.control_port
    )
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    ready = {"port": smsc.port, "control_port": server.sockets[0].getsockname()[1]}
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
    await ended.wait()
    server.close()
    await smsc.stop()


def main() -> None:
    """Run as a process."""
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--control-port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log", type=Path, help="where each taken submit_sm is appended")
    parser.add_argument("--script", default="{}", help="JSON of the Script's fields")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
