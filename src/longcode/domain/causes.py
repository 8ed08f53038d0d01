"""Why a message stands where it stands, in plain words: one sentence for each code that is on record."""

from __future__ import annotations

from typing import Final

# `error` of a message that failed here, or whose carrier refused it; `code` of an attempt.
FAILURES: Final = {
    "expired": "its validity ended before a carrier had it; it was not sent",
    "no_route": "no route led to a carrier before its validity ended; it was not sent",
    "outcome_unknown": "it may have been sent: the carrier never answered, and no receipt proved it in time",
    "opted_out": "the recipient opted out or said STOP before it was sent",
    "too_many_segments": "the text takes more segments than one message may have",
    "cut_changed": "the carrier has a part of it, and its settings cut texts otherwise by now; the rest was not sent",
    "unencodable": "the text has a character that this carrier's alphabet lacks",
    "unsupported": "this carrier does not take such a message",
    "throttled": "the carrier takes no more at this rate",
    "queue_full": "the carrier's own queue is full",
    "system_error": "the carrier has a fault of its own",
    "temporary_error": "the carrier has a passing fault",
    "not_bound": "the carrier says that the connection is not bound; it is bound anew",
    "not_connected": "there is no connection to the carrier",
    "not_written": "the connection ended before it was written",
    "not_authenticated": "the carrier refuses our credentials",
    "paced": "the carrier's pace left no turn",
    "not_understood": "the carrier could not read the request",
    "submit_failed": "the carrier could not take it and says no more",
    "permanent_error": "the carrier says that trying again has no use",
    "refused_by_carrier": "the carrier's own rules refuse it",
    "unsubscribed": "the recipient has unsubscribed at the carrier",
    "delivery_failure": "the carrier could not deliver it",
    "unknown_error": "the carrier names no cause",
    "invalid_destination": "the carrier does not know or serve this recipient",
    "invalid_sender": "the carrier does not allow this sender",
    "invalid_length": "the carrier finds the message too long or too short",
    "invalid_command": "the carrier does not take this kind of request",
    "invalid_priority": "the carrier does not take this priority",
    "invalid_registered_delivery": "the carrier does not take this request for receipts",
    "invalid_service_type": "the carrier does not take this service_type",
    "invalid_esm_class": "the carrier does not take this esm_class",
    "invalid_schedule": "the carrier does not take this time of delivery",
    "invalid_validity": "the carrier does not take this validity",
    "invalid_parameter": "the carrier does not take an optional parameter of it",
}

# `error` of a message that a receipt ended; before a colon, where the carrier's own number follows.
UNDELIVERED: Final = {
    "undelivered": "the carrier reports that it could not be delivered and names no cause",
    "undeliv": "the network could not deliver it",
    "expired": "the carrier gave up: the handset was not reached within the validity",
    "deleted": "the carrier deleted it before it was delivered",
    "rejectd": "the network refused it",
    "absent_subscriber": "the handset is switched off or not reachable",
}


def why_failed(code: str) -> str:
    """What the code of a failure means; for one that only the carrier knows, that."""
    return FAILURES.get(code, "a code of the carrier's own; its documentation explains it")


def why_undelivered(code: str) -> str:
    """What the code in a receipt means; for one that only the carrier knows, that."""
    state, _, number = code.partition(":")
    meaning = UNDELIVERED.get(state, "a code of the carrier's own; its documentation explains it")
    return f"{meaning} (the carrier's error {number})" if number else meaning
