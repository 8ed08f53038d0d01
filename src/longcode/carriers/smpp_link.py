"""One connection to a carrier: made, bound, watched, and made again when it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl as tls
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from longcode import log
from longcode.carriers.pace import Pace
from longcode.carriers.smpp_settings import Mode, SmppSettings
from longcode.domain.clock import Clock
from longcode.smpp.constants import CommandStatus
from longcode.smpp.endpoints import connect
from longcode.smpp.errors import BindRefused, ConnectionCut, ResponseTimeout, SmppError
from longcode.smpp.incoming import Answer
from longcode.smpp.pdu import (
    Bind,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    Pdu,
    Response,
    SubmitSm,
    SubmitSmResp,
)
from longcode.smpp.session import Session
from longcode.smpp.states import Role
from longcode.smpp.terms import LateResponse, Timers
from longcode.smpp.window import Outcome as Answered

CONNECT_SECONDS: Final = 10.0
BIND_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 10.0
# Carriers lock accounts out whose password is wrong too often.
REFUSED_PAUSE_SECONDS: Final = 60.0
LONG_LIFE_SECONDS: Final = 30.0
_CREDENTIALS: Final = (
    CommandStatus.ESME_RINVPASWD,
    CommandStatus.ESME_RINVSYSID,
    CommandStatus.ESME_RINVSYSTYP,
)


class Kind(StrEnum):
    """Which directions a connection has."""

    TRANSCEIVER = "transceiver"
    TRANSMITTER = "transmitter"
    RECEIVER = "receiver"


_BINDS: Final[dict[Kind, type[Bind]]] = {
    Kind.TRANSCEIVER: BindTransceiver,
    Kind.TRANSMITTER: BindTransmitter,
    Kind.RECEIVER: BindReceiver,
}
KINDS: Final[dict[Mode, tuple[Kind, ...]]] = {
    Mode.TRANSCEIVER: (Kind.TRANSCEIVER,),
    Mode.PAIR: (Kind.TRANSMITTER, Kind.RECEIVER),
}


class LinkState(StrEnum):
    """Where a connection is. WAITING: until the next try."""

    CONNECTING = "connecting"
    BOUND = "bound"
    WAITING = "waiting"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindStatus:
    """What an operator sees of one bind.

    since: when it came into this state. pace: learned segments a second; None: no limit is known.
    reconnects: how often it was bound again after an end.
    last_error: in plain words; "" while there was none.
    """

    name: str
    state: LinkState
    since: datetime
    pace: float | None
    in_flight: int
    submits: int
    accepted: int
    throttled: int
    timeouts: int
    reconnects: int
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What a link tells its driver.

    delivered: a request of the carrier. late: a response after its timeout. changed: bound, or ended.
    """

    delivered: Callable[[Session, Pdu], Answer | Awaitable[Answer]]
    late: Callable[[LateResponse], None]
    changed: Callable[[Session, bool], None]


