"""Every PDU of SMPP 3.4 as a frozen record whose fields are, in order, the specification's table.

A field's annotation names its kind on the wire, and the codec reads nothing else. The header's
command_length and sequence_number belong to the session, so they are not fields; command_status is one
on responses only, where any integer passes through. `tlvs` keeps its order.
Source: SMPP 3.4 issue 1.2, §4.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from longcode.smpp.constants import INTERFACE_VERSION, RESPONSE_BIT
from longcode.smpp.fields import (
    CString,
    Destinations,
    DistributionList,
    Integer,
    ShortMessage,
    SmeAddress,
    Tlv,
    Tlvs,
    Unsuccessful,
    UnsuccessSme,
)

Octet = Annotated[int, Integer(1)]
ServiceType = Annotated[str, CString(6)]
Address = Annotated[str, CString(21)]
LongAddress = Annotated[str, CString(65)]
AddressRange = Annotated[str, CString(41)]
SystemId = Annotated[str, CString(16)]
# The specification says 9; carriers issue longer ones, and what they issue must fit.
Password = Annotated[str, CString(65)]
SystemType = Annotated[str, CString(13)]
MessageId = Annotated[str, CString(65)]
Time = Annotated[str, CString(17)]
Message = Annotated[bytes, ShortMessage()]
Dests = Annotated[tuple[SmeAddress | DistributionList, ...], Destinations()]
Unsuccess = Annotated[tuple[UnsuccessSme, ...], Unsuccessful()]
Optional = Annotated[tuple[Tlv, ...], Tlvs()]


class Pdu(msgspec.Struct, frozen=True, gc=False):
    """What all PDUs share. `command_id` is the class's."""

    command_id: ClassVar[int] = 0

    def tlv(self, tag: int) -> int | str | bytes | None:
        """The value of the first optional parameter with this tag, or None."""
        for entry in getattr(self, "tlvs", ()):
            if entry.tag == tag:
                value: int | str | bytes = entry.value
                return value
        return None


class Request(Pdu, frozen=True, gc=False):
    """A PDU that the peer must answer."""


class Response(Pdu, frozen=True, gc=False, kw_only=True):
    """An answer. `command_status` 0 is success; other values may be a vendor's own."""

    command_status: int = 0


class Notification(Pdu, frozen=True, gc=False):
    """A PDU that is never answered."""


class GenericNack(Response, frozen=True, gc=False):
    """The answer to a PDU whose header is at fault."""

    command_id = 0x80000000


class Bind(Request, frozen=True, gc=False):
    """What the three binds share."""

    system_id: SystemId = ""
    password: Password = ""
    system_type: SystemType = ""
    interface_version: Octet = INTERFACE_VERSION
    addr_ton: Octet = 0
    addr_npi: Octet = 0
    address_range: AddressRange = ""


class BindResp(Response, frozen=True, gc=False):
    """What the three answers to a bind share."""

    system_id: SystemId = ""
    tlvs: Optional = ()


class BindReceiver(Bind, frozen=True, gc=False):
    """Opens a session on which the SMSC delivers."""

    command_id = 0x00000001


class BindReceiverResp(BindResp, frozen=True, gc=False):
    """Answers bind_receiver."""

    command_id = 0x80000001


class BindTransmitter(Bind, frozen=True, gc=False):
    """Opens a session on which the ESME submits."""

    command_id = 0x00000002


class BindTransmitterResp(BindResp, frozen=True, gc=False):
    """Answers bind_transmitter."""

    command_id = 0x80000002


class BindTransceiver(Bind, frozen=True, gc=False):
    """Opens a session for both directions."""

    command_id = 0x00000009


class BindTransceiverResp(BindResp, frozen=True, gc=False):
    """Answers bind_transceiver."""

    command_id = 0x80000009


class Outbind(Notification, frozen=True, gc=False):
    """The SMSC asks the ESME to bind as a receiver."""

    command_id = 0x0000000B
    system_id: SystemId = ""
    password: Password = ""


class Unbind(Request, frozen=True, gc=False):
    """Ends the session in order."""

    command_id = 0x00000006


class UnbindResp(Response, frozen=True, gc=False):
    """Answers unbind."""

    command_id = 0x80000006


class EnquireLink(Request, frozen=True, gc=False):
    """Asks whether the peer is there."""

    command_id = 0x00000015


class EnquireLinkResp(Response, frozen=True, gc=False):
    """Answers enquire_link."""

    command_id = 0x80000015


class ShortMessagePdu(Request, frozen=True, gc=False):
    """The fields that submit_sm and deliver_sm share."""

    service_type: ServiceType = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: Address = ""
    dest_addr_ton: Octet = 0
    dest_addr_npi: Octet = 0
    destination_addr: Address = ""
    esm_class: Octet = 0
    protocol_id: Octet = 0
    priority_flag: Octet = 0
    schedule_delivery_time: Time = ""
    validity_period: Time = ""
    registered_delivery: Octet = 0
    replace_if_present_flag: Octet = 0
    data_coding: Octet = 0
    sm_default_msg_id: Octet = 0
    short_message: Message = b""
    tlvs: Optional = ()


