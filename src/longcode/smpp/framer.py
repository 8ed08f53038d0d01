"""A stream of octets cut into PDUs, with a bound on what is kept.

A PDU larger than the cap is refused on sight of its command_length, before any of it is buffered, so the
framer never keeps more than the cap.
"""

from __future__ import annotations

from typing import Final

import msgspec

from longcode.smpp.codec import HEADER, decode_body
from longcode.smpp.constants import DEFAULT_MAX_PDU_OCTETS, HEADER_OCTETS, CommandStatus
from longcode.smpp.errors import DecodeError, InvalidLength
from longcode.smpp.pdu import Pdu

_LENGTH_OCTETS: Final = 4


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One PDU as it came."""

    sequence_number: int
    pdu: Pdu


class Malformed(msgspec.Struct, frozen=True):
    """One PDU that cannot be used. `error` says why and with which status to answer.

    fatal: the borders of what follows are unknown, so the connection must end.
    command_id and sequence_number are 0 where the header could not be trusted or read.
    """

    sequence_number: int
    command_id: int
    error: DecodeError
    fatal: bool = False


class Framer:
    """Feed it what the connection yields; it answers PDUs in order and never raises.

    max_pdu_octets: cap on command_length, 16 or more.
    """

    def __init__(self, max_pdu_octets: int = DEFAULT_MAX_PDU_OCTETS) -> None:
        self._max_pdu_octets = max_pdu_octets
        self._tail = bytearray()
        self._needed = _LENGTH_OCTETS
        self._broken = False

    @property
    def buffered_octets(self) -> int:
        """How much of an incomplete PDU is kept; always below the cap."""
        return len(self._tail)

    def feed(self, data: bytes) -> list[Frame | Malformed]:
        """The PDUs that `data` completes. After a fatal one, everything is dropped unread."""
        if self._broken:
            return []
        tail = self._tail
        if tail:
            tail += data
            if len(tail) < self._needed:
                return []
            data = bytes(tail)
            tail.clear()
        return self._cut(data)

    def _cut(self, data: bytes) -> list[Frame | Malformed]:
        frames: list[Frame | Malformed] = []
        pos = 0
        size = len(data)
        while size - pos >= HEADER_OCTETS:
            length, command_id, command_status, sequence_number = HEADER.unpack_from(data, pos)
            if not HEADER_OCTETS <= length <= self._max_pdu_octets:
                return self._give_up(frames, length, sequence_number, command_id)
            end = pos + length
            if end > size:
                self._keep(data, pos, length)
                return frames
            try:
                pdu = decode_body(command_id, command_status, data, pos + HEADER_OCTETS, end)
            except DecodeError as error:
                frames.append(Malformed(sequence_number, command_id, error))
            else:
                frames.append(Frame(sequence_number, pdu))
            pos = end
        if size - pos >= _LENGTH_OCTETS:
            length = int.from_bytes(data[pos : pos + _LENGTH_OCTETS], "big")
            if not HEADER_OCTETS <= length <= self._max_pdu_octets:
                return self._give_up(frames, length, 0, 0)
            self._keep(data, pos, HEADER_OCTETS)
        elif pos < size:
            self._keep(data, pos, _LENGTH_OCTETS)
        return frames

    def _keep(self, data: bytes, pos: int, needed: int) -> None:
        self._tail += data[pos:]
        self._needed = needed

    def _give_up(
        self, frames: list[Frame | Malformed], length: int, sequence_number: int, command_id: int
    ) -> list[Frame | Malformed]:
        self._broken = True
        error = InvalidLength(f"command_length is {length}", int(CommandStatus.ESME_RINVCMDLEN))
        frames.append(Malformed(sequence_number, command_id, error, fatal=True))
        return frames
