"""Commands about accounts and what is theirs: API keys, sender IDs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import click

from longcode.bootstrap import Product
from longcode.cli.limits import limits, limits_record, show_account
from longcode.cli.listing import Listing, pages
from longcode.cli.product import account_option, json_option, report_option, with_product
from longcode.cli.session import data_option
from longcode.cli.tables import echo_json
from longcode.domain.account import NAME_RULE, is_account_name
from longcode.domain.scopes import SCOPES
from longcode.domain.scopes import faults as scope_faults
from longcode.domain.timestamps import format_milli
from longcode.errors import ConfigurationError, NotFound
from longcode.flow.identity import (
    CACHE_SECONDS,
    KEY_PREFIX,
    OPERATOR_PREFIX,
    hash_key,
    hash_secret,
    new_key,
    new_secret,
)
from longcode.store.accounts import ApiKey
from longcode.store.limits import Usage

LIMITS = ("segments_per_day", "spend_per_day", "destinations")
FOR_A_WHILE = f"running servers may still take it for {CACHE_SECONDS:g} seconds"


@click.group()
def account() -> None:
    """Accounts."""


account.add_command(limits)
account.add_command(show_account)


@account.command("create")
@click.argument("name")
@click.option("--secret", help="Its secret; without this a random one, printed once.")
@report_option
@data_option
def create_account(name: str, secret: str | None, as_json: bool, data: Path | None) -> None:
    """Make an account."""
    if not is_account_name(name):
        raise ConfigurationError([NAME_RULE])
    chosen = _secret(secret)
    with_product(data, lambda product: product.accounts.create(name, hash_secret(chosen)))
    _tell_secret(name, f"account {name}", chosen, given=secret is not None, as_json=as_json)


@account.command("list")
@json_option
@data_option
def list_accounts(as_json: bool, data: Path | None) -> None:
    """List accounts, the oldest first."""
    listing = Listing("id", "name", "created_at", *LIMITS, as_json=as_json)

    async def read(product: Product) -> None:
        catalog = await product.catalog.now()
        async for page in pages(product.accounts.page, lambda one: one.id, 0):
            found = [limits_record(catalog.limits_of(one.id), Usage(), catalog.currency) for one in page]
            listing.add(
                [
                    (one.id, one.name, format_milli(one.created_at), *(limits[name] for name in LIMITS))
                    for one, limits in zip(page, found, strict=True)
                ]
            )

    with_product(data, read)


@account.command("secret")
@click.argument("name")
@click.option("--secret", help="The new secret; without this a random one, printed once.")
@report_option
@data_option
def change_secret(name: str, secret: str | None, as_json: bool, data: Path | None) -> None:
    """Give an account another secret. Running servers may still take the old one for 15 seconds."""
    chosen = _secret(secret)

    async def change(product: Product) -> None:
        owner = await product.accounts.by_name(name)
        await product.accounts.set_secret(owner.id, hash_secret(chosen))

    with_product(data, change)
    done = f"account {name} has a new secret; of the old one, {FOR_A_WHILE}"
    _tell_secret(name, done, chosen, given=secret is not None, as_json=as_json)


def _tell_secret(name: str, done: str, secret: str, *, given: bool, as_json: bool) -> None:
    """Say what was done, and the secret where nobody knows it yet."""
    if as_json:
        echo_json({"name": name, "secret": None if given else secret})
        return
    click.echo(done)
    if not given:
        click.echo(f"secret {secret}")


def _secret(given: str | None) -> str:
    if given == "":
        raise ConfigurationError(["a secret may not be empty; leave --secret away and a random one is made"])
    return new_secret() if given is None else given


@click.group()
def sender() -> None:
    """Sender IDs."""


@sender.command("add")
@click.argument("sender_id")
@account_option
@data_option
def add_sender(sender_id: str, account_name: str, data: Path | None) -> None:
    """Let an account send as SENDER_ID."""
    if not 1 <= len(sender_id) <= 64 or not sender_id.isprintable():
        raise ConfigurationError(["a sender ID is 1 to 64 printable characters"])

    async def add(product: Product) -> bool:
        owner = await product.accounts.by_name(account_name)
        return await product.accounts.add_sender_id(owner.id, sender_id)

    added = with_product(data, add)
    click.echo(f"sender {sender_id} {'added to' if added else 'was already in'} the whitelist of {account_name}")


@sender.command("list")
@account_option
@json_option
@data_option
def list_senders(account_name: str, as_json: bool, data: Path | None) -> None:
    """List the sender IDs that an account may send as, besides its numbers."""
    listing = Listing("sender", as_json=as_json)

    async def read(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        async for page in pages(partial(product.accounts.sender_ids, owner.id), str, ""):
            listing.add([(value,) for value in page])

    with_product(data, read)


@sender.command("remove")
@click.argument("sender_id")
@account_option
@data_option
def remove_sender(sender_id: str, account_name: str, data: Path | None) -> None:
    """Let an account send as SENDER_ID no more. What was accepted already is still sent."""

    async def remove(product: Product) -> bool:
        owner = await product.accounts.by_name(account_name)
        return await product.accounts.remove_sender_id(owner.id, sender_id)

    if not with_product(data, remove):
        raise NotFound(f"{sender_id} is not in the whitelist of {account_name}")
    click.echo(f"sender {sender_id} removed from the whitelist of {account_name}")


@click.group()
def apikey() -> None:
    """API keys."""


@apikey.command("create")
@click.option("--account", "account_name", metavar="NAME", help="The account that it opens.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help=f"Only this, of /v1 alone; again for more: {', '.join(SCOPES)}.",
)
@click.option("--operator", is_flag=True, help="It opens every account, carriers and routes.")
@report_option
@data_option
def create_key(
    account_name: str | None, scopes: tuple[str, ...], operator: bool, as_json: bool, data: Path | None
) -> None:
    """Make an API key; it is printed this once. Without a scope it opens everything of its account."""
    faults = scope_faults(frozenset(scopes)) if scopes else []
    if (account_name is None) != operator or (operator and scopes):
        faults.append("say either --account and perhaps --scope, or --operator")
    if faults:
        raise ConfigurationError(faults)
    key = new_key(OPERATOR_PREFIX if operator else KEY_PREFIX)

    async def create(product: Product) -> None:
        if account_name is None:
            await product.accounts.add_operator_key(hash_key(key), key[:8])
            return
        owner = await product.accounts.by_name(account_name)
        limited = frozenset(scopes) if scopes else None
        await product.accounts.add_key(owner.id, hash_key(key), key[:8], scopes=limited)

    with_product(data, create)
    if as_json:
        echo_json({"hint": key[:8], "key": key})
    else:
        click.echo(key)


@apikey.command("list")
@click.option("--account", "account_name", metavar="NAME", help="Whose keys.")
@click.option("--operator", is_flag=True, help="The operator's keys.")
@json_option
@data_option
def list_keys(account_name: str | None, operator: bool, as_json: bool, data: Path | None) -> None:
    """List API keys by their first characters, the revoked ones too."""
    _one_owner(account_name, operator)
    listing = Listing("id", "hint", "created_at", "revoked_at", "scopes", as_json=as_json)

    async def read(product: Product) -> None:
        async for page in _keys_of(account_name, product):
            listing.add([_key_row(key, as_json=as_json) for key in page])

    with_product(data, read)


@apikey.command("revoke")
@click.argument("key", metavar="HINT_OR_ID")
@click.option("--account", "account_name", metavar="NAME", help="Whose key it is.")
@click.option("--operator", is_flag=True, help="It is one of the operator's.")
@data_option
def revoke_key(key: str, account_name: str | None, operator: bool, data: Path | None) -> None:
    """Let an API key open nothing any more. Running servers may still take it for 15 seconds."""
    _one_owner(account_name, operator)

    async def revoke(product: Product) -> ApiKey:
        found = [
            one async for page in _keys_of(account_name, product) for one in page if key in (str(one.id), one.hint)
        ]
        chosen = _the_live_one(key, account_name or "the operator", found)
        if account_name is None:
            await product.accounts.revoke_operator_key(chosen.id)
        else:
            await product.accounts.revoke_key((await product.accounts.by_name(account_name)).id, chosen.id)
        return chosen

    revoked = with_product(data, revoke)
    click.echo(f"apikey {revoked.id} ({revoked.hint}…) revoked; {FOR_A_WHILE}")


def _one_owner(account_name: str | None, operator: bool) -> None:
    if (account_name is None) != operator:
        raise ConfigurationError(["say either --account or --operator"])


async def _keys_of(account_name: str | None, product: Product) -> AsyncIterator[Sequence[ApiKey]]:
    """Pages of the keys of an account; None: of the operator."""
    if account_name is None:
        read = product.accounts.operator_keys
    else:
        owner = await product.accounts.by_name(account_name)
        read = partial(product.accounts.keys, owner.id)
    async for page in pages(read, lambda key: key.id, 0):
        yield page


def _the_live_one(key: str, account_name: str, found: list[ApiKey]) -> ApiKey:
    """The one key that is meant. Raises NotFound, or ConfigurationError where the hint fits several."""
    live = [one for one in found if one.revoked_at is None]
    if len(live) == 1:
        return live[0]
    if live:
        ids = ", ".join(str(one.id) for one in live)
        raise ConfigurationError([f"several API keys of {account_name} begin with {key}; say which by its id: {ids}"])
    if found:
        raise NotFound(f"API key {key} of {account_name} was revoked already")
    raise NotFound(f"{account_name} has no API key {key}: `longcode apikey list --account {account_name}`")


def _key_row(key: ApiKey, *, as_json: bool) -> tuple[object, ...]:
    revoked_at = None if key.revoked_at is None else format_milli(key.revoked_at)
    scopes: object = None if key.scopes is None else sorted(key.scopes)
    if not as_json:
        scopes = "all" if key.scopes is None else ",".join(sorted(key.scopes))
    return key.id, key.hint, format_milli(key.created_at), revoked_at, scopes
