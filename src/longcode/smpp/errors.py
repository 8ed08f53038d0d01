"""What can go wrong between two SMPP peers, in one tree.

SmppError
├── EncodeError           a value does not fit the field that the specification gives it
├── DecodeError           bytes that are not a PDU; carries the command_status to answer with
│   ├── InvalidLength     command_length is impossible: the stream cannot be read any further
│   ├── UnknownCommand    a command_id that SMPP 3.4 does not have
│   └── InvalidBody       a field or an optional parameter is at fault
└── SessionError          one request, or the session under it, failed
    ├── ConnectionCut     the connection ended before the answer; says whether it was written
    ├── ResponseTimeout   written, and not answered in time
    ├── ResponseUnusable  written, and answered with what is no answer to it
    ├── WindowFull        not sent: no slot is free now
    ├── WrongBindState    not sent: this session may not send this PDU now
    └── BindRefused       the peer answered the bind with a command_status
"""

from __future__ import annotations

from longcode.errors import LongcodeError


class SmppError(LongcodeError):
    """Any error of this package; nothing else leaves it, whatever a peer sends."""

    code = "smpp"


class EncodeError(SmppError):
    """A value does not fit its field. `field` keeps the specification's spelling."""

    code = "smpp_encode"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field


class DecodeError(SmppError):
    """Bytes that are not a PDU. `command_status` is the answer that the specification names."""

    code = "smpp_decode"

    def __init__(self, reason: str, command_status: int) -> None:
        super().__init__(reason)
        self.command_status = command_status


class InvalidLength(DecodeError):
    """command_length is below a header's size or above our cap; nothing after it can be trusted."""

    code = "smpp_length"


class UnknownCommand(DecodeError):
    """The command_id is not one of SMPP 3.4."""

    code = "smpp_command"


class InvalidBody(DecodeError):
    """A mandatory field or an optional parameter is at fault; the PDU's borders are known."""

    code = "smpp_body"


class SessionError(SmppError):
    """A request, or its session, failed. `written` False proves that the peer never saw the request."""

    code = "smpp_session"
    retry = True

    def __init__(self, reason: str, *, written: bool) -> None:
        super().__init__(reason)
        self.written = written


class ConnectionCut(SessionError):
    """The connection ended first. `written`: the request's bytes were handed to the transport before."""

    code = "smpp_cut"


class ResponseTimeout(SessionError):
    """No response within the response timer; the peer may have acted all the same.

    A response that comes later is reported under `sequence_number`.
    """

    code = "smpp_timeout"

    def __init__(self, sequence_number: int) -> None:
        super().__init__(f"no response to sequence_number {sequence_number} in time", written=True)
        self.sequence_number = sequence_number


class ResponseUnusable(SessionError):
    """The response cannot be decoded, or answers another command."""

    code = "smpp_response"

    def __init__(self, reason: str) -> None:
        super().__init__(reason, written=True)


class WindowFull(SessionError):
    """No slot is free for a request that does not wait for one."""

    code = "smpp_window"

    def __init__(self) -> None:
        super().__init__("the window of outstanding requests is full", written=False)


class WrongBindState(SessionError):
    """This session may not send this PDU in the state it is in."""

    code = "smpp_state"
    retry = False

    def __init__(self, reason: str) -> None:
        super().__init__(reason, written=False)


class BindRefused(SessionError):
    """The peer refused the bind with `command_status`."""

    code = "smpp_bind"

    def __init__(self, command_status: int, name: str) -> None:
        super().__init__(f"the bind was refused with {name}", written=True)
        self.command_status = command_status
