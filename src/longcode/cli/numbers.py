"""Commands about numbers: one by one, from CSV, and with their accounts from a dump."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import BinaryIO, TextIO

import click

from longcode.bootstrap import Product
from longcode.cli.inbound_routes import route_number
from longcode.cli.listing import Listing, pages
from longcode.cli.product import account_option, json_option, report_option, with_product
from longcode.cli.progress import progress_bar
from longcode.cli.session import data_option
from longcode.cli.tables import echo_json
from longcode.domain.phone import parse_inventory_value
from longcode.encoding.account_dump import AccountDump, read_accounts
from longcode.encoding.csv_cells import repeated, unmarked
from longcode.errors import ConfigurationError, Duplicate, InvalidField, NotFound
from longcode.flow.plivo_import import Report, bring_in


@click.group()
def number() -> None:
    """Numbers."""


number.add_command(route_number)


@number.command("add")
@click.argument("value")
@account_option
@data_option
def add_number(value: str, account_name: str, data: Path | None) -> None:
    """Assign a number to an account."""
    _check_number(value)

    async def add(product: Product) -> bool:
        owner = await product.accounts.by_name(account_name)
        return await product.numbers.assign(owner.id, value)

    added = with_product(data, add)
    click.echo(f"number {value} {'assigned to' if added else 'was assigned already to'} {account_name}")


@number.command("list")
@account_option
@json_option
@data_option
def list_numbers(account_name: str, as_json: bool, data: Path | None) -> None:
    """List an account's numbers. Only those that were assigned to it send and receive."""
    listing = Listing("id", "value", "assigned", as_json=as_json)

    async def read(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        async for page in pages(partial(product.numbers.page, owner.id), lambda one: one.id, 0):
            listing.add([(one.id, one.value, one.assigned) for one in page])

    with_product(data, read)


@number.command("release")
@click.argument("value")
@account_option
@data_option
def release_number(value: str, account_name: str, data: Path | None) -> None:
    """Take a number back from an account, so that another may have it. What was accepted already is still sent."""

    async def release(product: Product) -> None:
        owner = await product.accounts.by_name(account_name)
        try:
            await product.numbers.release(owner.id, value)
        except NotFound as error:
            raise NotFound(f"{value} is not assigned to {account_name}") from error

    with_product(data, release)
    click.echo(f"number {value} released by {account_name}, which keeps it in its list")


@number.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@click.option("--account", "account_name", metavar="NAME", help="For rows that name no account.")
@report_option
@data_option
def import_numbers(file: TextIO, account_name: str | None, as_json: bool, data: Path | None) -> None:
    """Assign the numbers of a CSV file: a column `value`, and `account` where --account is not given."""
    rows, faults = _read_numbers(file, account_name)

    async def bring(product: Product) -> tuple[int, int, list[str]]:
        named = set() if account_name is None else {account_name}
        ids = await _account_ids(product, named.union(name for _, name in rows), faults)
        added, conflicts = 0, []
        with progress_bar("numbers", len(rows)) as advance:
            for value, name in rows:
                try:
                    added += await product.numbers.assign(ids[name], value)
                except Duplicate as error:
                    conflicts.append(f"{value}: {error}")
                advance(1)
        return added, len(rows) - added - len(conflicts), conflicts

    added, unchanged, conflicts = with_product(data, bring)
    if as_json:
        echo_json({"added": added, "unchanged": unchanged, "conflicts": conflicts})
    else:
        click.echo(f"numbers: {added} added, {unchanged} unchanged, {len(conflicts)} in conflict")
    _tell_conflicts(conflicts)


async def _account_ids(product: Product, names: set[str], faults: Sequence[str]) -> dict[str, int]:
    """Each account's id by its name. Raises ConfigurationError with these faults and all names that there are not."""
    ids, faults = {}, list(faults)
    for name in sorted(names):
        try:
            ids[name] = (await product.accounts.by_name(name)).id
        except NotFound as error:
            faults.append(str(error))
    if faults:
        raise ConfigurationError(faults)
    return ids


def _read_numbers(file: TextIO, account_name: str | None) -> tuple[list[tuple[str, str]], list[str]]:
    """(value, account name) of each row that names an account, and the faults of all rows."""
    try:
        return _parse_numbers(file, account_name)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError([f"the file is not CSV in UTF-8: {error}"]) from error


def _parse_numbers(file: TextIO, account_name: str | None) -> tuple[list[tuple[str, str]], list[str]]:
    reader = csv.DictReader(file, strict=True)
    if reader.fieldnames is None or "value" not in reader.fieldnames:
        raise ConfigurationError(["the file has no column `value`"])
    rows, faults = [], repeated(reader.fieldnames)
    for row in reader:
        if None in row:
            faults.append(f"line {reader.line_num}: more fields than columns")
            continue
        value, name = unmarked(row["value"] or ""), row.get("account") or account_name
        try:
            _check_number(value)
        except ConfigurationError as error:
            faults.append(f"line {reader.line_num}: {error}")
        if name is None:
            faults.append(f"line {reader.line_num}: no account")
        elif not name.isprintable():
            faults.append(f"line {reader.line_num}: {name!r} is no account's name")
        else:
            rows.append((value, name))
    return rows, faults


def _check_number(value: str) -> None:
    try:
        parse_inventory_value(value, field="number")
    except InvalidField as error:
        raise ConfigurationError(
            [f"{value!r} is not a number: 6 to 20 digits, an optional + and separators"]
        ) from error


def _tell_conflicts(conflicts: list[str]) -> None:
    for conflict in conflicts:
        click.echo(conflict, err=True)
    if conflicts:
        raise SystemExit(1)


@click.group("import")
def import_() -> None:
    """Bring data in from elsewhere."""


@import_.command("plivo")
@click.argument("file", type=click.File("rb"))
@report_option
@data_option
def import_plivo(file: BinaryIO, as_json: bool, data: Path | None) -> None:
    """Import accounts and numbers from a PostgreSQL dump, whose SQL is read and never run."""
    dump = read_accounts(file)

    async def bring(product: Product) -> Report:
        with progress_bar("accounts and numbers", len(dump.accounts) + len(dump.numbers)) as advance:
            return await bring_in(dump, accounts=product.accounts, numbers=product.numbers, progress=lambda: advance(1))

    report = with_product(data, bring)
    if as_json:
        echo_json({**asdict(report), "skipped": [asdict(row) for row in dump.skipped]})
    else:
        _tell(report, dump)
    _tell_conflicts(report.conflicts)


def _tell(report: Report, dump: AccountDump) -> None:
    click.echo(
        f"accounts: {report.accounts_added} added, {report.accounts_changed} changed, "
        f"{report.accounts_unchanged} unchanged{_skipped(dump, 'account')}"
    )
    click.echo(
        f"numbers: {report.numbers_added} added, {report.numbers_unchanged} unchanged, "
        f"{len(report.conflicts)} in conflict{_skipped(dump, 'phone_number')}"
    )
    for row in dump.skipped:
        click.echo(f"skipped: line {row.line}: {row.reason}", err=True)


def _skipped(dump: AccountDump, table: str) -> str:
    count = sum(row.table == table for row in dump.skipped)
    return f", {count} skipped" if count else ""
