"""Commands about keywords: an account's own words, and how words are answered."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from longcode.bootstrap import Product
from longcode.cli.listing import Listing
from longcode.cli.product import account_option, json_option, owner_of, with_product
from longcode.cli.session import data_option
from longcode.domain.account import Account
from longcode.domain.phone import canonical
from longcode.domain.words import STANDARD, Meaning, fold
from longcode.errors import ConfigurationError, NotFound
from longcode.flow.word_check import keyword_faults, language_faults, text_faults
from longcode.flow.words import STANDARD_REPLIES
from longcode.store.words import EVERY_NUMBER, Keyword, KeywordReply

STANDARD_SOURCE, OWN_SOURCE = "standard", "own"

# What a word may mean, as it is typed: a hyphen where the code has an underscore.
MEANINGS: Final = {meaning.value.replace("_", "-"): meaning for meaning in Meaning if meaning is not Meaning.DOUBTFUL}
ANSWERED: Final = {name: meaning for name, meaning in MEANINGS.items() if meaning in STANDARD_REPLIES}

number_option = click.option("--number", metavar="NUMBER", help="Only for this number; without it for all of them.")
language_option = click.option(
    "--language", default="", help="Such as `fr`: joins a word with the answer of its language."
)


@click.group()
def keyword() -> None:
    """Words that ask for something: STOP, START, HELP, and an account's own."""


@keyword.command("list")
@account_option
@json_option
@data_option
def list_keywords(account_name: str, as_json: bool, data: Path | None) -> None:
    """List the words that count for an account: the standard ones, and its own, which come before those."""
    listing = Listing("word", "meaning", "number", "language", "reply", "source", as_json=as_json)

    async def read(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        own = await product.words.keywords(owner.id)
        changed = {one.word for one in own if one.number == EVERY_NUMBER}
        listing.add(
            [
                (word, _name(meaning), None, None, None, STANDARD_SOURCE)
                for word, meaning in STANDARD.items()
                if word not in changed
            ]
        )
        listing.add(
            [
                (one.word, _name(one.meaning), one.number or None, one.language or None, one.reply, OWN_SOURCE)
                for one in own
            ]
        )

    with_product(data, read)


@keyword.command("add")
@click.argument("word")
@account_option
@click.option("--means", "meaning", type=click.Choice(list(MEANINGS)), required=True, help="What it asks for.")
@click.option("--reply", help="Its own answer, in which {account} is the account's name; needed for `answer`.")
@number_option
@language_option
@data_option
def add_keyword(
    word: str, account_name: str, meaning: str, reply: str | None, number: str | None, language: str, data: Path | None
) -> None:
    """Let WORD mean something, or something else. Case, accents, spaces and punctuation make no difference."""
    folded, meant = fold(word), MEANINGS[meaning]
    faults = keyword_faults(word, meant, reply=reply, language=language)

    async def add(product: Product) -> None:
        owner = await owner_of(product, account_name, faults)
        await product.words.set_keyword(
            Keyword(
                account_id=owner.id,
                number=await _number(product, owner, number),
                word=folded,
                meaning=meant,
                language=language,
                reply=reply,
            )
        )

    with_product(data, add)
    click.echo(f"{folded} means {meaning} to {_whom(account_name, number)}")


@keyword.command("remove")
@click.argument("word")
@account_option
@number_option
@data_option
def remove_keyword(word: str, account_name: str, number: str | None, data: Path | None) -> None:
    """Take back what was said of WORD; a standard word means again what it means."""
    folded = fold(word)

    async def remove(product: Product) -> bool:
        owner = await product.accounts.by_name(account_name)
        return await product.words.remove_keyword(owner.id, _digits(number), folded)

    if not with_product(data, remove):
        raise NotFound(f"{_whom(account_name, number)} has no word {folded} of its own")
    click.echo(f"{folded} is no word of its own to {_whom(account_name, number)} any more")


@keyword.command("reply")
@click.argument("meaning", type=click.Choice(list(ANSWERED)), required=False)
@click.argument("text", required=False)
@account_option
@number_option
@language_option
@click.option("--off", is_flag=True, help="Do not answer.")
@click.option("--default", "standard", is_flag=True, help="Answer as if nothing had been said.")
@json_option
@data_option
def reply_to(
    meaning: str | None,
    text: str | None,
    account_name: str,
    number: str | None,
    language: str,
    off: bool,
    standard: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Say how words with a MEANING are answered: with TEXT, in which {account} is the account's name, or not at all.

    Without MEANING, list the answers.
    """
    if meaning is None:
        _list_replies(account_name, as_json=as_json, data=data)
        return
    if [text is not None, off, standard].count(True) != 1:
        raise ConfigurationError(["give one of: a text, --off, --default"])
    faults = [*language_faults(language), *([] if text is None else text_faults(text, "the text"))]
    if faults:
        raise ConfigurationError(faults)
    meant = ANSWERED[meaning]

    async def say(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        if standard:
            await product.words.remove_reply(owner.id, _digits(number), meant, language)
            return
        place = await _number(product, owner, number)
        await product.words.set_reply(
            KeywordReply(account_id=owner.id, number=place, meaning=meant, language=language, text=text or "")
        )

    with_product(data, say)
    how = "not answered" if off else "answered as the standard has it" if standard else "answered with that text"
    click.echo(f"{meaning} to {_whom(account_name, number)} is {how}")


def _list_replies(account_name: str, *, as_json: bool, data: Path | None) -> None:
    listing = Listing("meaning", "number", "language", "text", "source", as_json=as_json)

    async def read(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        own = await product.words.replies(owner.id)
        said = {one.meaning for one in own if (one.number, one.language) == (EVERY_NUMBER, "")}
        rest = [(meaning, text) for meaning, text in STANDARD_REPLIES.items() if meaning not in said]
        listing.add([(_name(meaning), None, None, text, STANDARD_SOURCE) for meaning, text in rest])
        listing.add(
            [(_name(one.meaning), one.number or None, one.language or None, one.text, OWN_SOURCE) for one in own]
        )

    with_product(data, read)


async def _number(product: Product, owner: Account, number: str | None) -> str:
    """The number as words are kept by it. Raises ConfigurationError where it is not the account's."""
    if number is not None and not await product.conversations.is_assigned(owner.id, number):
        raise ConfigurationError([f"{number} is not assigned to {owner.name}"])
    return _digits(number)


def _digits(number: str | None) -> str:
    return EVERY_NUMBER if number is None else canonical(number)


def _whom(account_name: str, number: str | None) -> str:
    return account_name if number is None else f"{number} of {account_name}"


def _name(meaning: Meaning) -> str:
    return meaning.value.replace("_", "-")
