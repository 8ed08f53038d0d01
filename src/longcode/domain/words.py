"""What the words of an inbound message ask for. Pure.

Source of the standard words: 47 CFR 64.1200(a)(10) and the CTIA Messaging Principles, §5.1.3.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from enum import StrEnum
from itertools import pairwise
from typing import Final


class Meaning(StrEnum):
    """What a keyword asks for.

    STOP: no more messages from the number it was sent to; STOP_ALL: from none of the account's. START: messages
    again. HELP: who is this? ANSWER: a word of the account's own, answered with a text of its own. NOTHING: no
    keyword for this account. DOUBTFUL: nearly a wish to stop; told to people, and never acted upon.
    """

    STOP = "stop"
    STOP_ALL = "stop_all"
    START = "start"
    HELP = "help"
    ANSWER = "answer"
    NOTHING = "nothing"
    DOUBTFUL = "doubtful"


OPT_OUTS: Final = frozenset({Meaning.STOP, Meaning.STOP_ALL})

STANDARD: Final = {
    "stop": Meaning.STOP,
    "unsubscribe": Meaning.STOP,
    "cancel": Meaning.STOP,
    "end": Meaning.STOP,
    "quit": Meaning.STOP,
    "revoke": Meaning.STOP,
    "optout": Meaning.STOP,
    "stopall": Meaning.STOP_ALL,
    "start": Meaning.START,
    "yes": Meaning.START,
    "unstop": Meaning.START,
    "help": Meaning.HELP,
    "info": Meaning.HELP,
}

# A word that says "stop" in the midst of others; `end` or `cancel` there says too little.
TELLING: Final = frozenset({"stop", "stopall", "unsubscribe", "optout", "revoke"})
TELLING_PAIRS: Final = frozenset({("opt", "out"), ("opting", "out"), ("stop", "all")})
MOST_WORDS: Final = 12
# Nothing as long as this is a keyword.
LONGEST_TEXT: Final = 160
# One edit makes too much of a shorter word: `and`, `ends`, `send`.
SHORTEST_MISSPELT: Final = 4

_LATIN_MARKS: Final = range(0x300, 0x370)
_SPACES: Final = re.compile(r"\s+")


def fold(text: str) -> str:
    """The form in which two spellings of a word are equal: no case, accents, width, space or punctuation."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(char for char in plain if unicodedata.category(char)[0] in "LMN" and ord(char) not in _LATIN_MARKS)


def is_doubtful(text: str, stop_words: Collection[str]) -> bool:
    """True for a text that is no keyword and may be meant as one: `STOPP`, `please stop`, `stop texting me`.

    stop_words: folded.
    """
    if len(text) > LONGEST_TEXT:
        return False
    words = [word for word in map(fold, _SPACES.split(text)) if word]
    if len(words) > MOST_WORDS:
        return False
    told = any(word in TELLING for word in words) or any(pair in TELLING_PAIRS for pair in pairwise(words))
    whole = "".join(words)
    return told or any(len(word) >= SHORTEST_MISSPELT and _is_one_edit(whole, word) for word in stop_words)


def _is_one_edit(typed: str, word: str) -> bool:
    """True where one letter more, less, other, or two neighbours swapped make one of the other."""
    if typed == word or abs(len(typed) - len(word)) > 1:
        return False
    short, long = sorted((typed, word), key=len)
    start = next((n for n, (one, other) in enumerate(zip(short, long, strict=False)) if one != other), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[start + 1 : start + 2] + short[start : start + 1] + short[start + 2 :]
    return short[start + 1 :] == long[start + 1 :] or swapped == long[start:]
