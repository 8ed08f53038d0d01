"""The STOP of the dialects, which keeps one pair for a while; keywords from carriers are in `flow/words.py`."""

from __future__ import annotations

STOP_REQUESTS = frozenset({"STOP", "STOP\n", "STOP\r", "STOP\r\n"})


def is_stop_request(text: str) -> bool:
    """True for the exact texts that stop a pair for a while; `stop` or ` STOP` is none of them."""
    return text in STOP_REQUESTS
