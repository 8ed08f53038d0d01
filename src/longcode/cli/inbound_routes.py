"""The command that says where messages to a number go."""

from __future__ import annotations

from pathlib import Path

import click

from longcode.bootstrap import Product
from longcode.cli.product import account_option, row_id, with_product
from longcode.cli.session import data_option
from longcode.cli.tables import echo_json, show_fields
from longcode.domain.phone import canonical
from longcode.errors import ConfigurationError
from longcode.flow.word_check import route_faults
from longcode.store.words import InboundRoute


@click.command("route")
@click.argument("number")
@account_option
@click.option("--mailbox", "login", metavar="LOGIN", help="Put its messages into this login's mailbox too.")
@click.option("--reply", metavar="TEXT", help="Answer messages that are no keyword; {account} is the account's name.")
@click.option("--webhook", "webhook_id", type=row_id, metavar="ID", help="Tell this endpoint alone of its messages.")
@click.option("--clear", is_flag=True, help="Only its conversation, and every endpoint; what is given besides is set.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@data_option
def route_number(
    number: str,
    account_name: str,
    login: str | None,
    reply: str | None,
    webhook_id: int | None,
    clear: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Say where messages to NUMBER go besides its conversation. What is not given stays; without options, show it."""

    async def act(product: Product) -> InboundRoute:
        owner = await product.accounts.by_name(account_name)
        told = InboundRoute(
            account_id=owner.id, number=canonical(number), login=login, reply=reply, webhook_id=webhook_id
        )
        faults = await route_faults(
            told, conversations=product.conversations, mailbox=product.mailbox_store, webhooks=product.webhooks
        )
        if faults:
            raise ConfigurationError(faults)
        digits = canonical(number)
        if clear:
            await product.words.remove_route(owner.id, digits)
        before = await product.words.route(owner.id, digits) or InboundRoute(account_id=owner.id, number=digits)
        if (login, reply, webhook_id) == (None, None, None):
            return before
        route = InboundRoute(
            account_id=owner.id,
            number=digits,
            login=before.login if login is None else login,
            reply=before.reply if reply is None else reply,
            webhook_id=before.webhook_id if webhook_id is None else webhook_id,
        )
        await product.words.set_route(route)
        return route

    route = with_product(data, act)
    fields = {"mailbox": route.login, "reply": route.reply, "webhook": route.webhook_id}
    if as_json:
        echo_json({"number": route.number, **fields})
    else:
        show_fields(f"messages to {number} of {account_name}", fields)
