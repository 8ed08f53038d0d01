"""Keywords: words that ask for something, and how they are answered."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import FastAPI, Query
from pydantic import BaseModel, Field

from longcode.api.caller import Admitted
from longcode.api.desk import Desk
from longcode.api.fields import TEXT_LENGTH, Body, Clean, MessageText, NumberValue, OneOf, chars
from longcode.api.fields import Query as Asked
from longcode.api.ids import NameInPath
from longcode.api.problems import invalid, refuse
from longcode.api.routing import Routes
from longcode.domain.phone import canonical
from longcode.domain.words import STANDARD, Meaning, fold
from longcode.errors import NotFound, OfField
from longcode.flow.word_check import keyword_faults, language_faults
from longcode.flow.words import STANDARD_REPLIES
from longcode.store.words import EVERY_NUMBER, Keyword, KeywordReply

Language = Annotated[
    Annotated[Clean, chars(0, 16)], Field(description="Such as `fr`: joins a word with the answer of its language.")
]
MEANINGS: Final = tuple(meaning.value for meaning in Meaning if meaning is not Meaning.DOUBTFUL)
ANSWERED: Final = [meaning.value for meaning in STANDARD_REPLIES]
MeaningName = Annotated[str, OneOf(MEANINGS)]


class KeywordDraft(Body):
    """What a word means.

    reply: its own answer, in which {account} is the account's name; needed for `answer`. number: only for this one.
    """

    meaning: MeaningName
    reply: MessageText | None = None
    number: NumberValue | None = None
    language: Language = ""


class KeywordShown(BaseModel):
    """A word that counts for the account. own: it said so itself; else it is a standard one."""

    word: str
    meaning: str
    number: str | None
    language: str | None
    reply: str | None
    own: bool


class Keywords(BaseModel):
    """The words that count for the account; its own come before the standard ones."""

    items: list[KeywordShown]


class ReplyDraft(Body):
    """How words with a meaning are answered. text: empty for not at all; {account} in it is the account's name."""

    text: Annotated[Clean, chars(0, TEXT_LENGTH)]
    number: NumberValue | None = None
    language: Language = ""


class ReplyShown(BaseModel):
    """How words with a meaning are answered. text: null for not at all. own: the account said so itself."""

    meaning: str
    number: str | None
    language: str | None
    text: str | None
    own: bool


class Replies(BaseModel):
    """How words are answered."""

    items: list[ReplyShown]


class PlaceQuery(Asked):
    """Of which number, and in which language."""

    number: Annotated[NumberValue | None, Field(description="What was said of this number alone.")] = None
    language: Language = ""


def add_keywords(app: FastAPI, desk: Desk) -> None:
    """The routes of keywords."""
    routes = Routes(app, "Native: keywords", "keywords")

    @routes.get("/keywords", "listKeywords")
    async def list_keywords(caller: Admitted) -> Keywords:
        """List the words that count for the account: its own, and the standard ones that it did not change."""
        own = await desk.words.keywords(caller.account.id)
        changed = {one.word for one in own if one.number == EVERY_NUMBER}
        standard = [
            KeywordShown(word=word, meaning=meaning.value, number=None, language=None, reply=None, own=False)
            for word, meaning in STANDARD.items()
            if word not in changed
        ]
        return Keywords(items=[*(_shown(one) for one in own), *standard])

    @routes.put("/keywords/{word}", "setKeyword")
    async def set_(word: NameInPath, body: KeywordDraft, caller: Admitted) -> KeywordShown:
        """Let a word mean something, or something else.

        Case, accents, spaces and punctuation make no difference.
        """
        meaning = Meaning(body.meaning)
        refuse(keyword_faults(word, meaning, reply=body.reply, language=body.language))
        keyword = Keyword(
            account_id=caller.account.id,
            number=await place(caller, body.number),
            word=fold(word),
            meaning=meaning,
            language=body.language,
            reply=body.reply,
        )
        await desk.words.set_keyword(keyword)
        return _shown(keyword)

    @routes.delete("/keywords/{word}", "removeKeyword")
    async def remove(word: NameInPath, query: Annotated[PlaceQuery, Query()], caller: Admitted) -> None:
        """Take back what was said of a word; a standard word means again what it means."""
        number = EVERY_NUMBER if query.number is None else canonical(query.number)
        if not await desk.words.remove_keyword(caller.account.id, number, fold(word)):
            raise NotFound("the account has no such word of its own")

    @routes.get("/keyword-replies", "listReplies")
    async def list_replies(caller: Admitted) -> Replies:
        """List how words are answered."""
        own = await desk.words.replies(caller.account.id)
        said = {one.meaning for one in own if (one.number, one.language) == (EVERY_NUMBER, "")}
        standard = [
            ReplyShown(meaning=meaning.value, number=None, language=None, text=text_, own=False)
            for meaning, text_ in STANDARD_REPLIES.items()
            if meaning not in said
        ]
        return Replies(items=[*(_reply(one) for one in own), *standard])

    @routes.put("/keyword-replies/{meaning}", "setReply")
    async def set_reply(meaning: NameInPath, body: ReplyDraft, caller: Admitted) -> ReplyShown:
        """Say how words with a meaning are answered."""
        faults = [OfField("it has nothing to read", "text")] if body.text.isspace() else []
        refuse([*faults, *language_faults(body.language)])
        reply = KeywordReply(
            account_id=caller.account.id,
            number=await place(caller, body.number),
            meaning=_answered(meaning),
            language=body.language,
            text=body.text,
        )
        await desk.words.set_reply(reply)
        return _reply(reply)

    @routes.delete("/keyword-replies/{meaning}", "removeReply")
    async def remove_reply(meaning: NameInPath, query: Annotated[PlaceQuery, Query()], caller: Admitted) -> None:
        """Answer words with a meaning as if nothing had been said."""
        number = EVERY_NUMBER if query.number is None else canonical(query.number)
        await desk.words.remove_reply(caller.account.id, number, _answered(meaning), query.language)

    async def place(caller: Admitted, number: str | None) -> str:
        if number is None:
            return EVERY_NUMBER
        if not await desk.conversations.is_assigned(caller.account.id, number):
            raise invalid("it is not assigned to the account", pointer="/number")
        return canonical(number)


def _answered(meaning: str) -> Meaning:
    if meaning not in ANSWERED:
        raise NotFound(f"only these are answered: {', '.join(ANSWERED)}")
    return Meaning(meaning)


def _shown(one: Keyword) -> KeywordShown:
    return KeywordShown(
        word=one.word,
        meaning=one.meaning.value,
        number=one.number or None,
        language=one.language or None,
        reply=one.reply,
        own=True,
    )


def _reply(one: KeywordReply) -> ReplyShown:
    return ReplyShown(
        meaning=one.meaning.value,
        number=one.number or None,
        language=one.language or None,
        text=one.text or None,
        own=True,
    )
