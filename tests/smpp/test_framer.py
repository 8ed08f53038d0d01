"""The framer: any cut of the stream gives the same PDUs, and no octets make it raise or grow."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.smpp import codec, pdu
from longcode.smpp.constants import CommandStatus
from longcode.smpp.framer import Frame, Framer, Malformed
from tests.smpp.strategies import ANY_PDU

CAP = 1024


def _pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:stop] for start, stop in itertools.pairwise(edges)]


@given(st.lists(ANY_PDU, max_size=4), st.lists(st.integers(0, 5000), max_size=12))
@settings(max_examples=60)
def test_pdus_come_out_in_order_however_the_stream_is_cut(pdus: list[pdu.Pdu], cuts: list[int]) -> None:
    stream = b"".join(codec.encode(value, number) for number, value in enumerate(pdus, 1))
    framer = Framer()
    frames = [frame for piece in _pieces(stream, cuts) for frame in framer.feed(piece)]
    assert frames == [Frame(number, value) for number, value in enumerate(pdus, 1)]
    assert framer.buffered_octets == 0


@given(st.lists(st.binary(max_size=200), max_size=20))
@settings(max_examples=100)
def test_any_octets_give_frames_or_faults_and_never_grow_the_buffer(pieces: list[bytes]) -> None:
    framer = Framer(CAP)
    for piece in pieces:
        for frame in framer.feed(piece):
            assert isinstance(frame, Frame | Malformed)
        assert framer.buffered_octets < CAP


@given(st.sampled_from(sorted(pdu.PDUS)), st.binary(max_size=200), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_any_body_under_a_valid_header_gives_one_frame_or_fault(
    command_id: int, body: bytes, command_status: int
) -> None:
    frames = Framer(CAP).feed(codec.HEADER.pack(16 + len(body), command_id, command_status, 5) + body)
    assert len(frames) == 1
    assert frames[0].sequence_number == 5


@given(ANY_PDU, st.data())
@settings(max_examples=100)
def test_a_pdu_with_one_octet_changed_never_raises(value: pdu.Pdu, data: st.DataObject) -> None:
    octets = bytearray(codec.encode(value, 1))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    Framer(CAP).feed(bytes(octets))


def test_a_pdu_above_the_cap_is_refused_before_it_comes() -> None:
    framer = Framer(CAP)
    (fault,) = framer.feed((CAP + 1).to_bytes(4, "big"))
    assert isinstance(fault, Malformed)
    assert fault.fatal
    assert fault.error.command_status == CommandStatus.ESME_RINVCMDLEN
    assert framer.feed(b"x" * 10_000) == []
    assert framer.buffered_octets == 0


def test_a_length_below_a_header_is_refused() -> None:
    (fault,) = Framer().feed(codec.HEADER.pack(15, 4, 0, 9))
    assert isinstance(fault, Malformed)
    assert (fault.fatal, fault.sequence_number) == (True, 9)


def test_a_faulty_pdu_does_not_hide_the_next() -> None:
    stream = codec.HEADER.pack(18, 4, 0, 1) + b"xx" + codec.encode(pdu.EnquireLink(), 2)
    fault, frame = Framer().feed(stream)
    assert isinstance(fault, Malformed)
    assert not fault.fatal
    assert frame == Frame(2, pdu.EnquireLink())


def test_a_pdu_that_comes_octet_by_octet_is_taken() -> None:
    framer = Framer()
    octets = codec.encode(pdu.SubmitSm(short_message=b"hi"), 4)
    frames = [frame for octet in octets for frame in framer.feed(bytes((octet,)))]
    assert frames == [Frame(4, pdu.SubmitSm(short_message=b"hi"))]
