"""Messages on their way to a scripted SMSC, and the account of what became of each.

The SMSC is the witness: it appends each submit_sm that it takes to a log before it answers, and every message
has a text and a recipient of its own.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from enum import Enum

import aiohttp
import msgspec

from longcode.smpp.constants import EsmClass, MessageState, Tag
from longcode.smpp.errors import SessionError
from longcode.smpp.fields import Tlv
from longcode.smpp.pdu import DeliverSm
from tests.faults.smpp_installation import ONCE, SECRET, SENDER, Client, Installation
from tests.processes import wait_until_async
from tests.smpp.smsc import Script, Taken

CONNECTIONS = 50
RECEIPTS_AT_ONCE = 200
# Ranges of a thousand that Ofcom reserves for drama: together recipients enough for one run.
RECIPIENTS = [f"{prefix}{number:03d}" for prefix in ("447700900", "441632960") for number in range(1000)]
PATIENCE_SECONDS = 40.0
# Leases of a process that was killed last a minute; here, this long.
LEASE_SECONDS = 4.0
# Whatever is due later waits for its proof.
SOON_SECONDS = 600.0
OK = range(200, 300)

_serial = itertools.count(1)

End = tuple[str, str | None]
DELIVERED: End = ("delivered", None)
UNKNOWN: End = ("failed", "outcome_unknown")


class Receipts(Enum):
    """What the SMSC reports on at the end."""

    AGAIN = "whatever it took, once more: what was not acknowledged is repeated"
    SENT = "nothing: its receipts have all arrived"
    NONE = "nothing, and it never did"


class Traffic:
    """So many messages of one client, each sent by HTTP until it is accepted.

    refused: how many calls ended otherwise.
    """

    def __init__(self, installation: Installation, count: int, *, client: Client = ONCE) -> None:
        assert count <= len(RECIPIENTS)
        self.count = count
        self.refused = 0
        self._accepted = 0
        self._on = installation
        self._client = client
        self._tag = f"run {next(_serial)} "
        self._begins_at = installation.log.stat().st_size
        self._taken_before = len(installation.smsc.taken)

    # The way out

    @asynccontextmanager
    async def sending(self, script: Script = Script()) -> AsyncIterator[None]:  # noqa: B008 - frozen
        """Send meanwhile; at the end everything is accepted. script: how the SMSC behaves from now on."""
        self._on.smsc.script = script
        numbers = iter(range(self.count))
        async with aiohttp.ClientSession(
            self._on.serve.url,
            headers={"Authorization": f"Basic {_basic(self._client)}"},
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=10.0),
        ) as session:
            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(CONNECTIONS):
                        tasks.create_task(self._send(session, numbers))
                    yield
            finally:
                self._on.smsc.script = Script()

    async def accepted(self, count: int) -> None:
        """Wait until so many of them are accepted."""
        await wait_until_async(
            lambda: self._accepted >= count, PATIENCE_SECONDS, 0.005, what=f"{count} accepted messages"
        )

    async def taken(self, count: int) -> None:
        """Wait until the SMSC has taken so many of them."""
        wanted = self._taken_before + count
        smsc = self._on.smsc
        await wait_until_async(lambda: len(smsc.taken) >= wanted, PATIENCE_SECONDS, 0.005, what=f"{count} submits")

    def at(self, count: int) -> int:
        """What the SMSC has taken in all when it has taken so many of them."""
        return self._taken_before + count

    async def disturbed(self) -> None:
        """Wait until a call more is refused."""
        refused = self.refused
        await wait_until_async(lambda: self.refused > refused, PATIENCE_SECONDS, what="a call that is refused")

    async def cut_attempts(self) -> int:
        """How many attempts have no answer on record."""
        return await self._on.count(
            "SELECT count(*) FROM attempt AS a WHERE NOT EXISTS (SELECT 1 FROM outcome WHERE attempt_id = a.id)"
            " AND message_id IN (SELECT id FROM message WHERE text LIKE $1)",
            f"{self._tag}%",
        )

    async def unconfirmed(self) -> int:
        """How many attempts were written and had no answer in time."""
        return await self._on.count(
            "SELECT count(*) FROM outcome WHERE kind = 'unconfirmed'"
            " AND message_id IN (SELECT id FROM message WHERE text LIKE $1)",
            f"{self._tag}%",
        )

    def repeated(self) -> int:
        """How many submits were not the first of their message."""
        log = self._log()
        return len(log) - len(set(map(_text, log)))

    async def _send(self, session: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
        for number in numbers:
            text = f"{self._tag}{number}"
            body = {"sender_id": SENDER, "recipient": RECIPIENTS[number], "text": text}
            headers = {"Idempotency-Key": f"send_msg:{text}"}

            async def accepted(body: dict[str, str] = body, headers: dict[str, str] = headers) -> bool:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with session.post("/api/messages/", json=body, headers=headers) as answer:
                        if answer.status in OK:
                            self._accepted += 1
                            return True
                self.refused += 1
                return False

            await wait_until_async(accepted, PATIENCE_SECONDS, 0.05, what="a message that is accepted")

    # The end

    async def ends(self, *, receipts: Receipts = Receipts.AGAIN, again: bool = False) -> Counter[End]:
        """Bring everything to its end, compare it with the SMSC's log, and count the ends.

        again: a message may be taken twice.
        """
        await self._wait_until_still()
        if receipts is Receipts.AGAIN:
            await self._report()
        if receipts is not Receipts.NONE:
            await self._wait_until_proven()
        await self._end_validity()
        return await self._compare(receipts=receipts, again=again)

    async def _wait_until_still(self) -> None:
        """Wait until nothing is due soon: it is with the carrier, or waits for its proof."""

        async def still() -> bool:
            await self._on.ask(
                "UPDATE outbox SET leased_until = clock_timestamp()"
                " WHERE leased_until BETWEEN clock_timestamp() AND clock_timestamp() + make_interval(secs => $1)",
                60.0 - LEASE_SECONDS,
            )
            return not await self._on.count(
                "SELECT count(*) FROM outbox WHERE due_at < clock_timestamp() + make_interval(secs => $1)", SOON_SECONDS
            )

        await wait_until_async(still, PATIENCE_SECONDS, 0.1, what="an end of the sending")

    async def _report(self) -> None:
        """Send a receipt for each message that the SMSC took, until it is acknowledged."""
        room = asyncio.Semaphore(RECEIPTS_AT_ONCE)

        async def report(taken: Taken) -> None:
            async def acknowledged() -> bool:
                try:
                    (session, *_) = self._on.bound(self._client)
                    return not (await session.request(_receipt(taken))).command_status
                except (SessionError, ValueError):
                    return False

            async with room:
                await wait_until_async(acknowledged, PATIENCE_SECONDS, what="a receipt that is acknowledged")

        async with asyncio.TaskGroup() as tasks:
            for taken in self._log():
                tasks.create_task(report(taken))

    async def _wait_until_proven(self) -> None:
        texts = {_text(taken) for taken in self._log()}

        async def delivered() -> bool:
            await self._on.sweep()
            return texts <= {text for text, end in await self._messages() if end == DELIVERED}

        await wait_until_async(delivered, PATIENCE_SECONDS, 0.2, what="the delivery of what the SMSC took")

    async def _end_validity(self) -> None:
        """Let the day end on which what is still unproven had its chance."""
        await self._on.ask(
            "UPDATE outbox SET expires_at = clock_timestamp() - interval '1 day', due_at = clock_timestamp()"
        )

        async def empty() -> bool:
            return not await self._on.count("SELECT count(*) FROM outbox")

        await wait_until_async(empty, PATIENCE_SECONDS, 0.1, what="an empty queue")

    async def _compare(self, *, receipts: Receipts, again: bool) -> Counter[End]:
        messages = await self._messages()
        assert Counter(text for text, _ in messages) == Counter(f"{self._tag}{number}" for number in range(self.count))
        log = self._log()
        assert {RECIPIENTS[_number(taken)] == taken.destination for taken in log} <= {True}
        taken = Counter(map(_text, log))
        assert again or {text: times for text, times in taken.items() if times > 1} == {}
        assert set(taken) <= {text for text, _ in messages}
        ends = dict(messages)
        assert {end for text, end in messages if text not in taken} <= {UNKNOWN}
        if receipts is not Receipts.NONE:
            assert {ends[text] for text in taken} == {DELIVERED}
        return Counter(ends.values())

    async def _messages(self) -> list[tuple[str, End]]:
        rows = await self._on.ask("SELECT text, status, error FROM message WHERE text LIKE $1", f"{self._tag}%")
        return [(text, (status, error)) for text, status, error in rows]

    def _log(self) -> list[Taken]:
        with self._on.log.open("rb") as lines:
            lines.seek(self._begins_at)
            return [msgspec.json.decode(line, type=Taken) for line in lines]


def _basic(client: Client) -> str:
    return base64.b64encode(f"{client.name}:{SECRET}".encode()).decode()


def _text(taken: Taken) -> str:
    return bytes.fromhex(taken.short_message).decode("ascii")


def _number(taken: Taken) -> int:
    return int(_text(taken).rpartition(" ")[2])


def _receipt(taken: Taken) -> DeliverSm:
    text = f"id:{taken.message_id} sub:001 dlvrd:001 submit date:2611221000 done date:2611221000 stat:DELIVRD err:000"
    return DeliverSm(
        source_addr=taken.destination,
        destination_addr=taken.source,
        esm_class=int(EsmClass.DELIVERY_RECEIPT),
        short_message=text.encode(),
        tlvs=(
            Tlv(Tag.receipted_message_id, taken.message_id),
            Tlv(Tag.message_state, int(MessageState.DELIVRD)),
        ),
    )
