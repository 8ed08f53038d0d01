"""How each kind of field lies on the wire: its limits, its bytes, and the status of its faults.

A kind encodes one value to octets, and decodes one value from `data[pos:end]` to (value, next position).
Sizes of C-octet strings include their NUL, as in the specification's tables. Text fields are Latin-1 on
the wire: the specification says ASCII, carriers send more, and Latin-1 loses no octet.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Any, Final, Protocol

import msgspec

from longcode.smpp.constants import CommandStatus, Tag
from longcode.smpp.errors import EncodeError, InvalidBody

RINVPARLEN: Final = int(CommandStatus.ESME_RINVPARLEN)
_INTEGERS: Final = {1: Layout(">B"), 2: Layout(">H"), 4: Layout(">I")}
_TLV_HEADER: Final = Layout(">HH")
_ADDRESS_OCTETS: Final = 21


class Kind(Protocol):
    """One row of the specification's field tables."""

    def encode(self, name: str, value: Any) -> bytes: ...

    def decode(self, name: str, data: bytes, pos: int, end: int) -> tuple[Any, int]: ...


class Integer(msgspec.Struct, frozen=True):
    """An unsigned big-endian integer of 1, 2 or 4 octets."""

    size: int

    def encode(self, name: str, value: Any) -> bytes:
        if not isinstance(value, int) or not 0 <= value < 1 << (8 * self.size):
            raise EncodeError(name, f"is not an integer of {self.size} octets")
        return _INTEGERS[self.size].pack(value)

    def decode(self, name: str, data: bytes, pos: int, end: int) -> tuple[int, int]:
        if pos + self.size > end:
            raise InvalidBody(f"the PDU ends before {name}", RINVPARLEN)
        return _INTEGERS[self.size].unpack_from(data, pos)[0], pos + self.size


class CString(msgspec.Struct, frozen=True):
    """A C-octet string of at most `size` octets with its NUL."""

    size: int

    def encode(self, name: str, value: Any) -> bytes:
        return latin1(name, value, self.size - 1) + b"\0"

    def decode(self, name: str, data: bytes, pos: int, end: int) -> tuple[str, int]:
        stop = data.find(0, pos, min(end, pos + self.size))
        if stop < 0:
            raise InvalidBody(f"{name} has no NUL within {self.size} octets", RINVPARLEN)
        return data[pos:stop].decode("latin-1"), stop + 1


class ShortMessage(msgspec.Struct, frozen=True):
    """sm_length and short_message: 0 to 254 octets."""

    def encode(self, name: str, value: Any) -> bytes:
        if not isinstance(value, bytes) or len(value) > 254:
            raise EncodeError(name, "is longer than 254 octets")
        return bytes((len(value),)) + value

    def decode(self, name: str, data: bytes, pos: int, end: int) -> tuple[bytes, int]:
        if pos >= end:
            raise InvalidBody("the PDU ends before sm_length", RINVPARLEN)
        stop = pos + 1 + data[pos]
        # 255 is tolerated on the way in: the octets are there, and refusing them would lose a message.
        if stop > end:
            raise InvalidBody("sm_length reaches beyond the PDU", int(CommandStatus.ESME_RINVMSGLEN))
        return data[pos + 1 : stop], stop


def latin1(name: str, value: Any, longest: int) -> bytes:
    """The octets of a C-octet string without its NUL. Raises EncodeError."""
    if not isinstance(value, str):
        raise EncodeError(name, "is not text")
    try:
        octets = value.encode("latin-1")
    except UnicodeEncodeError:
        raise EncodeError(name, "has a character that is not Latin-1") from None
    if len(octets) > longest or b"\0" in octets:
        raise EncodeError(name, f"is longer than {longest} octets or contains NUL")
    return octets


class SmeAddress(msgspec.Struct, frozen=True):
    """A destination of submit_multi that is one SME (dest_flag 1)."""

    destination_addr: str
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0


class DistributionList(msgspec.Struct, frozen=True):
    """A destination of submit_multi that is a list kept at the SMSC (dest_flag 2)."""

    dl_name: str


class UnsuccessSme(msgspec.Struct, frozen=True):
    """One destination that a submit_multi did not reach, and why."""

    destination_addr: str
    error_status_code: int
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0


_OCTET: Final = Integer(1)
_ADDRESS: Final = CString(_ADDRESS_OCTETS)


