"""The GSM 7 bit default alphabet, its extension table, and septet packing.

Source: 3GPP TS 23.038 §6.2.1 (tables), §6.1.2.1 (packing).
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from longcode.errors import LongcodeError

ESCAPE: Final = 0x1B

# The default table, row by row: code 0x00 first, sixteen codes a row.
DEFAULT_ALPHABET: Final = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
EXTENSION: Final = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

_ONE_SEPTET = DEFAULT_ALPHABET.replace("\x1b", "")
_TWO_SEPTETS = "".join(EXTENSION.values())
_FOREIGN = re.compile(f"[^{re.escape(_ONE_SEPTET + _TWO_SEPTETS)}]")
_EXTENDED = re.compile(f"[{re.escape(_TWO_SEPTETS)}]")
_ENCODING_MAP: dict[int, bytes] = {
    **{ord(char): bytes([code]) for code, char in enumerate(DEFAULT_ALPHABET) if code != ESCAPE},
    **{ord(char): bytes([ESCAPE, code]) for code, char in EXTENSION.items()},
}
_DECODING_TABLE = DEFAULT_ALPHABET + "\ufffd" * 128
_ESCAPED = re.compile("\x1b(.?)", re.DOTALL)
# What an escape and the default table's character after it stand for, where that is not the character itself.
_AFTER_ESCAPE = {
    "": " ",
    "\x1b": " ",
    **{DEFAULT_ALPHABET[code]: char for code, char in EXTENSION.items()},
}


class Unencodable(LongcodeError):
    """The text has a character that the chosen encoding lacks."""

    code = "unencodable"


def is_gsm7(text: str) -> bool:
    """True if every character is in the default alphabet or its extension table."""
    return _FOREIGN.search(text) is None


def length_septets(text: str) -> int:
    """How many septets text takes, an extension character being two.

    text: only characters that is_gsm7 accepts; any other would count as one.
    """
    return len(text) + len(_EXTENDED.findall(text))


def encode(text: str) -> bytes:
    """One septet an octet, unpacked; an extension character is 0x1B and its code.

    Raises Unencodable.
    """
    try:
        return codecs.charmap_encode(text, "strict", _ENCODING_MAP)[0]
    except UnicodeEncodeError as cause:
        raise Unencodable(f"U+{ord(text[cause.start]):04X} is not in the GSM 7 bit alphabet") from cause


def decode(data: bytes) -> str:
    """The text of unpacked septets, one an octet. Never fails: a handset would show something too.

    An escape before a code that the extension table leaves free gives the default table's character; an
    escape before another escape, or at the end, gives a space (§6.2.1.1). Octets above 0x7F give U+FFFD.
    """
    text = codecs.charmap_decode(data, "strict", _DECODING_TABLE)[0]
    if "\x1b" not in text:
        return text
    return _ESCAPED.sub(lambda match: _AFTER_ESCAPE.get(match[1], match[1]), text)


def pack(septets: bytes, *, fill_bits: int = 0) -> bytes:
    """Octets that carry the septets, the first in the lowest bits; unused high bits are zero.

    fill_bits: 0-6 zero bits before the first septet, so that text after a user data header begins on a
    septet boundary (3GPP TS 23.040 §9.2.3.24).
    Raises Unencodable for a value above 0x7F.
    """
    packed = bytearray()
    held, held_bits = 0, fill_bits
    for septet in septets:
        if septet > 0x7F:
            raise Unencodable(f"0x{septet:02X} is not a septet")
        held |= septet << held_bits
        held_bits += 7
        if held_bits >= 8:
            packed.append(held & 0xFF)
            held >>= 8
            held_bits -= 8
    if held_bits and septets:
        packed.append(held)
    return bytes(packed)


def unpack(packed: bytes, *, count: int | None = None, fill_bits: int = 0) -> bytes:
    """The septets, one an octet, that pack put in.

    count: how many; without it all whole septets, among them a zero one ("@") where seven spare bits
    end the last octet, since nothing but the length tells padding from text.
    fill_bits: 0-6, bits to pass over at the start.
    Raises Unencodable if packed has fewer than count.
    """
    available = max(0, (len(packed) * 8 - fill_bits) // 7)
    wanted = available if count is None else count
    if wanted > available:
        raise Unencodable(f"{len(packed)} octets hold {available} septets, not {wanted}")
    bits = int.from_bytes(packed, "little") >> fill_bits
    return bytes((bits >> 7 * position) & 0x7F for position in range(wanted))
