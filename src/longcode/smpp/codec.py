"""PDUs to bytes and back: one table read from the PDU classes, and short ways for the hot ones.

The short ways hold no rules of their own: whatever they cannot do at once, they leave to the table, which
alone decides what is wrong and says so. Source: SMPP 3.4 issue 1.2, §3.2, §4 and §5.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct as Layout
from struct import error as LayoutError  # noqa: N812 - it is an exception, whatever its spelling
from typing import Final, get_type_hints

from longcode.smpp.constants import HEADER_OCTETS, CommandStatus
from longcode.smpp.errors import EncodeError, InvalidBody, InvalidLength, UnknownCommand
from longcode.smpp.fields import Kind, Tlvs
from longcode.smpp.pdu import (
    PDUS,
    RESPONSES,
    DeliverSm,
    DeliverSmResp,
    Pdu,
    Response,
    ShortMessagePdu,
    SubmitSm,
    SubmitSmResp,
)

Encoder = Callable[[Pdu, int], bytes]
Decoder = Callable[[int, bytes, int, int], Pdu]

HEADER: Final = Layout(">IIII")
_SM_REST: Final = Layout(">BBBBB")
_TLVS: Final = Tlvs()
_EMPTY: Final = (b"", "", 0, (), None)


def _kinds(pdu: type[Pdu]) -> tuple[tuple[str, Kind], ...]:
    hints = get_type_hints(pdu, include_extras=True)
    return tuple((name, hints[name].__metadata__[0]) for name in pdu.__struct_fields__ if name != "command_status")


_TABLE: Final = {pdu: _kinds(pdu) for pdu in PDUS.values()}


def encode(pdu: Pdu, sequence_number: int) -> bytes:
    """The whole PDU with its header. Raises EncodeError for a value that its field cannot hold."""
    return _ENCODERS.get(type(pdu), _encode_by_table)(pdu, sequence_number)


def decode(data: bytes) -> tuple[int, Pdu]:
    """One complete PDU as (sequence_number, PDU). Raises DecodeError."""
    if len(data) < HEADER_OCTETS:
        raise InvalidLength("shorter than a header", int(CommandStatus.ESME_RINVCMDLEN))
    length, command_id, command_status, sequence_number = HEADER.unpack_from(data)
    if length != len(data):
        raise InvalidLength("command_length is another length", int(CommandStatus.ESME_RINVCMDLEN))
    return sequence_number, decode_body(command_id, command_status, data, HEADER_OCTETS, length)


def decode_body(command_id: int, command_status: int, data: bytes, pos: int, end: int) -> Pdu:
    """The PDU whose body is `data[pos:end]`. Raises UnknownCommand or InvalidBody.

    A response without a body is taken with its fields at their defaults: the specification leaves the body
    away when command_status is not 0, and peers do so for success too. Whatever stands there beside such a
    status means nothing: the status alone says that the request was refused.
    """
    decoder = _DECODERS.get(command_id)
    if decoder is None:
        raise UnknownCommand(f"command_id 0x{command_id:08X} is unknown", int(CommandStatus.ESME_RINVCMDID))
    try:
        return decoder(command_status, data, pos, end)
    except InvalidBody:
        response = RESPONSES.get(command_id)
        if response is None or not command_status:
            raise
        return response(command_status=command_status)


def _encode_by_table(pdu: Pdu, sequence_number: int) -> bytes:
    command_status = pdu.command_status if isinstance(pdu, Response) else 0
    fields = _TABLE.get(type(pdu))
    if fields is None:
        raise EncodeError("command_id", "names no PDU of SMPP 3.4")
    values = [(name, kind, getattr(pdu, name)) for name, kind in fields]
    # A refusal has no body (§4.4.2 and its like) unless its sender filled one in.
    bare = command_status != 0 and all(value in _EMPTY for _, _, value in values)
    body = b"" if bare else b"".join([kind.encode(name, value) for name, kind, value in values])
    try:
        return HEADER.pack(HEADER_OCTETS + len(body), pdu.command_id, command_status, sequence_number) + body
    except LayoutError:
        raise EncodeError("header", "has a number that is not an integer of 4 octets") from None


def _decode_by_table(pdu: type[Pdu]) -> Decoder:
    fields = _TABLE[pdu]
    is_response = issubclass(pdu, Response)

    def decode_fields(command_status: int, data: bytes, pos: int, end: int) -> Pdu:
        if is_response and pos == end:
            return pdu(command_status=command_status)
        values = []
        for name, kind in fields:
            value, pos = kind.decode(name, data, pos, end)
            values.append(value)
        if pos != end:
            raise InvalidBody("the body goes on after its last field", int(CommandStatus.ESME_RINVCMDLEN))
        return pdu(*values, command_status=command_status) if is_response else pdu(*values)

    return decode_fields


def _encode_short_message(pdu: Pdu, sequence_number: int) -> bytes:
    assert isinstance(pdu, ShortMessagePdu)
    try:
        service_type = pdu.service_type.encode("latin-1")
        source = pdu.source_addr.encode("latin-1")
        destination = pdu.destination_addr.encode("latin-1")
        times = b"%b\0%b" % (
            pdu.schedule_delivery_time.encode("latin-1"),
            pdu.validity_period.encode("latin-1"),
        )
        message = pdu.short_message
        body = b"%b\0%c%c%b\0%c%c%b\0%c%c%c%b\0%b%b%b" % (
            service_type,
            pdu.source_addr_ton,
            pdu.source_addr_npi,
            source,
            pdu.dest_addr_ton,
            pdu.dest_addr_npi,
            destination,
            pdu.esm_class,
            pdu.protocol_id,
            pdu.priority_flag,
            times,
            _SM_REST.pack(
                pdu.registered_delivery,
                pdu.replace_if_present_flag,
                pdu.data_coding,
                pdu.sm_default_msg_id,
                len(message),
            ),
            message,
            _TLVS.encode("tlvs", pdu.tlvs) if pdu.tlvs else b"",
        )
        header = HEADER.pack(HEADER_OCTETS + len(body), pdu.command_id, 0, sequence_number)
    except (AttributeError, TypeError, ValueError, OverflowError, LayoutError):
        return _encode_by_table(pdu, sequence_number)
    if (
        len(service_type) > 5
        or len(source) > 20
        or len(destination) > 20
        or len(message) > 254
        or len(times) > 1
        or b"\0" in source
        or b"\0" in destination
        or b"\0" in service_type
    ):
        return _encode_by_table(pdu, sequence_number)
    return header + body


def _decode_short_message(pdu: type[SubmitSm] | type[DeliverSm]) -> Decoder:
    by_table = _decode_by_table(pdu)

    def decode_fields(command_status: int, data: bytes, pos: int, end: int) -> Pdu:
        try:
            type_end = data.index(0, pos, pos + 6)
            source_end = data.index(0, type_end + 3, type_end + 24)
            destination_end = data.index(0, source_end + 3, source_end + 24)
            schedule_end = data.index(0, destination_end + 4, destination_end + 21)
            validity_end = data.index(0, schedule_end + 1, schedule_end + 18)
            registered, replace, coding, default_id, length = _SM_REST.unpack_from(data, validity_end + 1)
        except (ValueError, LayoutError):
            return by_table(command_status, data, pos, end)
        message_pos = validity_end + 6
        message_end = message_pos + length
        if message_end > end:
            return by_table(command_status, data, pos, end)
        return pdu(
            data[pos:type_end].decode("latin-1"),
            data[type_end + 1],
            data[type_end + 2],
            data[type_end + 3 : source_end].decode("latin-1"),
            data[source_end + 1],
            data[source_end + 2],
            data[source_end + 3 : destination_end].decode("latin-1"),
            data[destination_end + 1],
            data[destination_end + 2],
            data[destination_end + 3],
            data[destination_end + 4 : schedule_end].decode("latin-1"),
            data[schedule_end + 1 : validity_end].decode("latin-1"),
            registered,
            replace,
            coding,
            default_id,
            data[message_pos:message_end],
            _TLVS.decode("tlvs", data, message_end, end)[0] if message_end < end else (),
        )

    return decode_fields


def _encode_message_id(pdu: Pdu, sequence_number: int) -> bytes:
    assert isinstance(pdu, SubmitSmResp | DeliverSmResp)
    if pdu.command_status or pdu.tlvs:
        return _encode_by_table(pdu, sequence_number)
    try:
        octets = pdu.message_id.encode("latin-1")
        header = HEADER.pack(HEADER_OCTETS + 1 + len(octets), pdu.command_id, 0, sequence_number)
    except (AttributeError, UnicodeEncodeError, LayoutError):
        return _encode_by_table(pdu, sequence_number)
    if len(octets) > 64 or b"\0" in octets:
        return _encode_by_table(pdu, sequence_number)
    return header + octets + b"\0"


def _decode_message_id(pdu: type[SubmitSmResp] | type[DeliverSmResp]) -> Decoder:
    by_table = _decode_by_table(pdu)

    def decode_fields(command_status: int, data: bytes, pos: int, end: int) -> Pdu:
        if pos < end <= pos + 65 and data.find(0, pos, end) == end - 1:
            return pdu(data[pos : end - 1].decode("latin-1"), command_status=command_status)
        return by_table(command_status, data, pos, end)

    return decode_fields


_ENCODERS: Final[dict[type[Pdu], Encoder]] = {
    SubmitSm: _encode_short_message,
    DeliverSm: _encode_short_message,
    SubmitSmResp: _encode_message_id,
    DeliverSmResp: _encode_message_id,
}
_DECODERS: Final[dict[int, Decoder]] = {command_id: _decode_by_table(pdu) for command_id, pdu in PDUS.items()} | {
    SubmitSm.command_id: _decode_short_message(SubmitSm),
    DeliverSm.command_id: _decode_short_message(DeliverSm),
    SubmitSmResp.command_id: _decode_message_id(SubmitSmResp),
    DeliverSmResp.command_id: _decode_message_id(DeliverSmResp),
}
