"""One SMPP session over one connection, for either end of it.

A session never raises into the event loop: what a peer does wrong is answered as the specification says
and ends at most this session. What is written in one turn of the loop leaves in one piece.
Source: SMPP 3.4 issue 1.2, §2 and §3.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, cast

from longcode.smpp.codec import encode
from longcode.smpp.constants import DEFAULT_MAX_PDU_OCTETS, RESPONSE_BIT, CommandStatus, status_name
from longcode.smpp.errors import (
    BindRefused,
    ConnectionCut,
    EncodeError,
    ResponseTimeout,
    ResponseUnusable,
    SmppError,
    WindowFull,
    WrongBindState,
)
from longcode.smpp.framer import Frame, Framer, Malformed
from longcode.smpp.incoming import Answer, Incoming
from longcode.smpp.outbox import Outbox
from longcode.smpp.pdu import (
    RESPONSES,
    Bind,
    BindResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Notification,
    Pdu,
    Request,
    Response,
    Unbind,
    UnbindResp,
    refusal,
)
from longcode.smpp.states import BOUND, BOUND_BY, Role, State, misplaced_status, sendable
from longcode.smpp.terms import Counters, LateResponse, Timers
from longcode.smpp.window import Callback, Pending, Window

log = logging.getLogger(__name__)

Handler = Callable[["Session", Pdu], Answer | Awaitable[Answer]]
_UNMETERED: Final = (Bind, Unbind, EnquireLink)


class Session(asyncio.Protocol):
    """One end of a session. Create it, hand it to `connect` or let `listen` make it.

    handler: gets every request of the peer but unbind and enquire_link, and gives the response or an
        awaitable of it. Nothing is acknowledged before it answers. Its failure is answered with
        ESME_RSYSERR. A bind is accepted by answering it with command_status 0.
    window: how many of our requests may be outstanding.
    max_incoming: how many of the peer's may be in the handler, or answered and not taken by the peer,
        before we stop reading; a handler that awaits an answer on its own session counts against it.
    on_late_response: called for a response that came after its request had timed out or was cancelled.
    on_closed: called once, with the session, when the connection is gone.
    """

    def __init__(
        self,
        role: Role,
        handler: Handler,
        *,
        timers: Timers = Timers(),  # noqa: B008 - frozen
        window: int = 10,
        max_incoming: int = 1000,
        max_pdu_octets: int = DEFAULT_MAX_PDU_OCTETS,
        on_late_response: Callable[[LateResponse], None] | None = None,
        on_closed: Callable[[Session], None] | None = None,
    ) -> None:
        self.role = role
        self.timers = timers
        self.counters = Counters()
        self.bound_by: Bind | None = None
        self.close_reason = ""
        # When the unbind was written that the peer has answered: it has read everything up to there.
        self.unbound_at: float | None = None
        self.registry: set[Session] | None = None
        self._on_late_response = on_late_response
        self._on_closed = on_closed
        self._framer = Framer(max_pdu_octets)
        self._window = Window(window)
        self._queue: deque[Pending] = deque()
        self._max_incoming = max_incoming
        self._incoming = Incoming(partial(handler, self), self._handled)
        self._read_paused = False
        self._idle: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] | None = None
        self._ending: asyncio.TimerHandle | asyncio.Task[None] | None = None
        self._unbind_sequence: int | None = None
        self._enquiring = False
        self._expiry: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._last_received = self._last_activity = 0.0
        self._state = State.CLOSED
        self._may_send: frozenset[type[Pdu]] = frozenset()
        self._may_receive: frozenset[type[Pdu]] = frozenset()

    # What the owner sees

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._state

    @property
    def free_slots(self) -> int:
        """How many requests could be written now without waiting."""
        if self._state not in BOUND or self._outbox.paused:
            return 0
        return max(0, self._window.free_slots - len(self._queue))

    @property
    def outstanding(self) -> int:
        """How many of our requests await an answer."""
        return len(self._window)

    @property
    def peer(self) -> str:
        """The peer's address, for logs."""
        name = self._transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unknown"

    async def bind(self, pdu: Bind) -> BindResp:
        """Bind, as an ESME. Raises BindRefused, or what `request` raises."""
        response = await self.request(pdu)
        if response.command_status or not isinstance(response, BindResp):
            raise BindRefused(response.command_status, status_name(response.command_status))
        return response

    async def request(self, pdu: Request) -> Response:
        """The peer's response, whatever its command_status; waits for a free slot first, in order.

        Raises WrongBindState, EncodeError, ConnectionCut, ResponseTimeout or ResponseUnusable.
        Cancelling does not take back what was written.
        """
        self._check_sendable(pdu)
        future: asyncio.Future[Response] = self._loop.create_future()
        pending = Pending(pdu, None, future, not isinstance(pdu, _UNMETERED))
        if pending.metered and (self._queue or self._window.free_slots <= 0 or self._outbox.paused):
            self._queue.append(pending)
        else:
            self._transmit(pending)
        return await future

    def submit(self, pdu: Request, callback: Callback) -> int:
        """Write a request without waiting, and get its sequence_number; `callback` gets the outcome once.

        The outcome is the response or a SessionError. Raises WindowFull, WrongBindState, ConnectionCut or
        EncodeError, and then nothing is sent and the callback is never called.
        """
        self._check_sendable(pdu)
        if self._queue or self._window.free_slots <= 0 or self._outbox.paused:
            raise WindowFull
        pending = Pending(pdu, callback, None, True)
        self._transmit(pending)
        return pending.sequence_number

    def notify(self, pdu: Notification) -> None:
        """Write an outbind or an alert_notification. Raises WrongBindState, ConnectionCut or EncodeError."""
        self._check_sendable(pdu)
        self._outbox.add(encode(pdu, self._window.next_sequence_number()))

    async def close(self) -> None:
        """End in order: finish what is outstanding, unbind, close. Each step at most `timers.response`."""
        if self._state not in (State.UNBINDING, State.CLOSED):
            was_bound = self._state in BOUND
            self._set_state(State.UNBINDING)
            self._cut_queue("the session is closing")
            try:
                await self._until_idle()
                if was_bound and self._unbind_sequence is None:
                    written_at = self._loop.time()
                    await self.request(Unbind())
                    self.unbound_at = written_at
            except SmppError as error:
                log.info("unbind was not answered: %s", error)
            except asyncio.CancelledError:
                self.abort("closing was cancelled")
                raise
            self._end("closed by us")
        await self.wait_closed()
        await self._incoming.wait(self.timers.response)

    def abort(self, reason: str = "aborted by us") -> None:
        """End at once. What was not handed to the transport is never sent."""
        if self._state is not State.CLOSED:
            self.close_reason = self.close_reason or reason
            self._outbox.drop()
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Return when the connection is gone. A handler may still be at work: it is never cancelled."""
        if self._closed is not None:
            await asyncio.shield(self._closed)

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, transport)
        self._closed = self._loop.create_future()
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._outbox = Outbox(self._loop, self._transport, self._balance_reading)
        self._opened = self._last_received = self._last_activity = self._loop.time()
        self._set_state(State.OPEN)
        if self.registry is not None:
            self.registry.add(self)
        self._watch_link()

    def data_received(self, data: bytes) -> None:
        self._last_received = self._loop.time()
        for frame in self._framer.feed(data):
            if isinstance(frame, Malformed):
                self._refuse_malformed(frame)
            elif isinstance(frame.pdu, Response):
                self._receive_response(frame.sequence_number, frame.pdu)
            else:
                self._receive_request(frame)

    def pause_writing(self) -> None:
        self._outbox.pause()

    def resume_writing(self) -> None:
        self._outbox.resume()
        self._fill()

    def connection_lost(self, exc: Exception | None) -> None:
        reason = self.close_reason = self.close_reason or (str(exc) if exc else "closed by the peer")
        self._set_state(State.CLOSED)
        for timer in (self._expiry, self._watch, self._ending):
            if isinstance(timer, asyncio.TimerHandle):
                timer.cancel()
        for pending in self._window.clear():
            self._settle(pending, ConnectionCut(reason, written=self._outbox.is_written(pending.place)))
        self._cut_queue(reason)
        self._outbox.drop()
        self._check_idle()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        if self.registry is not None:
            self.registry.discard(self)
        if self._on_closed is not None:
            self._guarded(self._on_closed, self)

    # Requests of ours

    def _check_sendable(self, pdu: Pdu) -> None:
        if self._state is State.CLOSED or self._transport.is_closing():
            raise ConnectionCut(self.close_reason or "the session is closed", written=False)
        if type(pdu) not in self._may_send:
            raise WrongBindState(f"{type(pdu).__name__} may not be sent in state {self._state.value}")

    def _transmit(self, pending: Pending) -> None:
        pending.sequence_number = self._window.next_sequence_number()
        data = encode(pending.request, pending.sequence_number)
        pending.deadline = self._loop.time() + self.timers.response
        self._window.add(pending)
        if isinstance(pending.request, Bind):
            self._set_state(State.BINDING)
        if self._expiry is None:
            self._expiry = self._loop.call_at(pending.deadline, self._expire)
        pending.place = self._outbox.add(data)

    def _fill(self) -> None:
        while self._queue and self._window.free_slots > 0 and not self._outbox.paused:
            pending = self._queue.popleft()
            if pending.abandoned:
                continue
            try:
                self._transmit(pending)
            except EncodeError as error:
                self._settle(pending, error)
        self._check_idle()

    def _cut_queue(self, reason: str) -> None:
        while self._queue:
            self._settle(self._queue.popleft(), ConnectionCut(reason, written=False))

    def _receive_response(self, sequence_number: int, response: Response) -> None:
        pending = self._window.take(sequence_number)
        if pending is None:
            self._receive_stray(sequence_number, response)
            return
        request = pending.request
        if not isinstance(request, EnquireLink):
            self._last_activity = self._last_received
        fits = response.command_id in (request.command_id | RESPONSE_BIT, GenericNack.command_id)
        if isinstance(request, Bind):
            accepted = fits and not response.command_status and isinstance(response, BindResp)
            self._end_bind(request, accepted)
        if not fits:
            self._settle(pending, ResponseUnusable(f"{type(response).__name__} answers another command"))
        elif pending.abandoned:
            self._report_late(pending, response)
        else:
            self._settle(pending, response)
        self._fill()

    def _receive_stray(self, sequence_number: int, response: Response) -> None:
        pending = self._window.take_late(sequence_number)
        if pending is None:
            self.counters.unexpected_responses += 1
        else:
            self._report_late(pending, response)

    def _report_late(self, pending: Pending, response: Response) -> None:
        self.counters.late_responses += 1
        if self._on_late_response is not None:
            late = LateResponse(pending.sequence_number, pending.request, response)
            self._guarded(self._on_late_response, late)

    def _settle(self, pending: Pending, outcome: Response | SmppError) -> None:
        self._guarded(pending.settle, outcome)

    def _guarded(self, hook: Callable[[Any], None], argument: object) -> None:
        try:
            hook(argument)
        except Exception:
            log.exception("a hook of the session's owner failed")

    def _expire(self) -> None:
        self._expiry = None
        for pending in self._window.expire(self._loop.time()):
            if isinstance(pending.request, Bind):
                self._end_bind(pending.request, False)
            self._settle(pending, ResponseTimeout(pending.sequence_number))
        deadline = self._window.next_deadline()
        if deadline is not None and self._expiry is None:
            self._expiry = self._loop.call_at(deadline, self._expire)
        self._fill()

    # Requests of the peer

    def _receive_request(self, frame: Frame) -> None:
        request = frame.pdu
        if type(request) not in self._may_receive or self._unbind_sequence is not None:
            self.counters.misplaced += 1
            status = misplaced_status(self.role, self._state, type(request))
            self.answer(frame.sequence_number, refusal(request.command_id, status))
        elif isinstance(request, EnquireLink):
            self.answer(frame.sequence_number, EnquireLinkResp())
        elif isinstance(request, Unbind):
            self._begin_unbind(frame.sequence_number)
        else:
            self._last_activity = self._last_received
            if isinstance(request, Bind):
                self._set_state(State.BINDING)
            self._incoming.start(frame.sequence_number, request)
            self._balance_reading()

    def _handled(self, sequence_number: int, request: Pdu, response: Response) -> None:
        if isinstance(request, Bind):
            self._end_bind(request, not response.command_status and isinstance(response, BindResp))
        if not isinstance(request, Notification):
            self.answer(sequence_number, response)
        self._balance_reading()
        self._check_idle()

    def answer(self, sequence_number: int, response: Response) -> None:
        """Write one response. Where its values do not fit, the peer gets ESME_RSYSERR instead."""
        if self._state is State.CLOSED:
            return
        try:
            data = encode(response, sequence_number)
        except EncodeError:
            log.exception("a response cannot be encoded")
            data = encode(refusal(response.command_id, CommandStatus.ESME_RSYSERR), sequence_number)
        self._outbox.add(data)

    def _refuse_malformed(self, malformed: Malformed) -> None:
        self.counters.malformed += 1
        error, command_id = malformed.error, malformed.command_id
        log.info("malformed PDU 0x%08X: %s", command_id, error)
        if malformed.fatal:
            self.answer(malformed.sequence_number, GenericNack(command_status=error.command_status))
            self._end(f"malformed: {error}")
        elif command_id in RESPONSES:
            pending = self._window.take(malformed.sequence_number)
            if pending is not None:
                if isinstance(pending.request, Bind):
                    self._end_bind(pending.request, False)
                self._settle(pending, ResponseUnusable(str(error)))
                self._fill()
        else:
            # refusal() gives generic_nack for a command that it does not know.
            self.answer(malformed.sequence_number, refusal(command_id, error.command_status))

    # States and ends

    def _set_state(self, state: State) -> None:
        self._state = state
        self._may_send = sendable(self.role, state)
        self._may_receive = sendable(self.role.peer, state)

    def _end_bind(self, request: Bind, accepted: bool) -> None:
        if self._state is State.BINDING:
            self._set_state(BOUND_BY[type(request)] if accepted else State.OPEN)
            self.bound_by = request if accepted else None
            if accepted:
                self._watch_link()

    def _begin_unbind(self, sequence_number: int) -> None:
        self._unbind_sequence = sequence_number
        self._set_state(State.UNBINDING)
        self._cut_queue("the peer unbinds")
        self._ending = self._loop.call_later(self.timers.response, self._finish_unbind)
        self._check_idle()

    def _finish_unbind(self) -> None:
        if self._state is State.UNBINDING and self._unbind_sequence is not None:
            self.answer(self._unbind_sequence, UnbindResp())
            self._end("the peer unbound")

    def _end(self, reason: str) -> None:
        if self._state is State.CLOSED or self._transport.is_closing():
            return
        self.close_reason = self.close_reason or reason
        # Whatever waited for room goes into the closing transport, which writes it if the peer still reads.
        self._outbox.resume()
        self._transport.close()
        if isinstance(self._ending, asyncio.TimerHandle):
            self._ending.cancel()
        # A peer that reads nothing would keep a closing transport alive for ever.
        self._ending = self._loop.call_later(self.timers.response, self.abort)

    async def _until_idle(self) -> None:
        """Return when nothing is outstanding either way, or the response timer has run out."""
        self._idle = self._loop.create_future()
        self._check_idle()
        await asyncio.wait((self._idle,), timeout=self.timers.response)

    def _check_idle(self) -> None:
        """End what waits until nothing is outstanding; what crossed the peer's unbind is answered before that is."""
        idle = self._state is State.CLOSED or not (len(self._window) or self._incoming.running)
        if idle and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        if not (self._window.metered or self._incoming.running):
            self._finish_unbind()

    # Load and time

    def _balance_reading(self) -> None:
        if self._transport.is_closing():
            return
        load = self._incoming.running + self._outbox.waiting
        if not self._read_paused and load >= self._max_incoming:
            self._read_paused = True
            self._transport.pause_reading()
        elif self._read_paused and load < self._max_incoming:
            self._read_paused = False
            self._transport.resume_reading()

    def _watch_link(self) -> None:
        """Do what is due, and come back when the next thing is."""
        if self._watch is not None:
            self._watch.cancel()
        now, timers = self._loop.time(), self.timers
        due: list[float] = []
        if self._state in (State.OPEN, State.BINDING) and self.role is Role.SMSC:
            if timers.session_init is not None:
                due.append(self._opened + timers.session_init)
                if due[0] <= now:
                    self._end("no bind in time")
                    return
        elif self._state in BOUND:
            if timers.inactivity is not None:
                due.append(self._last_activity + timers.inactivity)
                if due[0] <= now:
                    self._ending = self._loop.create_task(self.close())
                    return
            if timers.enquire_link is not None and not self._enquiring:
                if self._last_received + timers.enquire_link <= now:
                    self._enquiring = True
                    self._transmit(Pending(EnquireLink(), self._enquired, None, False))
                else:
                    due.append(self._last_received + timers.enquire_link)
        self._watch = self._loop.call_at(min(due), self._watch_link) if due else None

    def _enquired(self, outcome: Response | SmppError) -> None:
        self._enquiring = False
        silent = self._loop.time() - self._last_received >= self.timers.response
        if isinstance(outcome, ResponseTimeout) and silent:
            self.abort("enquire_link was not answered")
        elif self._state is not State.CLOSED:
            self._watch_link()
