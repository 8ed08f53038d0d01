"""Which encoding a text takes, and how it is cut into the segments of one SMS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from longcode.encoding import gsm7
from longcode.encoding.gsm7 import Unencodable
from longcode.errors import InvalidField, LongcodeError

MAX_SEGMENTS: Final = 255


class Encoding(StrEnum):
    """How the characters of a message travel."""

    GSM7 = "gsm7"
    LATIN1 = "latin1"
    UCS2 = "ucs2"


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a message, as one short message carries it.

    index: from 0. total: 1 for a message that travels alone. reference: what the parts share.
    """

    text: str
    index: int
    total: int
    encoding: Encoding
    reference: int


class TooManySegments(LongcodeError):
    """The text takes more segments than the one octet that counts them can say."""

    code = "too_many_segments"


@dataclass(frozen=True, slots=True)
class _Room:
    """Units in a segment: alone, and beside a concatenation header with an 8 or 16 bit reference."""

    alone: int
    with_8_bits: int
    with_16_bits: int
    wide: re.Pattern[str]


# A user data field is 140 octets. The header takes 6 of them, or 7 with a 16 bit reference
# (3GPP TS 23.040 §9.2.3.24.1, §9.2.3.24.8). The pattern finds the characters that take two units.
_ROOM: Final = {
    Encoding.GSM7: _Room(160, 153, 152, re.compile(f"[{re.escape(''.join(gsm7.EXTENSION.values()))}]")),
    Encoding.LATIN1: _Room(140, 134, 133, re.compile(r"(?!)")),
    Encoding.UCS2: _Room(70, 67, 66, re.compile("[\U00010000-\U0010ffff]")),
}
_LATIN1_LACKS = re.compile("[^\x00-\xff]")


def choose(text: str) -> Encoding:
    """GSM7 if its alphabet has every character of text, else UCS2."""
    return Encoding.GSM7 if gsm7.is_gsm7(text) else Encoding.UCS2


def count(text: str, encoding: Encoding | None = None, *, reference_bits: Literal[8, 16] = 8) -> int:
    """How many segments split would give, without building them; it may be more than 255.

    Raises Unencodable if the encoding asked for lacks a character.
    """
    encoding = _encoding_for(text, encoding)
    room = _ROOM[encoding]
    wide_count = len(room.wide.findall(text))
    if len(text) + wide_count <= room.alone:
        return 1
    size = _size(room, reference_bits)
    if not wide_count:
        return -(-len(text) // size)
    return 1 + sum(1 for _ in _cuts(text, room.wide, size))


def split(
    text: str,
    *,
    reference: int = 0,
    encoding: Encoding | None = None,
    reference_bits: Literal[8, 16] = 8,
) -> list[Segment]:
    """Cut text into segments that a handset can rejoin, in order.

    Alone: 160 septets, 140 Latin-1 octets or 70 UTF-16 units; concatenated: 153, 134 or 67, with a
    16 bit reference 152, 133 or 66. Never divides an escape pair or a surrogate pair. An empty text is
    one empty segment.
    reference: 0-255, or 0-65535 with 16 bits, differing between messages in flight to one MSISDN.
    encoding: None lets choose decide.
    Raises TooManySegments above 255; Unencodable if the encoding asked for lacks a character;
    InvalidField if the reference does not fit its bits.
    Source: 3GPP TS 23.038 §6.2.1; TS 23.040 §9.2.3.24.1, §9.2.3.24.8.
    """
    if not 0 <= reference < 1 << reference_bits:
        raise InvalidField("reference")
    encoding = _encoding_for(text, encoding)
    room = _ROOM[encoding]
    if len(text) + len(room.wide.findall(text)) <= room.alone:
        return [Segment(text, 0, 1, encoding, reference)]
    starts = [0, *_cuts(text, room.wide, _size(room, reference_bits))]
    if len(starts) > MAX_SEGMENTS:
        raise TooManySegments(f"the text takes {len(starts)} segments, more than {MAX_SEGMENTS}")
    ends = [*starts[1:], len(text)]
    return [
        Segment(text[start:end], index, len(starts), encoding, reference)
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _encoding_for(text: str, asked: Encoding | None) -> Encoding:
    if asked is None:
        return choose(text)
    lacks = (asked is Encoding.GSM7 and not gsm7.is_gsm7(text)) or (
        asked is Encoding.LATIN1 and _LATIN1_LACKS.search(text) is not None
    )
    if lacks:
        raise Unencodable(f"the text has a character that {asked} lacks")
    return asked


def _size(room: _Room, reference_bits: int) -> int:
    return room.with_8_bits if reference_bits == 8 else room.with_16_bits


def _cuts(text: str, wide: re.Pattern[str], size: int) -> Iterator[int]:
    """Where each segment after the first begins: filled greedily, a wide character moving on whole."""
    start = 0
    while True:
        end = min(start + size, len(text))
        # A character is at most two units, so giving up half of the excess never gives up too much.
        while (excess := end - start + len(wide.findall(text, start, end)) - size) > 0:
            end -= (excess + 1) // 2
        if end == len(text):
            return
        yield end
        start = end
