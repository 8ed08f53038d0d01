"""From a submission to a submit_sm, and from its answer to an outcome. Pure.

Source: SMPP 3.4 issue 1.2, §4.4, §5.1.3, §5.2 and §7.1.1 (times).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Final

from longcode.carriers.port import UNNAMED, Accepted, Deferred, Outcome, Rejected, Submission
from longcode.carriers.smpp_settings import (
    Alphabet,
    LongMessages,
    ReceiptIds,
    ReceiptPolicy,
    SmppSettings,
    Validity,
)
from longcode.domain.phone import SHORT_CODE_DIGITS, canonical
from longcode.encoding.segments import Encoding, Segment, split
from longcode.smpp.constants import CommandStatus, Tag, status_name
from longcode.smpp.fields import Tlv
from longcode.smpp.pdu import GenericNack, Response, SubmitSm, SubmitSmResp
from longcode.smpp.receipts import reference_candidates
from longcode.smpp.text import Carried, Concatenation, carry, encode_text

_INTERNATIONAL: Final = (1, 1)
_NETWORK_SPECIFIC: Final = (3, 0)
_ALPHANUMERIC: Final = (5, 0)
_DIGITS: Final = re.compile("[0-9]+")
_LATIN1: Final = re.compile("[\x00-\xff]*")
# Relative times count days of a month.
_LONGEST_VALIDITY: Final = timedelta(days=31)
_MARKED_BY: Final = {
    LongMessages.UDH8: Concatenation.UDH_8,
    LongMessages.UDH16: Concatenation.UDH_16,
    LongMessages.SAR: Concatenation.SAR,
    LongMessages.PAYLOAD: Concatenation.UDH_8,
}


def cut(text: str, encoding: Encoding, reference: int, settings: SmppSettings) -> Sequence[Segment]:
    """The pieces in which the carrier takes a text; with message_payload, one.

    encoding: as accepted; the carrier's alphabets may make another of it.
    """
    encoding = _travels_as(text, encoding, settings)
    if settings.long_messages is LongMessages.PAYLOAD:
        return [Segment(text, 0, 1, encoding, reference)]
    if settings.long_messages is LongMessages.UDH8:
        return split(text, encoding=encoding, reference=reference & 0xFF)
    if settings.long_messages is LongMessages.UDH16:
        return split(text, encoding=encoding, reference=reference, reference_bits=16)
    # The parameter holds 16 bits, but what an SMSC makes of it on the air is its own choice.
    pieces = split(text, encoding=encoding, reference=0)
    return [Segment(piece.text, piece.index, piece.total, encoding, reference) for piece in pieces]


def _travels_as(text: str, encoding: Encoding, settings: SmppSettings) -> Encoding:
    if encoding is Encoding.UCS2 and settings.latin1 and _LATIN1.fullmatch(text):
        return Encoding.LATIN1
    if encoding is Encoding.GSM7 and settings.default_alphabet is Alphabet.LATIN1 and not _LATIN1.fullmatch(text):
        return Encoding.UCS2
    return encoding


@dataclass(frozen=True, slots=True)
class _Address:
    ton: int
    npi: int
    value: str


def _address(value: str, ton: int | None, npi: int | None) -> _Address:
    """An address without its plus: international, a short code, or a name, unless the settings say otherwise."""
    digits = canonical(value)
    if not _DIGITS.fullmatch(digits):
        kind, digits = _ALPHANUMERIC, value
    elif value.startswith("+") or len(digits) > SHORT_CODE_DIGITS:
        kind = _INTERNATIONAL
    else:
        kind = _NETWORK_SPECIFIC
    return _Address(kind[0] if ton is None else ton, kind[1] if npi is None else npi, digits)


def submit_sm(submission: Submission, settings: SmppSettings) -> SubmitSm:
    """The PDU of one segment. Raises Unencodable."""
    source = _address(submission.sender, settings.source_ton, settings.source_npi)
    destination = _address(submission.recipient, settings.dest_ton, settings.dest_npi)
    carried = _carried(submission, settings)
    return SubmitSm(
        service_type=settings.service_type,
        source_addr_ton=source.ton,
        source_addr_npi=source.npi,
        source_addr=source.value,
        dest_addr_ton=destination.ton,
        dest_addr_npi=destination.npi,
        destination_addr=destination.value,
        esm_class=carried.esm_class,
        validity_period=_validity_period(submission, settings.validity),
        registered_delivery=_registered_delivery(submission, settings),
        data_coding=carried.data_coding,
        short_message=carried.short_message,
        tlvs=carried.tlvs,
    )


def _carried(submission: Submission, settings: SmppSettings) -> Carried:
    encoding = Encoding(submission.encoding)
    octets_as = encoding
    if encoding is Encoding.GSM7 and settings.default_alphabet is Alphabet.LATIN1:
        octets_as = Encoding.LATIN1
    data_coding = {
        Encoding.GSM7: settings.data_coding_default,
        Encoding.LATIN1: settings.data_coding_latin1,
        Encoding.UCS2: settings.data_coding_ucs2,
    }[encoding]
    segment = Segment(
        submission.text,
        submission.segment_index,
        submission.segment_total,
        octets_as,
        submission.segment_reference & (0xFF if settings.long_messages is LongMessages.UDH8 else 0xFFFF),
    )
    if settings.long_messages is LongMessages.PAYLOAD and len(split(segment.text, encoding=encoding)) > 1:
        payload = Tlv(Tag.message_payload, encode_text(segment.text, octets_as))
        return Carried(0, data_coding, b"", (payload,))
    carried = carry(segment, by=_MARKED_BY[settings.long_messages])
    return Carried(carried.esm_class, data_coding, carried.short_message, carried.tlvs)


def _registered_delivery(submission: Submission, settings: SmppSettings) -> int:
    last = submission.segment_index == submission.segment_total - 1
    asks = settings.receipts is ReceiptPolicy.SEGMENT or (settings.receipts is ReceiptPolicy.MESSAGE and last)
    return settings.registered_delivery if asks else 0


def _validity_period(submission: Submission, form: Validity) -> str:
    if form is Validity.NONE:
        return ""
    # Never 0, which means the carrier's own default: the longest of all.
    left = min(max(submission.valid_for, timedelta(seconds=1)), _LONGEST_VALIDITY)
    if form is Validity.ABSOLUTE:
        ends_at = submission.expires_at + (left - submission.valid_for)
        return f"{ends_at.astimezone(UTC):%y%m%d%H%M%S}000+"
    hours, seconds = divmod(left.seconds, 3600)
    return f"0000{left.days:02}{hours:02}{seconds // 60:02}{seconds % 60:02}000R"


# Outcomes

THROTTLED: Final[dict[int, str]] = {
    CommandStatus.ESME_RTHROTTLED: "throttled",
    CommandStatus.ESME_RMSGQFUL: "queue_full",
}
TEMPORARY: Final[dict[int, str]] = {
    CommandStatus.ESME_RSYSERR: "system_error",
    CommandStatus.ESME_RX_T_APPN: "temporary_error",
    # Our bind is not what the carrier thinks; it is made anew.
    CommandStatus.ESME_RINVBNDSTS: "not_bound",
}
REJECTED: Final[dict[int, str]] = {
    CommandStatus.ESME_RINVMSGLEN: "invalid_length",
    CommandStatus.ESME_RINVCMDLEN: "invalid_length",
    CommandStatus.ESME_RINVCMDID: "invalid_command",
    CommandStatus.ESME_RINVPRTFLG: "invalid_priority",
    CommandStatus.ESME_RINVREGDLVFLG: "invalid_registered_delivery",
    CommandStatus.ESME_RINVSRCADR: "invalid_sender",
    CommandStatus.ESME_RINVDSTADR: "invalid_destination",
    CommandStatus.ESME_RINVSERTYP: "invalid_service_type",
    CommandStatus.ESME_RINVNUMDESTS: "invalid_destination",
    CommandStatus.ESME_RINVDLNAME: "invalid_destination",
    CommandStatus.ESME_RINVDESTFLAG: "invalid_destination",
    CommandStatus.ESME_RINVESMCLASS: "invalid_esm_class",
    CommandStatus.ESME_RSUBMITFAIL: "submit_failed",
    CommandStatus.ESME_RINVSRCTON: "invalid_sender",
    CommandStatus.ESME_RINVSRCNPI: "invalid_sender",
    CommandStatus.ESME_RINVDSTTON: "invalid_destination",
    CommandStatus.ESME_RINVDSTNPI: "invalid_destination",
    CommandStatus.ESME_RINVSCHED: "invalid_schedule",
    CommandStatus.ESME_RINVEXPIRY: "invalid_validity",
    CommandStatus.ESME_RX_P_APPN: "permanent_error",
    CommandStatus.ESME_RX_R_APPN: "refused_by_carrier",
    CommandStatus.ESME_RINVOPTPARSTREAM: "invalid_parameter",
    CommandStatus.ESME_ROPTPARNOTALLWD: "invalid_parameter",
    CommandStatus.ESME_RINVPARLEN: "invalid_parameter",
    CommandStatus.ESME_RMISSINGOPTPARAM: "invalid_parameter",
    CommandStatus.ESME_RINVOPTPARAMVAL: "invalid_parameter",
    CommandStatus.ESME_RDELIVERYFAILURE: "delivery_failure",
    CommandStatus.ESME_RUNKNOWNERR: "unknown_error",
}
THROTTLED_AFTER_SECONDS: Final = 1.0
TEMPORARY_AFTER_SECONDS: Final = 2.0


def _accepted(message_id: str, submission: Submission, settings: SmppSettings) -> Accepted:
    if not message_id:
        # Without a name no receipt can find it, but it was taken, and outcomes are told apart by reference.
        return Accepted(f"{UNNAMED}{submission.attempt_id.hex}")
    if settings.receipt_ids is ReceiptIds.VERBATIM:
        return Accepted(message_id)
    # Its receipt may come before this answer is recorded, and finds it then only from here.
    return Accepted(message_id, reference_candidates(message_id)[1:])


def is_throttle(command_status: int, settings: SmppSettings) -> bool:
    """True where the carrier says that it was too fast."""
    return command_status in THROTTLED or command_status in settings.throttle_statuses


def outcome_of(response: Response, submission: Submission, settings: SmppSettings) -> Outcome:
    """What the answer to a submit_sm means.

    A negative answer proves that the carrier did not take the segment. A generic_nack is one: what could
    not be parsed was not taken.
    """
    status = response.command_status
    if not status:
        if isinstance(response, SubmitSmResp):
            return _accepted(response.message_id.strip(), submission, settings)
        if isinstance(response, GenericNack):
            return Rejected("not_understood", "The carrier answered with generic_nack.")
    reason = f"{status_name(status)} (0x{status:02X})"
    if is_throttle(status, settings):
        return Deferred(THROTTLED_AFTER_SECONDS, THROTTLED.get(status, "throttled"), reason)
    if status in settings.temporary_statuses or status in TEMPORARY:
        return Deferred(TEMPORARY_AFTER_SECONDS, TEMPORARY.get(status, "temporary_error"), reason)
    return Rejected(REJECTED.get(status, f"smpp_0x{status:02x}"), reason)
