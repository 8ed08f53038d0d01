"""Where carriers that are reached by HTTP call us: `/carriers/<name>/status` and `/carriers/<name>/inbound`.

A callback is proven genuine before anything in it is believed, and answered after it is stored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from longcode import log
from longcode.bootstrap import Product
from longcode.carriers import policy
from longcode.carriers.http_port import BadCallback, Callback, CallbackKind, Site, UnsignedCallback, Vendor
from longcode.carriers.port import CarrierReceipt, InboundSms, TakeReceipts
from longcode.carriers.registry import KINDS
from longcode.errors import ConfigurationError, LongcodeError, NotFound, Unavailable
from longcode.store.catalog import CarrierRow
from longcode.vault import unsealed
from longcode.wire.call import Answer, Call, json_answer
from longcode.wire.endpoint import Endpoint, Handler
from longcode.wire.errors import MethodNotAllowed
from longcode.wire.statuses import sentence_of, status_of

# What the operator changes takes so long.
KEPT_SECONDS: Final = 1.0
AT_ONCE: Final = 500
# No number, short code or name of anybody's is longer; PostgreSQL's indexes end soon after.
LONGEST_PARTY: Final = 128

_logger = log.get("callbacks")


def callback_endpoints(product: Product) -> list[Endpoint]:
    """The paths of every carrier's callbacks."""
    called = Callbacks(product)
    return [
        Endpoint(
            path=f"/carriers/{{name}}/{kind}",
            methods=dict.fromkeys(("GET", "POST"), _handler(called, kind)),
            error=explain,
            # A HEAD must take in nothing.
            plain_methods=True,
        )
        for kind in CallbackKind
    ]


def _handler(called: Callbacks, kind: CallbackKind) -> Handler:
    async def handle(call: Call) -> Answer:
        return await called.take(call, kind)

    return handle


def explain(error: LongcodeError) -> Answer:
    """Our answer to any error; carriers read its status alone."""
    return json_answer(status_of(error), {"error": sentence_of(error)})


@dataclass(frozen=True, slots=True)
class _Known:
    """A carrier and its manual, as the catalogue had it."""

    row: CarrierRow
    vendor: Vendor


class Receiving:
    """Takes receipts in, those of many callbacks at once: what comes while one commit runs goes with the next."""

    def __init__(self, take: TakeReceipts) -> None:
        self._take = take
        self._waiting: list[tuple[Sequence[CarrierReceipt], asyncio.Future[None]]] = []
        self._running: asyncio.Task[None] | None = None

    async def take(self, receipts: Sequence[CarrierReceipt]) -> None:
        """Make receipts durable. Raises Unavailable where they are not."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((receipts, stored))
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="callbacks")
        await stored

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            await self._settle(batch)
        self._running = None

    async def _settle(self, batch: Sequence[tuple[Sequence[CarrierReceipt], asyncio.Future[None]]]) -> None:
        try:
            await self._take([receipt for receipts, _ in batch for receipt in receipts])
        except Exception as error:
            # One callback that no table takes must not cost the others their answer; what is stored twice is harmless.
            if len(batch) > 1 and not isinstance(error, Unavailable):
                for one in batch:
                    await self._settle([one])
                return
            for _, stored in batch:
                if not stored.done():
                    stored.set_exception(error)
        else:
            for _, stored in batch:
                if not stored.done():
                    stored.set_result(None)


class Callbacks:
    """Takes in what carriers call us for."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._receiving = Receiving(product.receipts.take)
        self._rows: Mapping[str, CarrierRow] = {}
        self._known: dict[str, _Known] = {}
        self._asked_at = float("-inf")

    async def take(self, call: Call, kind: CallbackKind) -> Answer:
        """Prove a callback, store what it says, thank for it.

        Raises NotFound for a carrier that there is not, UnsignedCallback, BadCallback, and Unavailable where
        nothing is stored: then the carrier must call again.
        """
        carrier = await self._carrier(call.params["name"])
        vendor = carrier.vendor
        if call.method != vendor.method(kind):
            raise MethodNotAllowed((vendor.method(kind),))
        callback = await self._callback(call, carrier, kind)
        if not _is_genuine(vendor, callback):
            _logger.warning("a callback is not signed as it should be", carrier=carrier.row.name, kind=kind.value)
            raise UnsignedCallback("the signature is missing or wrong")
        if kind is CallbackKind.STATUS:
            await self._receiving.take(vendor.receipts(callback))
        else:
            await self._product.arrivals.take(_checked(vendor.inbound(callback)))
        thanks = vendor.thanks(kind)
        headers = ((b"content-type", thanks.content_type.encode("ascii")),) if thanks.content_type else ()
        return Answer(200, thanks.body, headers)

    async def _callback(self, call: Call, carrier: _Known, kind: CallbackKind) -> Callback:
        """The call as the carrier made it: whatever stands before us may have changed its address."""
        site = self._site(carrier.row)
        url = site.callback_url(kind, carrier.vendor.terms)
        if not url:
            url = _called(call, site.callback_path(kind))
        query = call.query_string.decode("utf-8", "replace")
        slash = "/" if call.path.endswith("/") else ""
        return Callback(
            method=call.method,
            url=f"{url}{slash}?{query}" if query else f"{url}{slash}",
            query=query,
            headers=call.headers,
            body=await call.read(),
        )

    def _site(self, row: CarrierRow) -> Site:
        return Site(carrier_id=row.id, name=row.name, public_url=self._product.settings.public_url or "")

    async def _carrier(self, name: str) -> _Known:
        """The carrier of a name. Raises NotFound where there is none that calls us."""
        if name not in self._rows or time.monotonic() - self._asked_at > KEPT_SECONDS:
            catalog = await self._product.catalog.now()
            self._rows = {row.name: row for row in catalog.carriers.values() if _calls(row)}
            self._asked_at = time.monotonic()
        row = self._rows.get(name)
        if row is None:
            raise NotFound("there is no such carrier")
        known = self._known.get(name)
        if known is None or (known.row.id, known.row.settings) != (row.id, row.settings):
            known = self._known[name] = self._opened(row)
        return known

    def _opened(self, row: CarrierRow) -> _Known:
        vendor = KINDS[row.driver].vendor
        assert vendor is not None
        own, _ = policy.split(row.settings)
        try:
            return _Known(row, vendor(self._site(row), unsealed(own, self._product.settings)))
        except ConfigurationError as error:
            _logger.error("a carrier's callbacks cannot be read", carrier=row.name, faults=error.faults)
            raise Unavailable("this carrier cannot be served just now") from error


def _is_genuine(vendor: Vendor, callback: Callback) -> bool:
    """Whether it is proven; what is too long to be looked through is not."""
    try:
        return vendor.is_genuine(callback)
    except BadCallback:
        return False


def _called(call: Call, path: str) -> str:
    """The address that was called, by its Host. Raises UnsignedCallback where that makes none."""
    url = f"{call.scheme}://{call.header('host') or ''}{path}"
    try:
        urlsplit(url)
    except ValueError as error:
        raise UnsignedCallback("the address that was called is none") from error
    return url


def _checked(messages: Sequence[InboundSms]) -> Sequence[InboundSms]:
    """Inbound messages that can be stored. Raises BadCallback."""
    if any(len(party) > LONGEST_PARTY for sms in messages for party in (sms.sender, sms.recipient)):
        raise BadCallback(f"a sender or recipient has more than {LONGEST_PARTY} characters")
    return messages


def _calls(row: CarrierRow) -> bool:
    """Whether such a carrier calls us."""
    return row.driver in KINDS and KINDS[row.driver].vendor is not None
