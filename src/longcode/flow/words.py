"""Keywords as an account has them, how they are answered, and where a number's messages go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from longcode.domain.words import LONGEST_TEXT, OPT_OUTS, STANDARD, Meaning, fold, is_doubtful
from longcode.store.words import EVERY_NUMBER, InboundRoute, Keyword, KeywordReply, WordRows

# Replaced by the account's name in every answer.
ACCOUNT: Final = "{account}"

# Each fits one segment beside a name of thirty characters.
STANDARD_REPLIES: Final = {
    Meaning.STOP: f"{ACCOUNT}: You will get no more messages from this number. Reply START to get them again.",
    Meaning.STOP_ALL: f"{ACCOUNT}: You will get no more messages from us at all. Reply START to get them again.",
    Meaning.START: f"{ACCOUNT}: You will get messages from this number again. Reply STOP to end them, HELP for help.",
    Meaning.HELP: f"{ACCOUNT}: Reply STOP to get no more messages from this number, STOPALL for none of ours.",
}


@dataclass(frozen=True, slots=True)
class Heard:
    """What a text is taken for. word: folded; "" where the meaning is doubtful. reply: the word's own answer."""

    meaning: Meaning
    word: str = ""
    language: str = ""
    reply: str | None = None


class Vocabulary:
    """What every account set up, for look-ups; what is said of one number comes before what is said of all."""

    def __init__(self, rows: WordRows | None = None) -> None:
        self._names = {} if rows is None else rows.names
        self._keywords: dict[tuple[int, str, str], Keyword] = {}
        self._stop_words: dict[tuple[int, str], set[str]] = {}
        self._replies: dict[tuple[int, str, Meaning, str], KeywordReply] = {}
        self._routes: dict[tuple[int, str], InboundRoute] = {}
        if rows is not None:
            self._take(rows)

    def name_of(self, account_id: int) -> str:
        """What an account is called."""
        return self._names.get(account_id, "")

    def route(self, account_id: int, number: str) -> InboundRoute | None:
        """Where messages to a number go besides its conversation."""
        return self._routes.get((account_id, number))

    def hear(self, account_id: int, number: str, text: str) -> Heard | None:
        """What a text to a number is taken for; None where it is a text like any other."""
        if len(text) > LONGEST_TEXT:
            return None
        word = fold(text)
        own = self._keywords.get((account_id, number, word)) or self._keywords.get((account_id, EVERY_NUMBER, word))
        if own is not None:
            return None if own.meaning is Meaning.NOTHING else Heard(own.meaning, word, own.language, own.reply)
        if word in STANDARD:
            return Heard(STANDARD[word], word)
        return Heard(Meaning.DOUBTFUL) if is_doubtful(text, self._stops(account_id, number)) else None

    def answer(self, account_id: int, number: str, heard: Heard) -> str | None:
        """The text that answers a word; None where nothing does.

        In the word's own language rather than in none, and by the number's own text rather than by the account's.
        """
        text = heard.reply
        if text is None:
            text = self._reply(account_id, number, heard)
        return self.filled(account_id, text) if text else None

    def filled(self, account_id: int, text: str) -> str:
        """A text with the account's name in its place."""
        return text.replace(ACCOUNT, self.name_of(account_id))

    def _reply(self, account_id: int, number: str, heard: Heard) -> str | None:
        for language in (heard.language, ""):
            for place in (number, EVERY_NUMBER):
                own = self._replies.get((account_id, place, heard.meaning, language))
                if own is not None:
                    return own.text
        return STANDARD_REPLIES.get(heard.meaning)

    def _stops(self, account_id: int, number: str) -> set[str]:
        own = (self._stop_words.get((account_id, place), set()) for place in (number, EVERY_NUMBER))
        return STANDARD_STOPS.union(*own)

    def _take(self, rows: WordRows) -> None:
        for keyword in rows.keywords:
            self._keywords[keyword.account_id, keyword.number, keyword.word] = keyword
            if keyword.meaning in OPT_OUTS:
                self._stop_words.setdefault((keyword.account_id, keyword.number), set()).add(keyword.word)
        for reply in rows.replies:
            self._replies[reply.account_id, reply.number, reply.meaning, reply.language] = reply
        for route in rows.routes:
            self._routes[route.account_id, route.number] = route


STANDARD_STOPS: Final = {word for word, meaning in STANDARD.items() if meaning in OPT_OUTS}
