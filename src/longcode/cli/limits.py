"""Commands about what accounts may send at most."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click

from longcode.bootstrap import Product
from longcode.cli.product import json_option, with_product
from longcode.cli.session import data_option
from longcode.cli.tables import echo_json, show_fields
from longcode.domain.money import parse_amount
from longcode.domain.timestamps import format_milli
from longcode.errors import ConfigurationError, InvalidField
from longcode.flow.caps import day_of
from longcode.flow.catalog import Catalog
from longcode.store.limits import AccountLimits, Usage

EVERYWHERE = "everywhere"
LONGEST_PREFIX = 15
MOST_SEGMENTS = 10**12


@click.command("limits")
@click.argument("name")
@click.option("--segments-per-day", type=click.IntRange(0, MOST_SEGMENTS), metavar="N", help="Segments in a day (UTC).")
@click.option("--spend-per-day", metavar="AMOUNT", help="What a day's segments may cost by their routes.")
@click.option("--allow", multiple=True, metavar="PREFIX", help="Only recipients that begin so; may be repeated.")
@click.option("--clear", is_flag=True, help="Take all limits away first.")
@json_option
@data_option
def limits(
    name: str,
    segments_per_day: int | None,
    spend_per_day: str | None,
    allow: tuple[str, ...],
    clear: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Bound what an account may send, or show its limits and what was used of them today.

    Each option replaces what was set by it; the others stay.
    """
    faults = [
        f"{prefix}: a prefix is 1 to {LONGEST_PREFIX} digits"
        for prefix in allow
        if not re.fullmatch(rf"\+?[0-9]{{1,{LONGEST_PREFIX}}}", prefix)
    ]
    spend = None
    try:
        spend = None if spend_per_day is None else parse_amount(spend_per_day, field="spend-per-day")
    except InvalidField as error:
        faults.append(str(error))
    if faults:
        raise ConfigurationError(faults)
    destinations = tuple(sorted({prefix.removeprefix("+") for prefix in allow}))

    async def act(product: Product) -> tuple[AccountLimits, Usage, str | None]:
        account = await product.accounts.by_name(name)
        catalog = await product.catalog.now()
        before = AccountLimits() if clear else catalog.limits_of(account.id)
        after = AccountLimits(
            segments_per_day=before.segments_per_day if segments_per_day is None else segments_per_day,
            spend_per_day=before.spend_per_day if spend is None else spend,
            destinations=destinations or before.destinations,
        )
        if after != catalog.limits_of(account.id):
            await product.limits.set(account.id, after)
            catalog = await product.catalog.now()
        return catalog.limits_of(account.id), await used_today(product, account.id), catalog.currency

    found, usage, currency = with_product(data, act)
    record = limits_record(found, usage, currency)
    if as_json:
        echo_json({"account": name, **record})
    else:
        show_fields(f"limits of {name}", shown_limits(record))


@click.command("show")
@click.argument("name")
@json_option
@data_option
def show_account(name: str, as_json: bool, data: Path | None) -> None:
    """Show an account with its limits and what was used of them today."""

    async def read(product: Product) -> dict[str, object]:
        account = await product.accounts.by_name(name)
        catalog: Catalog = await product.catalog.now()
        (listed,) = await product.accounts.page(after=account.id - 1, count=1)
        usage = await used_today(product, account.id)
        limits = limits_record(catalog.limits_of(account.id), usage, catalog.currency)
        return {"id": account.id, "name": account.name, "created_at": format_milli(listed.created_at), **limits}

    record = with_product(data, read)
    if as_json:
        echo_json(record)
    else:
        fields = {"id": record["id"], "created at": record["created_at"], **shown_limits(record)}
        show_fields(f"account {name}", fields)


async def used_today(product: Product, account_id: int) -> Usage:
    """What was accepted of an account today, as far as it has caps."""
    return (await product.limits.usage([account_id], day_of(product.clock()))).get(account_id, Usage())


def limits_record(limits: AccountLimits, usage: Usage, currency: str | None) -> dict[str, object]:
    """Limits as JSON has them; amounts as text. Keys are added, and never change their meaning."""
    spend = limits.spend_per_day
    return {
        "segments_per_day": limits.segments_per_day,
        "segments_today": usage.segments,
        "spend_per_day": None if spend is None else f"{spend:f}",
        "spend_today": f"{usage.spend:f}",
        "currency": currency,
        "destinations": list(limits.destinations),
    }


def shown_limits(record: Mapping[str, object]) -> dict[str, object]:
    """The same for people."""
    destinations = record["destinations"]
    assert isinstance(destinations, list)
    currency = record["currency"] or ""
    return {
        "segments a day": _bound(record["segments_per_day"], record["segments_today"], ""),
        "spend a day": _bound(record["spend_per_day"], record["spend_today"], f" {currency}"),
        "destinations": ", ".join(destinations) or EVERYWHERE,
    }


def _bound(most: object, used: object, unit: str) -> str:
    return "any" if most is None else f"{most}{unit}, {used} used today".replace("  ", " ")
