"""Who may send which PDU in which state of a session.

Source: SMPP 3.4 issue 1.2, §2.2 (states) and §2.3 (table 2-1).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from longcode.smpp import pdu
from longcode.smpp.constants import CommandStatus


class Role(Enum):
    """Which end of the session this is."""

    ESME = "esme"
    SMSC = "smsc"

    @property
    def peer(self) -> Role:
        """The other end."""
        return Role.SMSC if self is Role.ESME else Role.ESME


class State(Enum):
    """Where a session is. BINDING and UNBINDING are ours: a bind, or an end, is under way."""

    OPEN = "open"
    BINDING = "binding"
    BOUND_TX = "bound_tx"
    BOUND_RX = "bound_rx"
    BOUND_TRX = "bound_trx"
    UNBINDING = "unbinding"
    CLOSED = "closed"


BOUND: Final = frozenset((State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX))
BOUND_BY: Final[dict[type[pdu.Pdu], State]] = {
    pdu.BindTransmitter: State.BOUND_TX,
    pdu.BindReceiver: State.BOUND_RX,
    pdu.BindTransceiver: State.BOUND_TRX,
}
_OPEN: Final = frozenset((State.OPEN,))
_SENDS: Final = frozenset((State.BOUND_TX, State.BOUND_TRX))
_RECEIVES: Final = frozenset((State.BOUND_RX, State.BOUND_TRX))
_NEVER: Final[frozenset[State]] = frozenset()

# PDU: (states in which an ESME may send it, states in which an SMSC may).
_TABLE: Final[dict[type[pdu.Pdu], tuple[frozenset[State], frozenset[State]]]] = {
    pdu.BindTransmitter: (_OPEN, _NEVER),
    pdu.BindReceiver: (_OPEN, _NEVER),
    pdu.BindTransceiver: (_OPEN, _NEVER),
    pdu.Outbind: (_NEVER, _OPEN),
    pdu.Unbind: (BOUND | {State.UNBINDING}, BOUND | {State.UNBINDING}),
    pdu.EnquireLink: (BOUND | {State.UNBINDING}, BOUND | {State.UNBINDING}),
    pdu.SubmitSm: (_SENDS, _NEVER),
    pdu.SubmitMulti: (_SENDS, _NEVER),
    pdu.DataSm: (_SENDS, _RECEIVES),
    pdu.DeliverSm: (_NEVER, _RECEIVES),
    pdu.QuerySm: (_SENDS, _NEVER),
    pdu.CancelSm: (_SENDS, _NEVER),
    pdu.ReplaceSm: (_SENDS, _NEVER),
    pdu.AlertNotification: (_NEVER, _RECEIVES),
}


def sendable(role: Role, state: State) -> frozenset[type[pdu.Pdu]]:
    """The requests that `role` may send in `state`."""
    column = 0 if role is Role.ESME else 1
    return frozenset(kind for kind, states in _TABLE.items() if state in states[column])


def misplaced_status(role: Role, state: State, kind: type[pdu.Pdu]) -> int:
    """What `role` answers to a request that its peer may not send now.

    While we unbind, the answer asks for another attempt later, so that nothing is given up for our restart.
    """
    if state is State.UNBINDING:
        return int(CommandStatus.ESME_RX_T_APPN if role is Role.ESME else CommandStatus.ESME_RSYSERR)
    if kind in BOUND_BY and state is not State.OPEN and role is Role.SMSC:
        return int(CommandStatus.ESME_RALYBND)
    return int(CommandStatus.ESME_RINVBNDSTS)
