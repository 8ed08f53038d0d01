"""What a short message's octets say, and which octets say it: data_coding, concatenation, message_payload.

Source: SMPP 3.4 issue 1.2, §5.2.12, §5.2.19, §5.3.2.22 to .24 and .32; 3GPP TS 23.038 §4;
3GPP TS 23.040 §9.2.3.24.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from longcode.encoding import gsm7
from longcode.encoding.segments import Encoding, Segment
from longcode.smpp.constants import DataCoding, EsmClass, Tag
from longcode.smpp.fields import Tlv
from longcode.smpp.pdu import DataSm, DeliverSm, SubmitSm

_CONCATENATION_8: Final = 0x00
_CONCATENATION_16: Final = 0x08
_UDHI: Final = int(EsmClass.UDH_INDICATOR)

# None: the octets are data, not text.
_CODECS: Final[dict[int, str | None]] = {
    DataCoding.IA5: "latin-1",
    DataCoding.OCTETS_2: None,
    DataCoding.LATIN1: "latin-1",
    DataCoding.OCTETS_4: None,
    6: "iso8859_5",
    7: "iso8859_8",
    DataCoding.UCS2: "utf-16-be",
    14: "euc_kr",
}
_ENCODINGS: Final[dict[str | None, Encoding]] = {
    "gsm7": Encoding.GSM7,
    "latin-1": Encoding.LATIN1,
    "utf-16-be": Encoding.UCS2,
}
_DATA_CODING: Final = {
    Encoding.GSM7: DataCoding.SMSC_DEFAULT,
    Encoding.LATIN1: DataCoding.LATIN1,
    Encoding.UCS2: DataCoding.UCS2,
}


class Concatenation(Enum):
    """How the parts of a message say that they belong together."""

    UDH_8 = "udh8"
    UDH_16 = "udh16"
    SAR = "sar"


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a message this is. sequence: from 1 to total. reference: shared by the parts."""

    reference: int
    total: int
    sequence: int
    reference_bits: Literal[8, 16] = 8


@dataclass(frozen=True, slots=True)
class UserData:
    """Octets after their user data header. elements: (IEI, octets) in order. part: None when alone."""

    elements: tuple[tuple[int, bytes], ...]
    part: Part | None
    octets: bytes


@dataclass(frozen=True, slots=True)
class Carried:
    """The fields of submit_sm or deliver_sm that carry one segment.

    esm_class: only the bits that the segment needs; combine it with yours.
    """

    esm_class: int
    data_coding: int
    short_message: bytes
    tlvs: tuple[Tlv, ...]


@dataclass(frozen=True, slots=True)
class Received:
    """What a peer's message says.

    text: None when its data_coding says data. octets: without the user data header; the parts of a message
    are to be joined as octets and then decoded, for a careless sender cuts characters in two.
    """

    text: str | None
    octets: bytes
    part: Part | None
    data_coding: int


def build_udh(part: Part) -> bytes:
    """The user data header, with its length octet, for one part."""
    if part.reference_bits == 16:
        return bytes((6, _CONCATENATION_16, 4)) + part.reference.to_bytes(2, "big") + bytes((part.total, part.sequence))
    return bytes((5, _CONCATENATION_8, 3, part.reference, part.total, part.sequence))


def parse_udh(octets: bytes) -> UserData:
    """The header's elements and what follows it.

    A header that reaches beyond the octets is taken as text, so that nothing is lost. An impossible part
    (number 0, or above the total) is ignored (TS 23.040 §9.2.3.24.1).
    """
    if not octets or 1 + octets[0] > len(octets):
        return UserData((), None, octets)
    end = 1 + octets[0]
    elements: list[tuple[int, bytes]] = []
    pos = 1
    while pos + 2 <= end:
        stop = pos + 2 + octets[pos + 1]
        if stop > end:
            break
        elements.append((octets[pos], octets[pos + 2 : stop]))
        pos = stop
    part = None
    for iei, value in elements:
        # The last one counts (TS 23.040 §9.2.3.24).
        part = _part(iei, value) or part
    return UserData(tuple(elements), part, octets[end:])


def _part(iei: int, value: bytes) -> Part | None:
    if iei == _CONCATENATION_8 and len(value) == 3:
        part = Part(value[0], value[1], value[2])
    elif iei == _CONCATENATION_16 and len(value) == 4:
        part = Part(int.from_bytes(value[:2], "big"), value[2], value[3], 16)
    else:
        return None
    return part if 1 <= part.sequence <= part.total else None