class Destinations(msgspec.Struct, frozen=True):
    """number_of_dests and dest_address(es) of submit_multi: at most 254."""

    def encode(self, name: str, value: Any) -> bytes:
        if len(value) > 254:
            raise EncodeError(name, "has more than 254 entries")
        return bytes((len(value),)) + b"".join(self._encode_one(entry) for entry in value)

    def _encode_one(self, entry: Any) -> bytes:
        match entry:
            case SmeAddress():
                ton = _OCTET.encode("dest_addr_ton", entry.dest_addr_ton)
                npi = _OCTET.encode("dest_addr_npi", entry.dest_addr_npi)
                return b"\x01" + ton + npi + _ADDRESS.encode("destination_addr", entry.destination_addr)
            case DistributionList():
                return b"\x02" + _ADDRESS.encode("dl_name", entry.dl_name)
        raise EncodeError("dest_address", "is neither an SME address nor a distribution list")

    def decode(
        self, name: str, data: bytes, pos: int, end: int
    ) -> tuple[tuple[SmeAddress | DistributionList, ...], int]:
        count, pos = _OCTET.decode("number_of_dests", data, pos, end)
        entries: list[SmeAddress | DistributionList] = []
        for _ in range(count):
            flag, pos = _OCTET.decode("dest_flag", data, pos, end)
            if flag == 1:
                ton, pos = _OCTET.decode("dest_addr_ton", data, pos, end)
                npi, pos = _OCTET.decode("dest_addr_npi", data, pos, end)
                address, pos = _ADDRESS.decode("destination_addr", data, pos, end)
                entries.append(SmeAddress(address, ton, npi))
            elif flag == 2:
                address, pos = _ADDRESS.decode("dl_name", data, pos, end)
                entries.append(DistributionList(address))
            else:
                raise InvalidBody(f"dest_flag is {flag}", int(CommandStatus.ESME_RINVDESTFLAG))
        return tuple(entries), pos


class Unsuccessful(msgspec.Struct, frozen=True):
    """no_unsuccess and unsuccess_sme(s) of submit_multi_resp: at most 255."""

    def encode(self, name: str, value: Any) -> bytes:
        if len(value) > 255:
            raise EncodeError(name, "has more than 255 entries")
        parts = [bytes((len(value),))]
        for entry in value:
            parts.append(_OCTET.encode("dest_addr_ton", entry.dest_addr_ton))
            parts.append(_OCTET.encode("dest_addr_npi", entry.dest_addr_npi))
            parts.append(_ADDRESS.encode("destination_addr", entry.destination_addr))
            parts.append(Integer(4).encode("error_status_code", entry.error_status_code))
        return b"".join(parts)

    def decode(self, name: str, data: bytes, pos: int, end: int) -> tuple[tuple[UnsuccessSme, ...], int]:
        count, pos = _OCTET.decode("no_unsuccess", data, pos, end)
        entries: list[UnsuccessSme] = []
        for _ in range(count):
            ton, pos = _OCTET.decode("dest_addr_ton", data, pos, end)
            npi, pos = _OCTET.decode("dest_addr_npi", data, pos, end)
            address, pos = _ADDRESS.decode("destination_addr", data, pos, end)
            status, pos = Integer(4).decode("error_status_code", data, pos, end)
            entries.append(UnsuccessSme(address, status, ton, npi))
        return tuple(entries), pos


class Tlv(msgspec.Struct, frozen=True, gc=False):
    """One optional parameter. `value` has the type of its tag; bytes, verbatim, where we do not know it."""

    tag: int
    value: int | str | bytes


class TlvText(msgspec.Struct, frozen=True):
    """A C-octet string as an optional parameter. Many SMSCs forget its NUL, so decoding does without."""

    size: int

    def encode(self, name: str, value: Any) -> bytes:
        return latin1(name, value, self.size - 1) + b"\0"

    def decode(self, name: str, data: bytes, pos: int, end: int) -> tuple[str, int]:
        octets = data[pos:end].removesuffix(b"\0")
        if len(octets) >= self.size:
            raise InvalidBody(f"{name} is longer than {self.size} octets", RINVPARLEN)
        if b"\0" in octets:
            raise InvalidBody(f"{name} goes on after its NUL", int(CommandStatus.ESME_RINVOPTPARAMVAL))
        return octets.decode("latin-1"), end


class TlvOctets(msgspec.Struct, frozen=True):
    """Octets as an optional parameter, between two lengths."""

    shortest: int
    longest: int = 0xFFFF

    def encode(self, name: str, value: Any) -> bytes:
        if not isinstance(value, bytes) or not self.shortest <= len(value) <= self.longest:
            raise EncodeError(name, f"is not {self.shortest} to {self.longest} octets")
        return value

    def decode(self, name: str, data: bytes, pos: int, end: int) -> tuple[bytes, int]:
        if not self.shortest <= end - pos <= self.longest:
            raise InvalidBody(f"{name} is not {self.shortest} to {self.longest} octets", RINVPARLEN)
        return data[pos:end], end


