"""The codec: every PDU survives the wire, and every fault has the status that the specification names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longcode.smpp import codec, pdu
from longcode.smpp.constants import CommandStatus, Tag, status_name
from longcode.smpp.errors import DecodeError, EncodeError
from longcode.smpp.fields import DistributionList, SmeAddress, Tlv
from tests.smpp.strategies import ANY_PDU, one

SEQUENCE_NUMBERS = st.integers(1, 0x7FFFFFFF)


@given(ANY_PDU, SEQUENCE_NUMBERS)
@settings(max_examples=100)
def test_every_pdu_comes_back_from_the_wire_as_it_was(value: pdu.Pdu, sequence_number: int) -> None:
    assert codec.decode(codec.encode(value, sequence_number)) == (sequence_number, value)


@pytest.mark.parametrize("kind", [pdu.SubmitSm, pdu.DeliverSm, pdu.SubmitSmResp, pdu.DeliverSmResp])
@given(data=st.data())
@settings(max_examples=40)
def test_the_short_way_writes_and_reads_what_the_table_does(kind: type[pdu.Pdu], data: st.DataObject) -> None:
    value = data.draw(one(kind))
    octets = codec.encode(value, 7)
    assert octets == codec._encode_by_table(value, 7)
    status = getattr(value, "command_status", 0)
    assert codec._decode_by_table(kind)(status, octets, 16, len(octets)) == value


@given(st.binary(max_size=120), st.sampled_from(sorted(pdu.PDUS)))
@settings(max_examples=100)
def test_the_short_way_refuses_what_the_table_refuses(body: bytes, command_id: int) -> None:
    def outcome(decoder: Any) -> object:
        try:
            return decoder(0, body, 0, len(body))
        except DecodeError as error:
            return error.command_status, str(error)

    assert outcome(codec._DECODERS[command_id]) == outcome(codec._decode_by_table(pdu.PDUS[command_id]))


def test_the_octets_are_those_of_the_specification() -> None:
    bind = pdu.BindTransmitter(
        system_id="SMPP3TEST", password="secret08", system_type="SUBMIT1", addr_ton=1, addr_npi=1
    )
    assert codec.encode(bind, 1).hex() == (
        "0000002f" "00000002" "00000000" "00000001"
        "534d50503354455354" "00" "7365637265743038" "00" "5355424d495431" "00" "34" "01" "01" "00"
    )  # fmt: skip


def test_several_destinations_keep_their_kinds() -> None:
    multi = pdu.SubmitMulti(
        dest_address=(SmeAddress("12025550101", 1, 1), DistributionList("staff")), short_message=b"hi"
    )
    assert codec.decode(codec.encode(multi, 9)) == (9, multi)


def test_a_vendor_status_and_an_unknown_parameter_pass_through() -> None:
    response = pdu.SubmitSmResp(
        message_id="a1", tlvs=(Tlv(0x1401, b"\0\1"), Tlv(Tag.message_state, 2)), command_status=0x445
    )
    assert codec.decode(codec.encode(response, 3)) == (3, response)
    assert status_name(0x445) == "0x00000445"
    assert status_name(0x58) == "ESME_RTHROTTLED"


def test_a_refusal_has_no_body() -> None:
    assert len(codec.encode(pdu.SubmitSmResp(command_status=0x58), 3)) == 16


@pytest.mark.parametrize("body", [b"\0\0", b"no NUL", b"id\0\x00\x1e"], ids=["an octet more", "no NUL", "half a TLV"])
@pytest.mark.parametrize("kind", [pdu.SubmitSmResp, pdu.DataSmResp, pdu.BindTransceiverResp, pdu.UnbindResp])
def test_a_refusal_is_one_whatever_its_body_is(kind: type[pdu.Response], body: bytes) -> None:
    header = codec.HEADER.pack(16 + len(body), kind.command_id, 0x58, 7)
    assert codec.decode(header + body) == (7, kind(command_status=0x58))


def test_a_response_without_a_body_is_taken() -> None:
    octets = codec.HEADER.pack(16, pdu.DeliverSmResp.command_id, 0, 5)
    assert codec.decode(octets) == (5, pdu.DeliverSmResp())


@dataclass(frozen=True, slots=True)
class UnreadableCase:
    """A body, and the status that its sender must get."""

    name: str
    command_id: int
    body: bytes
    status: CommandStatus


_SM = codec.encode(pdu.SubmitSm(source_addr="1", destination_addr="2", short_message=b"hi"), 1)[16:]
UNREADABLE = [
    UnreadableCase("an unknown command", 0x00000999, b"", CommandStatus.ESME_RINVCMDID),
    UnreadableCase("an unknown response", 0x80000999, b"", CommandStatus.ESME_RINVCMDID),
    UnreadableCase("no body", 4, b"", CommandStatus.ESME_RINVPARLEN),
    UnreadableCase("a service_type of six octets", 4, b"ABCDEF" + _SM, CommandStatus.ESME_RINVPARLEN),
    UnreadableCase(
        "an address of 21 octets", 4, b"\0\0\0" + b"1" * 21 + b"\0" * 20, CommandStatus.ESME_RINVPARLEN
    ),
    UnreadableCase("an address without NUL", 4, b"\0\1\1" + b"12345", CommandStatus.ESME_RINVPARLEN),
    UnreadableCase("the end after the addresses", 4, _SM[:8], CommandStatus.ESME_RINVPARLEN),
    UnreadableCase("a text shorter than sm_length", 4, _SM[:-1], CommandStatus.ESME_RINVMSGLEN),
    UnreadableCase("half a tag", 4, _SM + b"\4", CommandStatus.ESME_RINVOPTPARSTREAM),
    UnreadableCase(
        "a parameter longer than the PDU", 4, _SM + b"\x04\x24\0\5hi", CommandStatus.ESME_RINVOPTPARSTREAM
    ),
    UnreadableCase(
        "a parameter of a wrong size", 4, _SM + b"\x02\x0c\0\1\1", CommandStatus.ESME_RINVPARLEN
    ),
    UnreadableCase(
        "text that goes on after its NUL", 5, _SM + b"\0\x1e\0\4a\0b\0", CommandStatus.ESME_RINVOPTPARAMVAL
    ),
    UnreadableCase(
        "a receipted_message_id of 66 octets",
        5,
        _SM + b"\0\x1e\0\x42" + b"a" * 66,
        CommandStatus.ESME_RINVPARLEN,
    ),
    UnreadableCase("more after the last field", 0x15, b"\0", CommandStatus.ESME_RINVCMDLEN),
    UnreadableCase(
        "a destination of no kind", 0x21, b"\0\0\0\0\1\3", CommandStatus.ESME_RINVDESTFLAG
    ),
    UnreadableCase("a bind whose system_id never ends", 9, b"x" * 40, CommandStatus.ESME_RINVPARLEN),
]  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE, ids=lambda case: case.name)
def test_a_fault_has_its_status(case: UnreadableCase) -> None:
    octets = codec.HEADER.pack(16 + len(case.body), case.command_id, 0, 1) + case.body
    with pytest.raises(DecodeError) as caught:
        codec.decode(octets)
    assert caught.value.command_status == case.status


def test_text_without_its_nul_in_a_parameter_is_taken() -> None:
    octets = codec.HEADER.pack(16 + len(_SM) + 6, 5, 0, 1) + _SM + b"\0\x1e\0\2a1"
    assert codec.decode(octets)[1].tlv(Tag.receipted_message_id) == "a1"


UNWRITABLE = [
    ("an address of 21 characters", "source_addr", pdu.SubmitSm(source_addr="1" * 21)),
    ("a character beyond Latin-1", "destination_addr", pdu.SubmitSm(destination_addr="δ")),
    ("NUL in text", "source_addr", pdu.SubmitSm(source_addr="1\x002")),
    ("NUL in a time", "validity_period", pdu.SubmitSm(validity_period="\0")),
    ("a text of 255 octets", "short_message", pdu.SubmitSm(short_message=b"x" * 255)),
    ("a number of two octets", "data_coding", pdu.SubmitSm(data_coding=256)),
    ("a negative number", "esm_class", pdu.DeliverSm(esm_class=-1)),
    ("a password of 65 characters", "password", pdu.BindReceiver(password="x" * 65)),
    ("a long message_id", "message_id", pdu.SubmitSmResp(message_id="x" * 65)),
    ("a parameter of another type", "message_state", pdu.SubmitSm(tlvs=(Tlv(Tag.message_state, b"2"),))),
    ("a payload above 65535", "message_payload", pdu.DataSm(tlvs=(Tlv(0x0424, b"x" * 65536),))),
    ("too many destinations", "dest_address", pdu.SubmitMulti(dest_address=(DistributionList("x"),) * 255)),
    ("a status of five octets", "header", pdu.UnbindResp(command_status=1 << 32)),
]


@pytest.mark.parametrize(("field", "value"), [case[1:] for case in UNWRITABLE], ids=[c[0] for c in UNWRITABLE])
def test_a_value_that_does_not_fit_is_refused_by_name(field: str, value: pdu.Pdu) -> None:
    with pytest.raises(EncodeError) as caught:
        codec.encode(value, 1)
    assert caught.value.field == field