class Link:
    """One connection that keeps itself bound.

    It is in doubt when a submit has timed out and nothing was answered since. One at a time is risked then,
    since whatever is written may be lost to us; if that one times out too, the connection is made anew,
    and is still in doubt.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        settings: SmppSettings,
        events: Events,
        *,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.name = name
        self.kind = kind
        self.pace = Pace()
        self._settings = settings
        self._events = events
        self._clock = clock
        self._random = random
        self._task: asyncio.Task[None] | None = None
        self._session: Session | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._doubted_at: float | None = None
        self._carried = False
        self._failures = 0
        self._state = LinkState.CLOSED
        self._since = clock()
        self._in_flight = self._submits = self._accepted = self._throttled = self._timeouts = self._binds = 0
        self._last_error = ""
        self._log = log.get("smpp")

    @property
    def submits(self) -> bool:
        """Whether this kind of connection takes submits."""
        return self.kind is not Kind.RECEIVER

    @property
    def bound(self) -> bool:
        """It may be used now."""
        return self._session is not None

    @property
    def in_flight(self) -> int:
        """Submits that await their answer."""
        return self._in_flight

    @property
    def width(self) -> int:
        """How many submits may be in flight at once; 0 where it is not bound or never submits."""
        if self._session is None or not self.submits:
            return 0
        return 1 if self._doubted_at is not None else self._settings.window

    def room(self, now: float, ahead_seconds: float = 0.0) -> int:
        """How many more submits fit now, by window and pace."""
        if self._session is None or not self.submits:
            return 0
        free = self._session.free_slots
        if self._doubted_at is not None:
            free = min(free, 1 - self._in_flight)
        paced = self.pace.allowed(now, ahead_seconds)
        return max(0, free if paced is None else min(free, paced))

    def start(self) -> None:
        """Connect, and stay connected."""
        self._task = asyncio.create_task(self._run(), name=f"smpp {self.name}")

    async def close(self) -> None:
        """Unbind after what is in flight was answered, for a few seconds at most."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._leave()
        if self._leaving is not None:
            await self._leaving
        self._enter(LinkState.CLOSED)

    def submit(self, pdu: SubmitSm, done: Callable[[Answered], None]) -> None:
        """Write one submit. Raises EncodeError, or a SessionError with nothing written."""
        session = self._session
        if session is None:
            raise ConnectionCut("not bound", written=False)
        now = asyncio.get_running_loop().time()

        def answered(answer: Answered) -> None:
            self._note(session, answer, now)
            done(answer)

        session.submit(pdu, answered)
        self.pace.take(now)
        self._in_flight += 1
        self._submits += 1

    def status(self) -> BindStatus:
        """What an operator sees."""
        return BindStatus(
            name=self.name,
            state=self._state,
            since=self._since,
            pace=None if self.pace.rate is None else round(self.pace.rate, 1),
            in_flight=self._in_flight,
            submits=self._submits,
            accepted=self._accepted,
            throttled=self._throttled,
            timeouts=self._timeouts,
            reconnects=max(0, self._binds - 1),
            last_error=self._last_error,
        )

    def throttle(self, submitted_at: float, now: float) -> None:
        """The carrier refused a submit for its rate."""
        self._throttled += 1
        self.pace.throttled(now, submitted_at)

    def rebind(self, reason: str) -> None:
        """Leave this session; the next one begins clean."""
        if self._session is not None:
            self._session.close_reason = reason
            self._leave()

    def _leave(self) -> None:
        """Write nothing more, and unbind after what is in flight was answered, for a few seconds at most."""
        session, self._session = self._session, None
        if session is not None:
            self._leaving = asyncio.create_task(self._unbind(session), name=f"smpp {self.name} unbinds")

    async def _unbind(self, session: Session) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await session.close()
        except TimeoutError:
            session.abort("closing took too long")
            await session.wait_closed()
        self._events.changed(session, False)

    # Submits

    def _note(self, session: Session, answer: Answered, submitted_at: float) -> None:
        self._in_flight -= 1
        now = asyncio.get_running_loop().time()
        if isinstance(answer, Response):
            self._doubted_at = None
            if isinstance(answer, SubmitSmResp) and not answer.command_status:
                self._accepted += 1
                self._carried = True
                self.pace.accepted(now)
        elif isinstance(answer, ResponseTimeout):
            self._timeouts += 1
            self._last_error = f"no answer to a submit within {self._settings.response_timeout_seconds:g} s"
            if self._doubted_at is None:
                self._doubted_at = now
            elif submitted_at >= self._doubted_at:
                session.abort(self._last_error)

    # The connection

    async def _run(self) -> None:
        while True:
            pause = await self._live()
            self._enter(LinkState.WAITING)
            await asyncio.sleep(pause)

    async def _live(self) -> float:
        """Connect, bind, wait for the end; how long to pause then."""
        loop = asyncio.get_running_loop()
        self._enter(LinkState.CONNECTING)
        session = self._new_session()
        try:
            await connect(
                self._settings.host,
                self._settings.port,
                session,
                ssl=tls_context(self._settings),
                server_hostname=self._settings.tls_server_name or None,
                timeout_seconds=CONNECT_SECONDS,
            )
            async with asyncio.timeout(BIND_SECONDS):
                await session.bind(bind_of(self.kind, self._settings))
        except BindRefused as error:
            session.abort()
            return self._failed(str(error), refused=error.command_status in _CREDENTIALS)
        except TimeoutError:
            session.abort()
            return self._failed(f"the bind was not answered within {BIND_SECONDS:g} s")
        except (SmppError, OSError, ValueError) as error:
            session.abort()
            return self._failed(_in_words(error))
        except asyncio.CancelledError:
            session.abort()
            raise
        began = loop.time()
        self._bound(session)
        await session.wait_closed()
        self._ended(session)
        if self._carried or loop.time() - began > LONG_LIFE_SECONDS:
            self._failures = 0
        return self._failed(session.close_reason or "the connection ended")

    def _new_session(self) -> Session:
        timers = Timers(
            response=self._settings.response_timeout_seconds,
            enquire_link=self._settings.enquire_link_seconds or None,
        )
        return Session(
            Role.ESME,
            self._delivered,
            timers=timers,
            window=self._settings.window,
            on_late_response=self._late,
            on_closed=self._ended,
        )

    def _delivered(self, session: Session, request: Pdu) -> Answer | Awaitable[Answer]:
        self._carried = True
        return self._events.delivered(session, request)

    def _late(self, late: LateResponse) -> None:
        self._doubted_at = None
        self._events.late(late)

    def _bound(self, session: Session) -> None:
        self._session = session
        self._carried = False
        self._binds += 1
        self._enter(LinkState.BOUND)
        self._log.info("bound", bind=self.name, peer=session.peer)
        self._events.changed(session, True)

    def _ended(self, session: Session) -> None:
        if self._session is session:
            self._session = None
            self._events.changed(session, False)

    def _failed(self, reason: str, *, refused: bool = False) -> float:
        self._last_error = reason
        pause = pause_seconds(self._failures, refused=refused, random=self._random)
        self._failures += 1
        self._log.warning("not bound", bind=self.name, reason=reason, again_seconds=round(pause, 2))
        return pause

    def _enter(self, state: LinkState) -> None:
        self._state = state
        self._since = self._clock()


