"""Delivery receipts: what became of a message, out of a deliver_sm.

Source: SMPP 3.4 issue 1.2, §2.11, §5.2.12, §5.2.28 and Appendix B, whose text is a vendor's form and comes
in as many variants as there are vendors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from longcode.smpp.constants import DataCoding, EsmClass, MessageState, Tag
from longcode.smpp.pdu import DataSm, DeliverSm
from longcode.smpp.text import payload_octets

_RECEIPT_TYPES: Final = (EsmClass.DELIVERY_RECEIPT, EsmClass.INTERMEDIATE_NOTIFICATION)
_KEY: Final = re.compile(
    r"(?:^|(?<=[\s,;]))(id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err|text)\s*:", re.IGNORECASE
)
_OTHER_SPELLINGS: Final = {
    "DELIVERED": "DELIVRD",
    "DELIVERD": "DELIVRD",
    "UNDELIVERABLE": "UNDELIV",
    "UNDELIVERED": "UNDELIV",
    "UNDELIVRD": "UNDELIV",
    "UNDELIVERD": "UNDELIV",
    "FAILED": "UNDELIV",
    "ACCEPTED": "ACCEPTD",
    "REJECTED": "REJECTD",
    "REJECTE": "REJECTD",
    "BUFFERED": "ENROUTE",
    "BUFFERD": "ENROUTE",
    "SCHEDULED": "ENROUTE",
}
_PADDING: Final = " \0\r\n\t,;"
_CONVERTED_BELOW: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """What an SMSC reports of one short message.

    reference: the SMSC's message_id, in the form that it chose here; "" when it gave none.
    state: DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN, REJECTD or ENROUTE.
    submit_date, done_date: as the SMSC wrote them, by its clock and in its zone; None when absent.
    """

    reference: str
    state: str
    error_code: str | None = None
    submit_date: str | None = None
    done_date: str | None = None
    text: str | None = None


def parse(pdu: DeliverSm | DataSm) -> DeliveryReceipt | None:
    """The receipt in `pdu`, or None for a message of a person.

    The optional parameters go before the text. A state that no table knows is UNKNOWN.
    """
    receipted = pdu.tlv(Tag.receipted_message_id)
    if pdu.esm_class & EsmClass.TYPE_MASK not in _RECEIPT_TYPES and receipted is None:
        return None
    codec = "utf-16-be" if pdu.data_coding == DataCoding.UCS2 else "latin-1"
    fields = dict(_fields(payload_octets(pdu).decode(codec, "replace")))
    return DeliveryReceipt(
        reference=receipted if isinstance(receipted, str) and receipted else fields.get("id", ""),
        state=_state(pdu.tlv(Tag.message_state), fields.get("stat", "")),
        error_code=fields.get("err") or _network_error(pdu.tlv(Tag.network_error_code)),
        submit_date=fields.get("submitdate"),
        done_date=fields.get("donedate"),
        text=fields.get("text"),
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """(key, value) for each key's first mention: the last field is a subscriber's text, and may lie."""
    marks = list(_KEY.finditer(text))
    seen: set[str] = set()
    for position, mark in enumerate(marks):
        key = re.sub("[ _]", "", mark[1].lower())
        end = marks[position + 1].start() if position + 1 < len(marks) else len(text)
        if key in seen:
            continue
        if key == "text" and {"id", "stat"} <= seen:
            yield key, text[mark.end() :].strip(_PADDING)
            return
        seen.add(key)
        yield key, text[mark.end() : end].strip(_PADDING)


def _state(message_state: int | str | bytes | None, stat: str) -> str:
    if isinstance(message_state, int) and message_state in MessageState.__members__.values():
        return MessageState(message_state).name
    word = stat.upper()
    if word in MessageState.__members__:
        return word
    return _OTHER_SPELLINGS.get(word, MessageState.UNKNOWN.name)


def _network_error(value: int | str | bytes | None) -> str | None:
    return str(int.from_bytes(value[1:], "big")) if isinstance(value, bytes) else None


def reference_candidates(reference: str) -> tuple[str, ...]:
    """The forms under which submit_sm_resp may have given this message_id, the likeliest first.

    Verbatim; another case; without or with leading zeros; decimal written as hexadecimal and the other way
    round, which SMSCs mix between the response and the receipt. Numbers above 64 bits are never converted.
    """
    bare = reference.strip()
    forms = [reference, bare, bare.lower(), bare.upper()]
    if bare.isascii() and bare.isdigit() and int(bare) < _CONVERTED_BELOW:
        forms += _number_forms(int(bare))
    if re.fullmatch("[0-9A-Fa-f]{1,64}", bare) and int(bare, 16) < _CONVERTED_BELOW:
        forms += _number_forms(int(bare, 16))
    return tuple(dict.fromkeys(forms))


def _number_forms(number: int) -> list[str]:
    hexadecimal = f"{number:x}"
    forms = [str(number), hexadecimal, hexadecimal.upper()]
    forms += [f"{number:0{width}d}" for width in (8, 10)]
    for width in (8, 16):
        forms += [f"{number:0{width}x}", f"{number:0{width}X}"]
    return forms