_U8: Final = Integer(1)
_U16: Final = Integer(2)
_U32: Final = Integer(4)

_KINDS: Final[dict[Tag, Kind]] = {
    Tag.dest_addr_subunit: _U8,
    Tag.dest_network_type: _U8,
    Tag.dest_bearer_type: _U8,
    Tag.dest_telematics_id: _U16,
    Tag.source_addr_subunit: _U8,
    Tag.source_network_type: _U8,
    Tag.source_bearer_type: _U8,
    Tag.source_telematics_id: _U8,
    Tag.qos_time_to_live: _U32,
    Tag.payload_type: _U8,
    Tag.additional_status_info_text: TlvText(256),
    Tag.receipted_message_id: TlvText(65),
    Tag.ms_msg_wait_facilities: _U8,
    Tag.privacy_indicator: _U8,
    Tag.source_subaddress: TlvOctets(2, 23),
    Tag.dest_subaddress: TlvOctets(2, 23),
    Tag.user_message_reference: _U16,
    Tag.user_response_code: _U8,
    Tag.source_port: _U16,
    Tag.destination_port: _U16,
    Tag.sar_msg_ref_num: _U16,
    Tag.language_indicator: _U8,
    Tag.sar_total_segments: _U8,
    Tag.sar_segment_seqnum: _U8,
    Tag.sc_interface_version: _U8,
    Tag.callback_num_pres_ind: _U8,
    Tag.callback_num_atag: TlvOctets(0, 65),
    Tag.number_of_messages: _U8,
    Tag.callback_num: TlvOctets(4, 19),
    Tag.dpf_result: _U8,
    Tag.set_dpf: _U8,
    Tag.ms_availability_status: _U8,
    Tag.network_error_code: TlvOctets(3, 3),
    Tag.message_payload: TlvOctets(0),
    Tag.delivery_failure_reason: _U8,
    Tag.more_messages_to_send: _U8,
    Tag.message_state: _U8,
    Tag.ussd_service_op: TlvOctets(1, 1),
    Tag.display_time: _U8,
    Tag.sms_signal: _U16,
    Tag.ms_validity: _U8,
    # SMPP 3.4 gives it no value, 5.0 one octet, and peers send both.
    Tag.alert_on_message_delivery: TlvOctets(0, 1),
    Tag.its_reply_type: _U8,
    Tag.its_session_info: TlvOctets(2, 2),
}
TLV_KINDS: Final[dict[int, tuple[str, Kind]]] = {tag.value: (tag.name, kind) for tag, kind in _KINDS.items()}
_UNKNOWN_KIND: Final = TlvOctets(0)


class Tlvs(msgspec.Struct, frozen=True):
    """Optional parameters in the order they came, the known typed, the others verbatim."""

    def encode(self, name: str, value: Any) -> bytes:
        return b"".join(map(self._encode_one, value))

    def _encode_one(self, tlv: Tlv) -> bytes:
        if not isinstance(tlv.tag, int) or not 0 <= tlv.tag <= 0xFFFF:
            raise EncodeError("tag", "is not an integer of 2 octets")
        name, kind = TLV_KINDS.get(tlv.tag) or (f"tag 0x{tlv.tag:04X}", _UNKNOWN_KIND)
        octets = kind.encode(name, tlv.value)
        return _TLV_HEADER.pack(tlv.tag, len(octets)) + octets

    def decode(self, name: str, data: bytes, pos: int, end: int) -> tuple[tuple[Tlv, ...], int]:
        entries: list[Tlv] = []
        while pos < end:
            if pos + 4 > end:
                raise _stream_fault()
            tag, length = _TLV_HEADER.unpack_from(data, pos)
            pos += 4
            stop = pos + length
            if stop > end:
                raise _stream_fault()
            known = TLV_KINDS.get(tag)
            if known is None:
                entries.append(Tlv(tag, data[pos:stop]))
            else:
                value, after = known[1].decode(known[0], data, pos, stop)
                if after != stop:
                    raise InvalidBody(f"{known[0]} is {length} octets long", RINVPARLEN)
                entries.append(Tlv(tag, value))
            pos = stop
        return tuple(entries), end


def _stream_fault() -> InvalidBody:
    return InvalidBody("an optional parameter reaches beyond the PDU", int(CommandStatus.ESME_RINVOPTPARSTREAM))
