"""Keywords, their answers and inbound routes, as accounts set them up; and what inbound messages were taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Table, delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.message import Message
from longcode.domain.words import Meaning
from longcode.store import schema
from longcode.store.database import Database
from longcode.store.messages import COLUMNS, to_message
from longcode.store.versions import bump_version

# The number of what is said of all an account's numbers.
EVERY_NUMBER: Final = ""

_keyword: Final = schema.keyword.c
_reply: Final = schema.keyword_reply.c
_route: Final = schema.inbound_route.c
_heard: Final = schema.inbound_word.c

KEYWORD_COLUMNS: Final = (
    _keyword.account_id,
    _keyword.number,
    _keyword.word,
    _keyword.meaning,
    _keyword.language,
    _keyword.reply,
)
REPLY_COLUMNS: Final = (_reply.account_id, _reply.number, _reply.meaning, _reply.language, _reply.text)
ROUTE_COLUMNS: Final = (_route.account_id, _route.number, _route.login, _route.reply, _route.webhook_id)

# Word by word as its index has it: a bound value would keep the index from being used.
_DOUBTFUL: Final = text("inbound_word.meaning = 'doubtful'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyword:
    """A word of an account's own.

    number: in canonical form, or EVERY_NUMBER. word: folded. language: "" for none. reply: its own answer; None: as
    its meaning is answered.
    """

    account_id: int
    number: str
    word: str
    meaning: Meaning
    language: str = ""
    reply: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordReply:
    """How an account answers a meaning in a language. number: as in Keyword. text: "" for not at all."""

    account_id: int
    number: str
    meaning: Meaning
    language: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundRoute:
    """Where messages to a number go besides its conversation.

    login: whose mailbox gets them too. reply: what answers those that are no keyword. webhook_id: the one endpoint
    that is told of them, instead of all of the account's.
    """

    account_id: int
    number: str
    login: str | None = None
    reply: str | None = None
    webhook_id: int | None = None


@dataclass(frozen=True, slots=True)
class HeardWord:
    """The keyword that an inbound message was, or nearly was."""

    meaning: Meaning
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRows:
    """Everything that all accounts set up, and their names by id."""

    names: dict[int, str]
    keywords: list[Keyword]
    replies: list[KeywordReply]
    routes: list[InboundRoute]


class WordStore:
    """What accounts set up, and what was heard."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set_keyword(self, keyword: Keyword) -> None:
        """Add a keyword, or change the one of that number and word."""
        values = _values(keyword, "account_id", "number", "word", "meaning", "language", "reply")
        await self._set(schema.keyword, values, ("account_id", "number", "word"))

    async def remove_keyword(self, account_id: int, number: str, word: str) -> bool:
        """Drop a keyword; False where there is none."""
        mine = (_keyword.account_id == account_id, _keyword.number == number, _keyword.word == word)
        return await self._remove(schema.keyword, *mine)

    async def keywords(self, account_id: int) -> list[Keyword]:
        """An account's own words, those of every number first."""
        query = (
            select(*KEYWORD_COLUMNS).where(_keyword.account_id == account_id).order_by(_keyword.number, _keyword.word)
        )
        async with self._database.read() as connection:
            return [_to_keyword(row) for row in (await connection.execute(query)).mappings()]

    async def set_reply(self, reply: KeywordReply) -> None:
        """Answer a meaning in this way."""
        values = _values(reply, "account_id", "number", "meaning", "language", "text")
        await self._set(schema.keyword_reply, values, ("account_id", "number", "meaning", "language"))

    async def remove_reply(self, account_id: int, number: str, meaning: Meaning, language: str) -> bool:
        """Answer a meaning as if nothing had been said of it; False where nothing was."""
        return await self._remove(
            schema.keyword_reply,
            _reply.account_id == account_id,
            _reply.number == number,
            _reply.meaning == meaning.value,
            _reply.language == language,
        )

    async def replies(self, account_id: int) -> list[KeywordReply]:
        """An account's own answers, those of every number first."""
        query = (
            select(*REPLY_COLUMNS)
            .where(_reply.account_id == account_id)
            .order_by(_reply.number, _reply.meaning, _reply.language)
        )
        async with self._database.read() as connection:
            return [_to_reply(row) for row in (await connection.execute(query)).mappings()]

    async def set_route(self, route: InboundRoute) -> None:
        """Let messages to a number go there; nowhere else than they did before there was a route."""
        await self._set(
            schema.inbound_route,
            _values(route, "account_id", "number", "login", "reply", "webhook_id"),
            ("account_id", "number"),
        )

    async def remove_route(self, account_id: int, number: str) -> bool:
        """Let messages to a number go to its conversation alone; False where they did."""
        return await self._remove(schema.inbound_route, _route.account_id == account_id, _route.number == number)

    async def route(self, account_id: int, number: str) -> InboundRoute | None:
        """Where messages to a number go, if anything was said of it."""
        query = select(*ROUTE_COLUMNS).where(_route.account_id == account_id, _route.number == number)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else InboundRoute(**row)

    async def doubtful(self, account_id: int, *, after: str = "", count: int) -> list[Message]:
        """Inbound messages that may be meant as an opt-out, the oldest first. after: the last one's id, as text."""
        query = (
            select(*COLUMNS)
            .join_from(schema.inbound_word, schema.message, schema.message.c.id == _heard.message_id)
            .where(_heard.account_id == account_id, _DOUBTFUL)
            .order_by(_heard.message_id)
            .limit(count)
        )
        if after:
            query = query.where(_heard.message_id > UUID(after))
        async with self._database.read() as connection:
            return [to_message(row._mapping) for row in await connection.execute(query)]

    async def load(self) -> WordRows:
        """All that all accounts set up."""
        account = schema.account.c
        async with self._database.read() as connection:
            names = await connection.execute(select(account.id, account.name))
            keywords = await connection.execute(select(*KEYWORD_COLUMNS))
            replies = await connection.execute(select(*REPLY_COLUMNS))
            routes = await connection.execute(select(*ROUTE_COLUMNS))
            return WordRows(
                names={row.id: row.name for row in names},
                keywords=[_to_keyword(row) for row in keywords.mappings()],
                replies=[_to_reply(row) for row in replies.mappings()],
                routes=[InboundRoute(**row) for row in routes.mappings()],
            )

    async def _set(self, table: Table, values: dict[str, Any], key: Sequence[str]) -> None:
        insert_ = self._database.insert
        new = insert_(table).values(values)
        rest = {name: new.excluded[name] for name in values if name not in key}
        async with self._database.write() as connection:
            await connection.execute(new.on_conflict_do_update(index_elements=list(key), set_=rest))
            await bump_version(connection)

    async def _remove(self, table: Table, *which: ColumnElement[bool]) -> bool:
        async with self._database.write() as connection:
            gone = await connection.execute(delete(table).where(*which))
            if gone.rowcount:
                await bump_version(connection)
            return bool(gone.rowcount)


async def read_heard(connection: AsyncConnection, message_id: UUID) -> HeardWord | None:
    """What an inbound message was taken for, if it was more than a text."""
    query = select(_heard.meaning, _heard.word).where(_heard.message_id == message_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else HeardWord(Meaning(row.meaning), row.word)


def _values(record: object, *names: str) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _to_keyword(row: Any) -> Keyword:
    return Keyword(**{**row, "meaning": Meaning(row["meaning"])})


def _to_reply(row: Any) -> KeywordReply:
    return KeywordReply(**{**row, "meaning": Meaning(row["meaning"])})
