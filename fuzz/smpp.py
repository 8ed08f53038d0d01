"""Feed octets to the SMPP framer, codec, text and receipt readers; nothing but our own errors may come out.

    make fuzz [FUZZ_SECONDS=60]

The rule: any octets give frames or faults, whatever they are cut into, and the framer keeps less
than its cap. Whatever a frame holds can be read as text and as a receipt, and encodes again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["longcode.smpp", "longcode.encoding"]):
    from longcode.errors import LongcodeError
    from longcode.smpp import codec, receipts, text
    from longcode.smpp.fields import Tlv
    from longcode.smpp.framer import Frame, Framer
    from longcode.smpp.pdu import BindTransceiver, DeliverSm, SubmitSm

CAP_OCTETS = 4096


def one_input(data: bytes) -> None:
    """One run: the first octet says how the rest is cut."""
    if not data:
        return
    step = data[0] or 1
    framer = Framer(CAP_OCTETS)
    for start in range(1, len(data), step):
        for frame in framer.feed(data[start : start + step]):
            if isinstance(frame, Frame):
                look_at(frame)
        if framer.buffered_octets >= CAP_OCTETS:
            raise AssertionError("the framer grows")


def look_at(frame: Frame) -> None:
    """What the product does with a PDU that it was sent."""
    _, again = codec.decode(codec.encode(frame.pdu, frame.sequence_number or 1))
    if again != frame.pdu:
        raise AssertionError("a PDU changes on its way through the codec")
    if isinstance(frame.pdu, DeliverSm | SubmitSm):
        try:
            text.read(frame.pdu)
        except LongcodeError:
            return
    if isinstance(frame.pdu, DeliverSm):
        report = receipts.parse(frame.pdu)
        if report is not None:
            receipts.reference_candidates(report.reference)


def seed(folder: Path) -> None:
    """Whole PDUs to start from: octets by chance rarely have a right command_length."""
    delivered = b"id:4aF sub:001 dlvrd:001 submit date:2611220000 done date:2611220001 stat:DELIVRD err:000 text:x"
    examples = {
        "submit": SubmitSm(source_addr="MyCorp", destination_addr="12025550101", short_message=b"Hello"),
        "receipt": DeliverSm(esm_class=0x04, source_addr="12025550101", short_message=delivered),
        "part": DeliverSm(esm_class=0x40, short_message=b"\x05\x00\x03\x07\x02\x01Hello", data_coding=8),
        "tlv": DeliverSm(esm_class=0x04, tlvs=(Tlv(0x001E, "4aF"), Tlv(0x0427, 2), Tlv(0x1400, b"?"))),
        "bind": BindTransceiver(system_id="me", password="secret"),
    }
    for name, example in examples.items():
        (folder / name).write_bytes(b"\xff" + codec.encode(example, 1))


if __name__ == "__main__":
    seed(Path(sys.argv[-1]))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
