"""A message for each line of a file, each under a key of its own, so that no line is sent twice by another run."""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO
from uuid import UUID

import click

from longcode.bootstrap import Product
from longcode.cli.progress import Advance
from longcode.cli.sending import Wanted, enter, key_of, plain_number
from longcode.cli.tables import echo_json
from longcode.domain.account import Account
from longcode.encoding.csv_cells import repeated
from longcode.errors import ConfigurationError, IntakeFull, InvalidField, LongcodeError, Unavailable
from longcode.flow.settlement import Entered

TO, TEXT, FROM, KEY = "to", "text", "from", "key"
STDIN = "<stdin>"
COLUMNS = (TO, TEXT, FROM, KEY)
# As many as the intake settles in one commit.
AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file, by its number. wanted: None where faults tell why it cannot be sent."""

    number: int
    wanted: Wanted | None
    faults: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What became of the lines. ids: of the messages that were sent, now or before. refused: by line."""

    sent: int = 0
    replayed: int = 0
    ids: list[UUID] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)

    def tell(self) -> None:
        """For people."""
        for number, why in self.refused:
            click.echo(f"line {number}: {why}", err=True)
        click.echo(f"messages: {self.sent} accepted, {self.replayed} sent before, {len(self.refused)} not sent")


def campaign_of(file: TextIO, given: str | None) -> str:
    """What the lines' keys are made with. Raises ConfigurationError for a stream without a name."""
    if given is not None:
        return given
    name = getattr(file, "name", STDIN)
    if name == STDIN:
        raise ConfigurationError(["standard input has no name: say --campaign, so that no line is sent twice"])
    return Path(name).name


def read_lines(file: TextIO, draft: Wanted, campaign: str) -> list[Line]:
    """Every line, the faulty ones too. draft: what lines have that do not say otherwise.

    Raises ConfigurationError for what is no such file at all.
    """
    try:
        reader = csv.DictReader(file, strict=True)
        names = reader.fieldnames or ()
        faults = [f"the file has an unknown column {name!r}" for name in names if name not in COLUMNS]
        faults += repeated(names)
        if TO not in names:
            faults.append(f"the file has no column `{TO}`")
        if faults:
            raise ConfigurationError(faults)
        return list(_lines(reader, draft, campaign))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError([f"the file is not CSV in UTF-8: {error}"]) from error


def _lines(reader: csv.DictReader[str], draft: Wanted, campaign: str) -> Iterator[Line]:
    seen: Counter[tuple[str, str]] = Counter()
    for row in reader:
        number = reader.line_num
        if None in row:
            yield Line(number, None, ("more fields than columns",))
            continue
        recipient = plain_number((row[TO] or "").strip())
        text = row.get(TEXT) or draft.text
        chosen = row.get(KEY) or None
        seen[recipient, text] += 1
        sender = row.get(FROM) or draft.sender
        wanted = replace(
            draft,
            sender=sender,
            pool=draft.pool if sender is None else None,
            recipient=recipient,
            text=text,
            # What was meant to be sent twice stands twice in the file.
            key=chosen or f"line:{key_of(campaign, recipient, text, seen[recipient, text])}",
            reference=chosen,
        )
        faults = tuple(wanted.faults())
        yield Line(number, None if faults else wanted, faults)


async def send_lines(
    product: Product, account: Account, lines: Sequence[Line], sender: str | None, advance: Advance, *, as_json: bool
) -> Report:
    """Send all that can be sent; sender: of the lines that have neither one nor a pool.

    Raises StorageDown: what was accepted until then is not sent again by another run.
    """
    report = Report()
    for start in range(0, len(lines), AT_ONCE):
        some = lines[start : start + AT_ONCE]
        results = await asyncio.gather(*(_try(product, account, line, sender) for line in some))
        for line, result in zip(some, results, strict=True):
            _note(report, line, result, as_json=as_json)
        advance(len(some))
    return report


async def _try(product: Product, account: Account, line: Line, sender: str | None) -> Entered | LongcodeError:
    """The stored message, or why there is none."""
    if line.wanted is None:
        return InvalidField("line", "; ".join(line.faults))
    wanted = line.wanted
    if wanted.sender is None and wanted.pool is None:
        wanted = replace(wanted, sender=sender)
    while True:
        try:
            return await enter(product, account, wanted)
        except IntakeFull as error:
            await asyncio.sleep(error.retry_after_seconds)
        except Unavailable:
            raise
        except LongcodeError as error:
            return error


def _note(report: Report, line: Line, result: Entered | LongcodeError, *, as_json: bool) -> None:
    if isinstance(result, LongcodeError):
        why = str(result)
        report.refused.append((line.number, why))
        said: dict[str, object] = {"line": line.number, "error": result.code, "detail": why}
    else:
        report.ids.append(result.message.id)
        report.replayed += result.replayed
        report.sent += not result.replayed
        message = result.message
        said = {
            "line": line.number,
            "id": str(message.id),
            "status": message.status.value,
            "sender": message.sender,
            "recipient": message.recipient,
            "replayed": result.replayed,
        }
    if as_json:
        echo_json(said)
