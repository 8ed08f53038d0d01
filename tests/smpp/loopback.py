"""Two ends of a session on the loopback, and a peer that writes whatever octets a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from longcode.smpp import codec, pdu
from longcode.smpp.endpoints import connect, listen
from longcode.smpp.framer import Frame, Framer
from longcode.smpp.incoming import Answer
from longcode.smpp.session import Handler, Session
from longcode.smpp.states import Role
from longcode.smpp.terms import Timers

QUICK = Timers(response=5.0, enquire_link=None)
SHORT = Timers(response=0.05, enquire_link=None, session_init=None)
BIND = pdu.BindTransceiver(system_id="esme")
BINDS: dict[type[pdu.Pdu], type[pdu.BindResp]] = {
    pdu.BindTransmitter: pdu.BindTransmitterResp,
    pdu.BindReceiver: pdu.BindReceiverResp,
    pdu.BindTransceiver: pdu.BindTransceiverResp,
}


def accept(session: Session, request: pdu.Pdu) -> Answer:
    """Accept binds and answer every message with its own text as message_id."""
    match request:
        case pdu.Bind():
            return BINDS[type(request)](system_id="smsc")
        case pdu.SubmitSm():
            return pdu.SubmitSmResp(message_id=request.short_message.decode("latin-1"))
        case pdu.DeliverSm():
            return pdu.DeliverSmResp()
    return None


@dataclass(slots=True)
class Pair:
    """A connected ESME and the SMSC's end of it."""

    esme: Session
    smsc: Session


@asynccontextmanager
async def pair(
    *,
    bind: pdu.Bind | None = BIND,
    esme: Callable[[], Session] = lambda: Session(Role.ESME, accept, timers=QUICK),
    smsc: Callable[[], Session] = lambda: Session(Role.SMSC, accept, timers=QUICK),
) -> AsyncIterator[Pair]:
    """Both ends, bound unless `bind` is None; cut at the end."""
    server = await listen("127.0.0.1", 0, smsc)
    client = await connect("127.0.0.1", server.port, esme())
    try:
        if bind is not None:
            await client.bind(bind)
        else:
            await until(lambda: bool(server.sessions))
        yield Pair(client, next(iter(server.sessions)))
    finally:
        client.abort()
        server.abort()
        await client.wait_closed()


async def until(condition: Callable[[], bool], timeout_seconds: float = 10.0) -> None:
    """Turn the loop until the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout_seconds):
        while not condition():  # noqa: ASYNC110 - the condition is about sessions, which tell no event
            await asyncio.sleep(0.001)


@dataclass(slots=True)
class RawPeer:
    """A peer under the test's control, octet by octet."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    framer: Framer = field(default_factory=Framer)
    frames: list[Frame] = field(default_factory=list)

    def send(self, value: pdu.Pdu, sequence_number: int) -> None:
        """Write one PDU."""
        self.writer.write(codec.encode(value, sequence_number))

    async def read(self) -> Frame:
        """The next PDU that came. Raises EOFError when the connection has ended."""
        async with asyncio.timeout(10):
            while not self.frames:
                data = await self.reader.read(4096)
                if not data:
                    raise EOFError
                self.frames += [frame for frame in self.framer.feed(data) if isinstance(frame, Frame)]
        return self.frames.pop(0)

    async def ended(self) -> bool:
        """True once the other end has closed; False if a PDU came instead."""
        try:
            await self.read()
        except (EOFError, ConnectionError):
            return True
        return False


@asynccontextmanager
async def raw_esme(
    handler: Handler = accept, timers: Timers = QUICK, *, max_incoming: int = 1000, bound: bool = True
) -> AsyncIterator[tuple[RawPeer, Session]]:
    """A raw ESME before a Session as SMSC."""
    server = await listen("127.0.0.1", 0, lambda: Session(Role.SMSC, handler, timers=timers, max_incoming=max_incoming))
    peer = RawPeer(*await asyncio.open_connection("127.0.0.1", server.port))
    try:
        await until(lambda: bool(server.sessions))
        session = next(iter(server.sessions))
        if bound:
            peer.send(pdu.BindTransceiver(system_id="raw"), 1)
            await peer.read()
        yield peer, session
    finally:
        peer.writer.close()
        server.abort()
        await session.wait_closed()


@asynccontextmanager
async def raw_smsc(session: Session, *, bound: bool = True) -> AsyncIterator[RawPeer]:
    """A raw SMSC before `session` as ESME."""
    peers: asyncio.Queue[RawPeer] = asyncio.Queue()

    async def admit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peers.put(RawPeer(reader, writer))

    server = await asyncio.start_server(admit, "127.0.0.1", 0)
    await connect("127.0.0.1", server.sockets[0].getsockname()[1], session)
    peer = await peers.get()
    try:
        if bound:
            binding = asyncio.ensure_future(session.bind(pdu.BindTransceiver(system_id="esme")))
            frame = await peer.read()
            peer.send(pdu.BindTransceiverResp(system_id="raw"), frame.sequence_number)
            await binding
        yield peer
    finally:
        server.close()
        peer.writer.close()
        session.abort()
        await session.wait_closed()


def submit_sm(text: str) -> pdu.SubmitSm:
    """A message between two numbers of nobody's."""
    return pdu.SubmitSm(source_addr="12025550101", destination_addr="12025550102", short_message=text.encode())


class Holding:
    """A handler that keeps messages until the test answers them."""

    def __init__(self) -> None:
        self.held: list[tuple[pdu.Pdu, asyncio.Future[Answer]]] = []

    def __call__(self, session: Session, request: pdu.Pdu) -> Answer | asyncio.Future[Answer]:
        if isinstance(request, pdu.Bind):
            return accept(session, request)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.held.append((request, future))
        return future

    def release(self, index: int = 0) -> None:
        """Answer one with its own text as its message_id."""
        request, future = self.held.pop(index)
        assert isinstance(request, pdu.SubmitSm)
        future.set_result(pdu.SubmitSmResp(message_id=request.short_message.decode()))
