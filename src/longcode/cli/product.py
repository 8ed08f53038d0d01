"""What the operator's commands share: the product for one command, and their common options."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from longcode import log
from longcode.bootstrap import Product
from longcode.cli.embedded import settings_with
from longcode.cli.session import opened, run
from longcode.domain.account import Account
from longcode.errors import ConfigurationError, NotFound

T = TypeVar("T")

account_option = click.option("--account", "account_name", required=True, metavar="NAME")
# What both databases can hold, as `type` of an argument.
row_id = click.IntRange(1, 2**63 - 1)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
report_option = click.option("--json", "as_json", is_flag=True, help="What was done as one JSON object.")
limit_option = click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(0), help="The most lines; 0: all there are."
)


def with_product(data: Path | None, act: Callable[[Product], Awaitable[T]]) -> T:
    """Open the product for one command, do it, close."""
    settings = settings_with(data)
    log.configure("warning")

    async def inner() -> T:
        async with opened(settings) as product:
            return await act(product)

    return run(inner())


async def owner_of(product: Product, account_name: str, faults: Sequence[str]) -> Account:
    """The account of a name. Raises ConfigurationError with these faults, and that there is no such account."""
    try:
        owner = await product.accounts.by_name(account_name)
    except NotFound as error:
        raise ConfigurationError([*faults, str(error)]) from error
    if faults:
        raise ConfigurationError(list(faults))
    return owner


async def must_be_ours(product: Product, owner: Account, sender: str) -> None:
    """Raise ConfigurationError for a sender that is not the account's: nothing that is said of it would count."""
    if await product.conversations.is_assigned(owner.id, sender):
        return
    if not await product.accounts.has_sender_id(owner.id, sender):
        raise ConfigurationError([f"{sender} is neither a number nor a sender ID of {owner.name}"])