def pause_seconds(failures: int, *, refused: bool, random: Callable[[], float]) -> float:
    """How long to wait before the next try. failures: in a row before this one. refused: for the credentials."""
    pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 10), LONGEST_PAUSE_SECONDS)
    if refused:
        pause = REFUSED_PAUSE_SECONDS if failures else LONGEST_PAUSE_SECONDS
    return pause * (0.5 + 0.5 * random())


def bind_of(kind: Kind, settings: SmppSettings) -> Bind:
    """The request that makes a connection of this kind."""
    return _BINDS[kind](
        system_id=settings.system_id,
        password=settings.password,
        system_type=settings.system_type,
        interface_version=settings.interface_version.octet,
        address_range=settings.address_range,
    )


def tls_context(settings: SmppSettings) -> tls.SSLContext | None:
    """What to speak TLS with; None: without. Raises OSError, which names a file that cannot be used."""
    if not settings.tls:
        return None
    with _naming(tls_ca=settings.tls_ca):
        context = tls.create_default_context(cafile=settings.tls_ca or None)
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = tls.CERT_NONE
    if settings.tls_cert:
        with _naming(tls_cert=settings.tls_cert, tls_key=settings.tls_key):
            context.load_cert_chain(settings.tls_cert, settings.tls_key or None)
    return context


@contextmanager
def _naming(**files: str) -> Iterator[None]:
    """The system's words name no file: add the settings that do."""
    try:
        yield
    except OSError as error:
        named = ", ".join(f"{setting} {path}" for setting, path in files.items() if path)
        raise OSError(f"{named}: {error.strerror or error}") from None


def _in_words(error: BaseException) -> str:
    cause = error.__cause__
    if isinstance(cause, TimeoutError):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(cause, OSError):
        # asyncio replaces the system's words for a number by its own, which name no reason.
        if cause.errno and not isinstance(cause, tls.SSLError | socket.gaierror):
            return f"no connection: {os.strerror(cause.errno)}"
        return f"no connection: {cause.strerror or cause}"
    return str(error)
