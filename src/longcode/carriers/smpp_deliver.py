"""What a carrier delivers: receipts and messages of people, acknowledged after their commit.

Source: SMPP 3.4 issue 1.2, §4.6, §4.7.1 (data_sm) and Appendix B.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Final, Generic, TypeVar

from longcode import log
from longcode.carriers.port import CarrierReceipt, InboundPart, InboundSms, ReceiptStatus
from longcode.carriers.smpp_settings import Alphabet, ReceiptIds, ReceiptPolicy, SmppSettings
from longcode.encoding.segments import Encoding
from longcode.errors import Unavailable
from longcode.smpp import receipts
from longcode.smpp.constants import CommandStatus, DataCoding, MessageState, Tag
from longcode.smpp.fields import TLV_KINDS
from longcode.smpp.pdu import DataSm, DataSmResp, DeliverSm, DeliverSmResp, Response
from longcode.smpp.text import encoding_of, payload_octets, read

T = TypeVar("T")
Delivery = DeliverSm | DataSm

GATHER_SECONDS: Final = 0.005
AT_ONCE: Final = 500
_LONGEST_ERROR: Final = 64
_LONGEST_RAW: Final = 2000
_INTERNATIONAL_TON: Final = 1

STATES: Final = {
    MessageState.DELIVRD.name: ReceiptStatus.DELIVERED,
    MessageState.UNDELIV.name: ReceiptStatus.UNDELIVERED,
    MessageState.EXPIRED.name: ReceiptStatus.UNDELIVERED,
    MessageState.DELETED.name: ReceiptStatus.UNDELIVERED,
    MessageState.REJECTD.name: ReceiptStatus.UNDELIVERED,
    MessageState.ACCEPTD.name: ReceiptStatus.ENROUTE,
    MessageState.ENROUTE.name: ReceiptStatus.ENROUTE,
    # It settles nothing: the message ends by its validity, or by another receipt.
    MessageState.UNKNOWN.name: ReceiptStatus.ENROUTE,
}


# Receipts


def receipt_in(delivery: Delivery, carrier_id: int, settings: SmppSettings) -> CarrierReceipt | None:
    """The receipt in a deliver_sm or data_sm; None for a message of a person."""
    parsed = receipts.parse(delivery)
    if parsed is None:
        return None
    status = STATES[parsed.state]
    error = None
    if status is ReceiptStatus.UNDELIVERED:
        error = f"{parsed.state.lower()}:{_storable(parsed.error_code or '')}".rstrip(":")[:_LONGEST_ERROR]
    reference = _storable(parsed.reference)
    spelt_anyhow = reference and settings.receipt_ids is ReceiptIds.ANY
    others = receipts.reference_candidates(reference)[1:] if spelt_anyhow else ()
    return CarrierReceipt(
        carrier_id=carrier_id,
        reference=reference or _nameless(delivery),
        status=status,
        error_code=error,
        whole_message=settings.receipts is ReceiptPolicy.MESSAGE,
        # A receipt goes the way back.
        sender=_storable(delivery.destination_addr),
        recipient=_storable(delivery.source_addr),
        raw=_raw(delivery),
        alternatives=others,
    )


def _nameless(delivery: Delivery) -> str:
    """What a receipt that names no message is known by: the same when it is repeated, and another's is another."""
    told = repr((delivery.source_addr, delivery.destination_addr, _raw(delivery)))
    return f"nameless-{blake2b(told.encode('utf-8', 'backslashreplace'), digest_size=16).hexdigest()}"


def _raw(delivery: Delivery) -> str:
    """The text and the optional parameters, readable."""
    codec = "utf-16-be" if delivery.data_coding == DataCoding.UCS2 else "latin-1"
    return f"{_storable(payload_octets(delivery).decode(codec, 'replace'))}{_parameters(delivery)}"[:_LONGEST_RAW]


def _parameters(delivery: Delivery) -> str:
    written = []
    for tlv in delivery.tlvs:
        if tlv.tag != Tag.message_payload:
            known = TLV_KINDS.get(tlv.tag)
            value = tlv.value.hex() if isinstance(tlv.value, bytes) else _storable(str(tlv.value))
            written.append(f" {known[0] if known else f'0x{tlv.tag:04x}'}={value}")
    return "".join(written)


def _storable(text: str) -> str:
    """PostgreSQL holds no U+0000."""
    return text.replace("\0", "\ufffd")


# Messages


def inbound_sms(delivery: Delivery, carrier_id: int, settings: SmppSettings, fingerprint: bytes) -> InboundSms:
    """The message in a deliver_sm or data_sm; data that is no text as hexadecimal."""
    default = Encoding.GSM7 if settings.default_alphabet is Alphabet.GSM7 else Encoding.LATIN1
    received = read(delivery, default=default)
    part = None
    if received.part is not None and received.part.total > 1:
        part = InboundPart(received.part.reference, received.part.total, received.part.sequence - 1)
    text = received.octets.hex() if received.text is None else received.text
    encoding = encoding_of(delivery.data_coding, default)
    if part is not None and encoding is Encoding.UCS2:
        # Halves of a character that was cut in two stay what they are until the parts are joined.
        text = received.octets[: len(received.octets) & ~1].decode("utf-16-be", "surrogatepass")
    return InboundSms(
        carrier_id=carrier_id,
        sender=_number(delivery.source_addr_ton, delivery.source_addr),
        recipient=_number(delivery.dest_addr_ton, delivery.destination_addr),
        text=_storable(text),
        octets=b"" if encoding is None else received.octets,
        encoding=encoding,
        part=part,
        fingerprint=fingerprint,
        raw=f"data_coding={delivery.data_coding} {payload_octets(delivery).hex()}{_parameters(delivery)}"[
            :_LONGEST_RAW
        ],
    )


def _number(ton: int, address: str) -> str:
    if ton == _INTERNATIONAL_TON and address.isascii() and address.isdigit():
        return f"+{address}"
    return _storable(address)


# Commit, then acknowledge


class Gather(Generic[T]):
    """Hands what arrives together to `take` together, one batch at a time, and answers each after its commit."""

    def __init__(self, take: Callable[[Sequence[T]], Awaitable[object]]) -> None:
        self._take = take
        self._waiting: list[tuple[T, Delivery, asyncio.Future[Response | None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._log = log.get("smpp")

    def put(self, item: T, delivery: Delivery) -> asyncio.Future[Response | None]:
        """The response to `delivery`, once `item` is committed; or one that asks for it again later."""
        future: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, delivery, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="smpp deliveries")
        return future

    async def close(self) -> None:
        """Finish what arrived."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            await self._commit(batch)

    async def _commit(self, batch: Sequence[tuple[T, Delivery, asyncio.Future[Response | None]]]) -> None:
        status = CommandStatus.ESME_ROK
        try:
            await self._take([item for item, _, _ in batch])
        except Unavailable as error:
            self._log.warning("deliveries wait for the database", deliveries=len(batch), error=str(error))
            status = CommandStatus.ESME_RX_T_APPN
        except Exception as error:
            if len(batch) > 1:
                # One bad delivery fails alone.
                for one in batch:
                    await self._commit([one])
                return
            self._log.error("a delivery could not be taken", exc_info=error)
            status = CommandStatus.ESME_RX_T_APPN
        for _, delivery, future in batch:
            if not future.done():
                future.set_result(response_to(delivery, status))


def response_to(delivery: Delivery, status: int = 0) -> Response:
    """deliver_sm_resp or data_sm_resp."""
    kind = DeliverSmResp if isinstance(delivery, DeliverSm) else DataSmResp
    return kind(command_status=int(status))