class SubmitSm(ShortMessagePdu, frozen=True, gc=False):
    """The ESME submits one message to one SME."""

    command_id = 0x00000004


class SubmitSmResp(Response, frozen=True, gc=False):
    """Answers submit_sm with the SMSC's message_id."""

    command_id = 0x80000004
    message_id: MessageId = ""
    tlvs: Optional = ()


class DeliverSm(ShortMessagePdu, frozen=True, gc=False):
    """The SMSC delivers a message or a receipt."""

    command_id = 0x00000005


class DeliverSmResp(Response, frozen=True, gc=False):
    """Answers deliver_sm; message_id stays empty."""

    command_id = 0x80000005
    message_id: MessageId = ""
    tlvs: Optional = ()


class SubmitMulti(Request, frozen=True, gc=False):
    """The ESME submits one message to many destinations."""

    command_id = 0x00000021
    service_type: ServiceType = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: Address = ""
    dest_address: Dests = ()
    esm_class: Octet = 0
    protocol_id: Octet = 0
    priority_flag: Octet = 0
    schedule_delivery_time: Time = ""
    validity_period: Time = ""
    registered_delivery: Octet = 0
    replace_if_present_flag: Octet = 0
    data_coding: Octet = 0
    sm_default_msg_id: Octet = 0
    short_message: Message = b""
    tlvs: Optional = ()


class SubmitMultiResp(Response, frozen=True, gc=False):
    """Answers submit_multi, naming the destinations that failed."""

    command_id = 0x80000021
    message_id: MessageId = ""
    unsuccess_sme: Unsuccess = ()
    tlvs: Optional = ()


class DataSm(Request, frozen=True, gc=False):
    """A message in either direction whose text is in message_payload."""

    command_id = 0x00000103
    service_type: ServiceType = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: LongAddress = ""
    dest_addr_ton: Octet = 0
    dest_addr_npi: Octet = 0
    destination_addr: LongAddress = ""
    esm_class: Octet = 0
    registered_delivery: Octet = 0
    data_coding: Octet = 0
    tlvs: Optional = ()


class DataSmResp(Response, frozen=True, gc=False):
    """Answers data_sm."""

    command_id = 0x80000103
    message_id: MessageId = ""
    tlvs: Optional = ()


class QuerySm(Request, frozen=True, gc=False):
    """Asks for the state of a message."""

    command_id = 0x00000003
    message_id: MessageId = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: Address = ""


class QuerySmResp(Response, frozen=True, gc=False):
    """Answers query_sm."""

    command_id = 0x80000003
    message_id: MessageId = ""
    final_date: Time = ""
    message_state: Octet = 0
    error_code: Octet = 0


class CancelSm(Request, frozen=True, gc=False):
    """Takes messages back that are not delivered yet."""

    command_id = 0x00000008
    service_type: ServiceType = ""
    message_id: MessageId = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: Address = ""
    dest_addr_ton: Octet = 0
    dest_addr_npi: Octet = 0
    destination_addr: Address = ""


class CancelSmResp(Response, frozen=True, gc=False):
    """Answers cancel_sm."""

    command_id = 0x80000008


class ReplaceSm(Request, frozen=True, gc=False):
    """Puts another text in the place of one that is not delivered yet."""

    command_id = 0x00000007
    message_id: MessageId = ""
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: Address = ""
    schedule_delivery_time: Time = ""
    validity_period: Time = ""
    registered_delivery: Octet = 0
    sm_default_msg_id: Octet = 0
    short_message: Message = b""


class ReplaceSmResp(Response, frozen=True, gc=False):
    """Answers replace_sm."""

    command_id = 0x80000007


class AlertNotification(Notification, frozen=True, gc=False):
    """The SMSC says that an SME can be reached again."""

    command_id = 0x00000102
    source_addr_ton: Octet = 0
    source_addr_npi: Octet = 0
    source_addr: LongAddress = ""
    esme_addr_ton: Octet = 0
    esme_addr_npi: Octet = 0
    esme_addr: LongAddress = ""
    tlvs: Optional = ()


PDUS: dict[int, type[Pdu]] = {
    pdu.command_id: pdu
    for pdu in (
        GenericNack,
        BindReceiver,
        BindReceiverResp,
        BindTransmitter,
        BindTransmitterResp,
        BindTransceiver,
        BindTransceiverResp,
        Outbind,
        Unbind,
        UnbindResp,
        EnquireLink,
        EnquireLinkResp,
        SubmitSm,
        SubmitSmResp,
        DeliverSm,
        DeliverSmResp,
        SubmitMulti,
        SubmitMultiResp,
        DataSm,
        DataSmResp,
        QuerySm,
        QuerySmResp,
        CancelSm,
        CancelSmResp,
        ReplaceSm,
        ReplaceSmResp,
        AlertNotification,
    )
}

RESPONSES: dict[int, type[Response]] = {
    command_id: pdu for command_id, pdu in PDUS.items() if issubclass(pdu, Response)
}


def refusal(command_id: int, command_status: int) -> Response:
    """The negative answer, without a body; generic_nack for a command that has none or that is unknown."""
    return RESPONSES.get(command_id | RESPONSE_BIT, GenericNack)(command_status=command_status)
