"""A Twilio in every mood: each message says by its first word what becomes of it."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qs

from tests.carriers.conformance import MANUALS, Happening, reply_of
from tests.carriers.http_carrier import Reply, Taken

TWILIO = MANUALS["twilio"]
# What proves nothing: the carrier may have the message.
FAULTS = (Happening.FAULT, Happening.GARBAGE, Happening.HALF, Happening.NOTHING, Happening.CUT)


def text_of(taken: Taken) -> str:
    """The text of the message that a request is about."""
    return parse_qs(taken.body.decode())["Body"][0]


class Moody:
    """It does what a text begins with, throttles twice first where it says so, and names each taking.

    retry_after: what it asks for when it throttles.
    """

    def __init__(self, *, retry_after: str = "0") -> None:
        self.retry_after = retry_after
        self.taken: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()

    def __call__(self, request: Taken) -> Reply:
        text = text_of(request)
        happening = Happening[text.partition(" ")[0]]
        if happening is Happening.THROTTLED and self.throttled[text] < 2:
            self.throttled[text] += 1
            return Reply(429, b"", {"Retry-After": self.retry_after})
        self.taken[text] += 1
        if happening in (Happening.THROTTLED, Happening.ACCEPTED):
            return Reply(201, b'{"sid":"SM%032d"}' % len(self.taken))
        return reply_of(TWILIO, happening)
