"""An SmppDriver before a scripted SMSC, and what came of the submissions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from longcode.carriers.port import (
    Accepted,
    CarrierReceipt,
    InboundSms,
    Outcome,
    Submission,
)
from longcode.carriers.smpp import SmppDriver
from longcode.carriers.smpp_link import BindStatus
from longcode.carriers.smpp_settings import SmppSettings
from longcode.domain.clock import mint_id, utc_now
from longcode.encoding.segments import Encoding, choose
from longcode.errors import StorageDown
from longcode.smpp.pdu import DeliverSm
from tests.smpp.loopback import until as until
from tests.smpp.smsc import Script, Smsc

CARRIER_ID = 7
SENDER = "MyCorp"
RECIPIENT = "+12025550101"


def settings_for(port: int, **changes: Any) -> SmppSettings:
    """Settings for an SMSC on the loopback."""
    values: dict[str, Any] = {"host": "127.0.0.1", "port": port, "system_id": "esme", "password": "secret"}
    return SmppSettings(**values | changes)


def submission(text: str = "Hello", **changes: Any) -> Submission:
    """A submission of a message that travels alone, changed as said."""
    values: dict[str, Any] = {
        "attempt_id": mint_id(),
        "message_id": mint_id(),
        "segment_index": 0,
        "segment_total": 1,
        "segment_reference": 1,
        "sender": SENDER,
        "recipient": RECIPIENT,
        "text": text,
        "encoding": choose(text).value,
        "expires_at": datetime.now(UTC) + timedelta(hours=4),
        "valid_for": timedelta(hours=4),
    }
    return Submission(**values | changes)


def mo(short_message: bytes = b"Hi", **fields: Any) -> DeliverSm:
    """A message that a person wrote, as a carrier delivers it."""
    values: dict[str, Any] = {
        "source_addr": "12025550101",
        "source_addr_ton": 1,
        "destination_addr": "12025550102",
        "dest_addr_ton": 1,
        "short_message": short_message,
    }
    return DeliverSm(**values | fields)


@dataclass(kw_only=True)
class Desk:
    """What stands behind a driver: takes receipts and messages in, and keeps every outcome.

    storage_down: nothing can be committed. held: commits wait until it is set.
    """

    driver: SmppDriver
    outcomes: dict[Submission, list[Outcome]] = field(default_factory=dict)
    receipts: list[CarrierReceipt] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    inbound: list[InboundSms] = field(default_factory=list)
    forgotten: list[bytes] = field(default_factory=list)
    kicks: int = 0
    storage_down: bool = False
    refused_commits: int = 0
    poison: str = "nothing is as bad as this"
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def answered(self, submission: Submission, outcome: Outcome) -> None:
        self.outcomes.setdefault(submission, []).append(outcome)

    async def take_receipts(self, receipts: Sequence[CarrierReceipt]) -> None:
        await self._commit([receipt.raw for receipt in receipts])
        self.receipts += receipts
        self.batches.append(len(receipts))

    async def take_inbound(self, messages: Sequence[InboundSms]) -> None:
        await self._commit([message.text for message in messages])
        self.inbound += messages

    async def forget_inbound(self, carrier_id: int, fingerprints: Sequence[bytes]) -> None:
        assert carrier_id == CARRIER_ID
        await self._commit([])
        self.forgotten += fingerprints

    async def _commit(self, texts: Sequence[str]) -> None:
        await self.gate.wait()
        if self.storage_down:
            self.refused_commits += 1
            raise StorageDown("the database did not answer")
        if any(self.poison in text for text in texts):
            raise RuntimeError("a row that no table takes")

    def _kick(self) -> None:
        self.kicks += 1

    @property
    def last(self) -> list[Outcome]:
        """The last outcome of each submission."""
        return [outcomes[-1] for outcomes in self.outcomes.values()]

    def ended(self, kind: type[Outcome]) -> list[Any]:
        """The outcomes of one kind."""
        return [outcome for outcomes in self.outcomes.values() for outcome in outcomes if isinstance(outcome, kind)]

    async def submit(self, *submissions: Submission) -> None:
        await self.driver.submit(submissions, self.answered)

    async def send(self, *submissions: Submission) -> list[Outcome]:
        """Submit, wait for all answers, and give them in order."""
        for one in submissions:
            self.outcomes.setdefault(one, [])
        await self.submit(*submissions)
        await until(lambda: all(self.outcomes[one] for one in submissions), 30)
        return [self.outcomes[one][-1] for one in submissions]

    async def send_text(self, text: str, encoding: Encoding | None = None, reference: int = 0x1234) -> list[Outcome]:
        """Cut a text as the carrier wants it and send the pieces."""
        pieces = self.driver.cut(text, encoding or choose(text), reference)
        return await self.send(
            *(
                submission(
                    piece.text,
                    encoding=piece.encoding.value,
                    segment_index=piece.index,
                    segment_total=piece.total,
                    segment_reference=reference,
                )
                for piece in pieces
            )
        )

    @property
    def bound(self) -> bool:
        return all(bind.state == "bound" for bind in self.driver.status())


def one_bind(desk: Desk) -> BindStatus:
    """The status of the only bind."""
    (status,) = desk.driver.status()
    return status


@asynccontextmanager
async def open_desk(
    port: int, *, random: Callable[[], float] = lambda: 0.0, start: bool = True, **changes: Any
) -> AsyncIterator[Desk]:
    """A driver of the SMSC on a port, bound unless `start` is False."""
    desk: Desk
    driver = SmppDriver(
        CARRIER_ID,
        settings_for(port, **changes),
        take_receipts=lambda receipts: desk.take_receipts(receipts),
        take_inbound=lambda messages: desk.take_inbound(messages),
        forget_inbound=lambda *known: desk.forget_inbound(*known),
        kick=lambda: desk._kick(),
        clock=utc_now,
        random=random,
    )
    desk = Desk(driver=driver)
    desk.gate.set()
    try:
        driver.start()
        if start:
            await until(lambda: desk.bound)
        yield desk
    finally:
        desk.gate.set()
        await driver.close()


@asynccontextmanager
async def driven(
    script: Script = Script(),  # noqa: B008 - frozen
    *,
    smsc_type: type[Smsc] = Smsc,
    **changes: Any,
) -> AsyncIterator[tuple[Smsc, Desk]]:
    """A scripted SMSC and a driver that is bound to it."""
    smsc = await smsc_type.start(script)
    try:
        async with open_desk(smsc.port, **changes) as desk:
            yield smsc, desk
    finally:
        await smsc.stop()


def accepted(outcomes: Sequence[Outcome]) -> bool:
    """Whether the carrier has them all."""
    return all(isinstance(outcome, Accepted) for outcome in outcomes)
