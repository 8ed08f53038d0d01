"""The command that sends: one message, or one for each line of a file."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TextIO
from uuid import UUID

import click

from longcode.bootstrap import Product
from longcode.cli.bulk import Line, Report, campaign_of, read_lines, send_lines
from longcode.cli.message_rows import record
from longcode.cli.product import account_option, json_option
from longcode.cli.progress import progress_bar
from longcode.cli.sending import Wanted, enter, only_sender, plain_number, wait_for_ends, with_sending_product
from longcode.cli.session import data_option
from longcode.cli.tables import echo_json
from longcode.domain.causes import why_failed, why_undelivered
from longcode.domain.message import Message, Status, is_final
from longcode.domain.timestamps import parse_instant
from longcode.errors import ConfigurationError, InvalidField
from longcode.flow.accept import LOWEST_PRIORITY, NORMAL_PRIORITY
from longcode.flow.settlement import Entered
from longcode.store.following import FollowStore
from longcode.webhooks import target

GOOD_ENDS = frozenset({Status.DELIVERED, Status.RECEIVED, Status.RECORDED})


@click.command()
@click.argument("words", nargs=-1, metavar="[TO] [TEXT]")
@account_option
@click.option("--from", "sender", help="A number or sender ID of the account. Default: the only one that it has.")
@click.option("--pool", metavar="NAME", help="Instead of --from: the pool that gives the sender.")
@click.option("--file", type=click.File("r", encoding="utf-8-sig"), help="A message for each line of this CSV file.")
@click.option("--campaign", metavar="NAME", help="Within which each line is sent once. Default: the file's name.")
@click.option("--key", help="Send it once only, however often this is run with the same key.")
@click.option(
    "--at", metavar="TIME", help="Not before this time, such as 2026-11-22T10:00:00Z; without a zone it is UTC."
)
@click.option(
    "--priority",
    type=click.IntRange(0, LOWEST_PRIORITY),
    default=NORMAL_PRIORITY,
    show_default=True,
    help="0 goes first.",
)
@click.option("--webhook", "webhook_url", metavar="URL", help="Tell each of its steps to this URL too.")
@click.option(
    "--wait", is_flag=True, help="Wait until it is at its end; the exit status says whether it was delivered."
)
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(0), help="Wait no longer. Default: as long as it takes."
)
@json_option
@data_option
def send(
    words: tuple[str, ...],
    account_name: str,
    sender: str | None,
    pool: str | None,
    file: TextIO | None,
    campaign: str | None,
    key: str | None,
    at: str | None,
    priority: int,
    webhook_url: str | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    data: Path | None,
) -> None:
    """Send a message TO a number, or with --file one for each line of a file.

    The file's columns: `to`, and if it has them `text`, `from` and `key`; TEXT is for the lines that have none of their
    own. A line that is faulty or refused is told by its number and left out. The same file may be run again: no line
    is sent twice.
    """
    _check(words, sender=sender, pool=pool, bulk=file is not None, campaign=campaign, key=key, webhook_url=webhook_url)
    draft = Wanted(
        sender=sender,
        pool=pool,
        recipient="",
        text="",
        priority=priority,
        due_at=_instant(at),
        webhook_url=webhook_url,
    )
    seconds = timeout if wait else 0.0
    if file is None:
        to, text = words
        one = replace(draft, recipient=plain_number(to), text=text, key=key, reference=key)
        status = _send_one(account_name, one, wait=wait, seconds=seconds, as_json=as_json, data=data)
    else:
        draft = replace(draft, text=words[0] if words else "")
        lines = read_lines(file, draft, campaign_of(file, campaign))
        status = _send_many(account_name, lines, draft, wait=wait, seconds=seconds, as_json=as_json, data=data)
    raise SystemExit(status)


def _check(
    words: tuple[str, ...],
    *,
    sender: str | None,
    pool: str | None,
    bulk: bool,
    campaign: str | None,
    key: str | None,
    webhook_url: str | None,
) -> None:
    """Raise ConfigurationError with everything that does not go together."""
    rules = (
        (bulk or len(words) == 2, "say TO and TEXT, the text as one word in quotes; or --file"),
        (not bulk or len(words) < 2, "with --file say TEXT at most, as one word in quotes"),
        (sender is None or pool is None, "a message has a sender or a pool, not both"),
        (bulk or campaign is None, "--campaign is for --file"),
        (not bulk or key is None, "--key is for one message; a file has a column `key`"),
    )
    faults = [fault for holds, fault in rules if not holds]
    if webhook_url is not None:
        # A private address may be one that the operator allowed before.
        faults += target.faults(webhook_url, allow_private=True)
    if faults:
        raise ConfigurationError(faults)


def _instant(text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_instant(text, field="at")
    except InvalidField as error:
        raise ConfigurationError([f"{text!r} is no time: say it like 2026-11-22T10:00:00Z"]) from error


def _send_one(
    account_name: str, wanted: Wanted, *, wait: bool, seconds: float | None, as_json: bool, data: Path | None
) -> int:
    """The exit status."""
    faults = wanted.faults()
    if faults:
        raise ConfigurationError(faults)

    async def act(product: Product) -> Message:
        account = await product.accounts.by_name(account_name)
        if wanted.sender is None and wanted.pool is None:
            entered = await enter(product, account, replace(wanted, sender=await only_sender(product, account)))
        else:
            entered = await enter(product, account, wanted)
        store = FollowStore(product.database)
        attempts = [listed.attempts for listed in await store.listed([entered.message.id])] if entered.replayed else [0]
        _tell_entered(entered, sum(attempts), as_json=as_json)
        if not wait or is_final(entered.message.status):
            return entered.message
        shown = entered.message.status

        def told(message_id: UUID, status: Status) -> None:
            nonlocal shown
            if status is not shown and not is_final(status) and not as_json:
                click.echo(f"message {message_id} {status.value}")
            shown = status

        await wait_for_ends(store, [entered.message.id], told, seconds)
        for listed in await store.listed([entered.message.id]):
            _tell_end(listed.message, listed.attempts, as_json=as_json)
            return listed.message
        return entered.message

    ended = with_sending_product(data, act)
    return int(wait and ended.status not in GOOD_ENDS)


def _tell_entered(entered: Entered, attempts: int, *, as_json: bool) -> None:
    message = entered.message
    if as_json:
        echo_json({**record(message, attempts), "replayed": entered.replayed})
    else:
        before = ", sent before under this key" if entered.replayed else ""
        click.echo(f"message {message.id} {message.status.value}{before}")


def _tell_end(message: Message, attempts: int, *, as_json: bool) -> None:
    if as_json:
        echo_json(record(message, attempts))
        return
    error, why = message.error or "", ""
    if message.status is Status.FAILED:
        why = f": {error}, {why_failed(error)}"
    elif message.status is Status.UNDELIVERED:
        why = f": {error}, {why_undelivered(error)}"
    elif not is_final(message.status):
        why = " still"
    click.echo(f"message {message.id} {message.status.value}{why}")


def _send_many(
    account_name: str,
    lines: list[Line],
    draft: Wanted,
    *,
    wait: bool,
    seconds: float | None,
    as_json: bool,
    data: Path | None,
) -> int:
    """The exit status."""

    async def act(product: Product) -> tuple[Report, dict[UUID, Status]]:
        account = await product.accounts.by_name(account_name)
        sender = draft.sender
        if draft.pool is None and any(line.wanted is not None and line.wanted.sender is None for line in lines):
            sender = await only_sender(product, account)
        with progress_bar("sending", len(lines)) as advance:
            report = await send_lines(product, account, lines, sender, advance, as_json=as_json)
        if not wait:
            return report, {}
        with progress_bar("ended", len(report.ids)) as advance:
            ends = await wait_for_ends(
                FollowStore(product.database), report.ids, lambda _id, status: advance(is_final(status)), seconds
            )
        return report, ends

    report, ends = with_sending_product(data, act)
    if as_json:
        for message_id, status in ends.items():
            echo_json({"id": str(message_id), "status": status.value})
    else:
        report.tell()
        if wait:
            counts = {status: list(ends.values()).count(status) for status in Status}
            click.echo("now: " + ", ".join(f"{count} {status.value}" for status, count in counts.items() if count))
    unhappy = [status for status in ends.values() if status not in GOOD_ENDS]
    return int(bool(report.refused or unhappy))
