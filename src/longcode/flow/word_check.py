"""What is wrong with a keyword, an answer or an inbound route that is to be set up: everything at once."""

from __future__ import annotations

from typing import Final

from longcode.domain.events import EventType
from longcode.domain.words import OPT_OUTS, STANDARD, Meaning, fold
from longcode.errors import NotFound, OfField
from longcode.store.conversations import ConversationStore
from longcode.store.mailbox import MailboxStore
from longcode.store.webhooks import WebhookStore
from longcode.store.words import InboundRoute

LONGEST_WORD: Final = 40
LONGEST_TEXT: Final = 1600
LONGEST_LANGUAGE: Final = 16


def keyword_faults(word: str, meaning: Meaning, *, reply: str | None, language: str) -> list[str]:
    """Why a word could never mean that. word: as it was typed."""
    faults = [*_word_faults(word, meaning), *language_faults(language)]
    if reply is not None:
        faults += text_faults(reply, "a reply")
    if meaning is Meaning.ANSWER and reply is None:
        faults.append(OfField("a word that means `answer` needs a reply", "reply"))
    if meaning is Meaning.NOTHING and reply is not None:
        faults.append(OfField("a word that means `nothing` has no reply", "reply"))
    return faults


def text_faults(text: str, what: str) -> list[str]:
    """What is wrong with a text that is to be sent."""
    if 1 <= len(text) <= LONGEST_TEXT and not text.isspace() and "\0" not in text:
        return []
    return [f"{what} has 1 to {LONGEST_TEXT} characters"]


def language_faults(language: str) -> list[str]:
    """What is wrong with the name of a language."""
    if len(language) <= LONGEST_LANGUAGE and language.isprintable():
        return []
    return [OfField(f"a language has at most {LONGEST_LANGUAGE} printable characters", "language")]


async def route_faults(
    route: InboundRoute, *, conversations: ConversationStore, mailbox: MailboxStore, webhooks: WebhookStore
) -> list[str]:
    """What of an inbound route could never work, in words."""
    faults = [] if route.reply is None else text_faults(route.reply, "a reply")
    if not await conversations.is_assigned(route.account_id, route.number):
        faults.append(f"{route.number} is not assigned to the account")
    if route.login is not None and not await mailbox.logins(route.account_id, {route.login}):
        faults.append(OfField(f"the account has no login {route.login}", "mailbox"))
    if route.webhook_id is not None:
        faults += await _webhook_faults(webhooks, route.account_id, route.webhook_id)
    return faults


async def _webhook_faults(webhooks: WebhookStore, account_id: int, webhook_id: int) -> list[str]:
    try:
        endpoint = await webhooks.get(webhook_id, account_id=account_id)
    except NotFound:
        return [OfField(f"the account has no webhook endpoint {webhook_id}", "webhook_id")]
    if EventType.MESSAGE_RECEIVED not in endpoint.types:
        return [OfField(f"webhook endpoint {webhook_id} is not told of {EventType.MESSAGE_RECEIVED}", "webhook_id")]
    return []


def _word_faults(word: str, meaning: Meaning) -> list[str]:
    faults, folded = [], fold(word)
    if not 1 <= len(folded) <= LONGEST_WORD:
        faults.append(f"{word!r} is no word: 1 to {LONGEST_WORD} letters and digits")
    if STANDARD.get(folded) in OPT_OUTS and meaning not in OPT_OUTS:
        faults.append(
            OfField(f"{folded} always asks to stop, from one number or from all: it may mean nothing else", "meaning")
        )
    return faults
