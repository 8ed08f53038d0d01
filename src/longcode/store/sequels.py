"""What an inbound message brings about besides being stored, in the transaction that stores it.

The word that it was, what that changes in the ledger of opt-outs, a mailbox, and an answer. So a crash loses none of
them, and a repeat of the message doubles none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from longcode.domain.words import Meaning
from longcode.store import schema
from longcode.store.commit_order import box_xact
from longcode.store.database import to_micros
from longcode.store.events import tell_only
from longcode.store.new_messages import NewMessage, Reply, Sequel
from longcode.store.opt_outs import KEYWORD, OptOut, hold, is_opted_out, opt_in, opt_out

# Two machines that answer each other end here: so many answers of one kind, from one number to another.
REPLIES_AT_MOST: Final = 5
REPLIES_WITHIN: Final = timedelta(hours=1)


async def hold_parties(connection: AsyncConnection, messages: Sequence[NewMessage]) -> None:
    """Let what others write of the same parties come before or after, not in between."""
    await hold(connection, {(new.message.account_id, new.sequel.party) for new in messages if new.sequel is not None})


async def carry_out(connection: AsyncConnection, messages: Sequence[NewMessage]) -> list[NewMessage]:
    """Do what follows from messages that were stored just now, in their order; the answers, still to be stored."""
    replies: list[NewMessage] = []
    for new in sorted(messages, key=lambda new: new.message.id):
        sequel = new.sequel
        assert sequel is not None
        await _note_word(connection, new, sequel)
        await _box(connection, new, sequel)
        if sequel.webhook_id is not None:
            await tell_only(connection, new.message.account_id, new.message.id, sequel.webhook_id)
        changed = await _change(connection, new, sequel)
        if changed and sequel.reply is not None and await _may_reply(connection, new, sequel, sequel.reply):
            await _note_reply(connection, new, sequel, sequel.reply)
            replies += sequel.reply.messages
    return replies


async def _note_word(connection: AsyncConnection, new: NewMessage, sequel: Sequel) -> None:
    if sequel.meaning is None:
        return
    await connection.execute(
        insert(schema.inbound_word).values(
            message_id=new.message.id,
            account_id=new.message.account_id,
            meaning=sequel.meaning.value,
            word=sequel.word,
        )
    )


async def _box(connection: AsyncConnection, new: NewMessage, sequel: Sequel) -> None:
    if sequel.login is None:
        return
    account_id, at = new.message.account_id, new.boxed_at or new.message.created_at
    await connection.execute(
        insert(schema.mailbox).values(
            account_id=account_id,
            recipient=sequel.login,
            sender=new.message.sender,
            at=at,
            message_id=new.message.id,
            xact=box_xact(connection, account_id, sequel.login, to_micros(at)),
        )
    )


async def _change(connection: AsyncConnection, new: NewMessage, sequel: Sequel) -> bool:
    """Write into the ledger what the word asks for; False where it asked for what was so already."""
    message = new.message
    asked = OptOut(
        account_id=message.account_id,
        sender=None if sequel.meaning is Meaning.STOP_ALL else sequel.number,
        recipient=sequel.party,
        source=KEYWORD,
        created_at=message.created_at,
        keyword=sequel.word,
        message_id=message.id,
    )
    match sequel.meaning:
        case Meaning.STOP | Meaning.STOP_ALL:
            stopped = await is_opted_out(connection, message.account_id, asked.sender, sequel.party)
            await opt_out(connection, [asked], message.created_at)
            return not stopped
        case Meaning.START:
            return await opt_in(connection, asked)
        case _:
            return True


async def _may_reply(connection: AsyncConnection, new: NewMessage, sequel: Sequel, reply: Reply) -> bool:
    """False towards those who opted out, but for what is said to them; and where too much was said lately."""
    message = new.message
    if not reply.despite_opt_out and await is_opted_out(connection, message.account_id, sequel.number, sequel.party):
        return False
    sent = schema.auto_reply.c
    lately = select(func.count()).where(
        sent.account_id == message.account_id,
        sent.sender == sequel.number,
        sent.recipient == sequel.party,
        sent.kind == reply.kind,
        sent.created_at > message.created_at - REPLIES_WITHIN,
    )
    count: int = (await connection.execute(lately)).scalar_one()
    return count < REPLIES_AT_MOST


async def _note_reply(connection: AsyncConnection, new: NewMessage, sequel: Sequel, reply: Reply) -> None:
    await connection.execute(
        insert(schema.auto_reply).values(
            message_id=reply.messages[0].message.id,
            inbound_id=new.message.id,
            account_id=new.message.account_id,
            sender=sequel.number,
            recipient=sequel.party,
            kind=reply.kind,
            despite_opt_out=reply.despite_opt_out,
            created_at=new.message.created_at,
        )
    )