def encode_text(text: str, encoding: Encoding) -> bytes:
    """The octets of text: GSM 7 bit unpacked, a septet an octet. Raises Unencodable."""
    if encoding is Encoding.GSM7:
        return gsm7.encode(text)
    codec = "latin-1" if encoding is Encoding.LATIN1 else "utf-16-be"
    try:
        return text.encode(codec)
    except UnicodeEncodeError as cause:
        raise gsm7.Unencodable(f"U+{ord(text[cause.start]):04X} is not in {encoding}") from cause


def decode_text(octets: bytes, data_coding: int, *, default: Encoding = Encoding.GSM7) -> str | None:
    """The text of octets without a header, or None for data; undecodable octets become U+FFFD.

    default: what the carrier means by data_coding 0.
    """
    alphabet = _alphabet(data_coding, default)
    if alphabet == "gsm7":
        return gsm7.decode(octets)
    return None if alphabet is None else octets.decode(alphabet, "replace")


def encoding_of(data_coding: int, default: Encoding = Encoding.GSM7) -> Encoding | None:
    """In which of our encodings the octets are that data_coding names; None for any other, and for data."""
    return _ENCODINGS.get(_alphabet(data_coding, default))


def _alphabet(data_coding: int, default: Encoding) -> str | None:
    if data_coding == DataCoding.SMSC_DEFAULT:
        return next(alphabet for alphabet, encoding in _ENCODINGS.items() if encoding is default)
    if data_coding in _CODECS:
        return _CODECS[data_coding]
    # TS 23.038 §4: 1111xxxx is a message class with 7 or 8 bits; 00x1xxxx has a class and an alphabet.
    if data_coding & 0xF0 == 0xF0:
        return None if data_coding & 0x04 else "gsm7"
    if data_coding & 0xD0 == 0x10:
        return {0x00: "gsm7", 0x08: "utf-16-be"}.get(data_coding & 0x0C)
    return None


def carry(segment: Segment, *, by: Concatenation = Concatenation.UDH_8) -> Carried:
    """The fields that carry one segment of `encoding.segments.split`. Raises Unencodable.

    by: how parts are marked. The segments must have been split with room for it: reference_bits 16 for
    UDH_16; SAR leaves all of it to the SMSC, which still sends at most what a UDH leaves.
    """
    octets = encode_text(segment.text, segment.encoding)
    data_coding = int(_DATA_CODING[segment.encoding])
    if segment.total == 1:
        return Carried(0, data_coding, octets, ())
    if by is Concatenation.SAR:
        tlvs = (
            Tlv(Tag.sar_msg_ref_num, segment.reference),
            Tlv(Tag.sar_total_segments, segment.total),
            Tlv(Tag.sar_segment_seqnum, segment.index + 1),
        )
        return Carried(0, data_coding, octets, tlvs)
    bits: Literal[8, 16] = 8 if by is Concatenation.UDH_8 else 16
    udh = build_udh(Part(segment.reference, segment.total, segment.index + 1, bits))
    return Carried(_UDHI, data_coding, udh + octets, ())


def carry_payload(text: str, encoding: Encoding) -> Carried:
    """The fields that carry a whole text in message_payload, for the SMSC to cut. Raises Unencodable."""
    payload = Tlv(Tag.message_payload, encode_text(text, encoding))
    return Carried(0, int(_DATA_CODING[encoding]), b"", (payload,))


def payload_octets(pdu: SubmitSm | DeliverSm | DataSm) -> bytes:
    """short_message, or message_payload where that is empty (§5.3.2.32)."""
    short_message = b"" if isinstance(pdu, DataSm) else pdu.short_message
    if short_message:
        return short_message
    payload = pdu.tlv(Tag.message_payload)
    return payload if isinstance(payload, bytes) else b""


def read(pdu: SubmitSm | DeliverSm | DataSm, *, default: Encoding = Encoding.GSM7) -> Received:
    """What a message says, and which part of one it is, by its UDH or else its sar parameters."""
    octets = payload_octets(pdu)
    part = None
    if pdu.esm_class & _UDHI:
        user_data = parse_udh(octets)
        octets, part = user_data.octets, user_data.part
    if part is None:
        part = _sar_part(pdu)
    return Received(decode_text(octets, pdu.data_coding, default=default), octets, part, pdu.data_coding)


def _sar_part(pdu: SubmitSm | DeliverSm | DataSm) -> Part | None:
    reference = pdu.tlv(Tag.sar_msg_ref_num)
    total = pdu.tlv(Tag.sar_total_segments)
    sequence = pdu.tlv(Tag.sar_segment_seqnum)
    if isinstance(reference, int) and isinstance(total, int) and isinstance(sequence, int):
        return Part(reference, total, sequence, 16) if 1 <= sequence <= total else None
    return None
