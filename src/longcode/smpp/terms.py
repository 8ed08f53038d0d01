"""What a session is told at its start, and what it tells its owner beside responses."""

from __future__ import annotations

from dataclasses import dataclass

from longcode.smpp.pdu import Request, Response


@dataclass(frozen=True, slots=True)
class Timers:
    """How long a session waits, in seconds. None turns one off.

    response: for an answer. enquire_link: without a word from the peer before asking whether it is there; no
    answer within `response` ends the session. inactivity: without any other PDU before unbinding.
    session_init: for a bind, at the SMSC.
    Source: SMPP 3.4 issue 1.2, §7.2.
    """

    response: float = 30.0
    enquire_link: float | None = 30.0
    inactivity: float | None = None
    session_init: float | None = 10.0


@dataclass(frozen=True, slots=True)
class LateResponse:
    """A response to a request whose owner had stopped waiting."""

    sequence_number: int
    request: Request
    response: Response


@dataclass(slots=True)
class Counters:
    """What was odd about the peer since the session began."""

    malformed: int = 0
    misplaced: int = 0
    late_responses: int = 0
    unexpected_responses: int = 0
