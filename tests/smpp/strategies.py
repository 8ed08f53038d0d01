"""Any PDU of SMPP 3.4, for property tests: built from the same annotations that the codec reads."""

from __future__ import annotations

from typing import Any, get_type_hints

from hypothesis import strategies as st

from longcode.smpp import fields, pdu


def text(size: int) -> st.SearchStrategy[str]:
    """A C-octet string that fits `size` octets with its NUL."""
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=size - 1)


def _integer(size: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << (8 * size)) - 1)


def _value(kind: Any) -> st.SearchStrategy[Any]:
    match kind:
        case fields.Integer():
            return _integer(kind.size)
        case fields.CString() | fields.TlvText():
            return text(kind.size)
        case fields.TlvOctets():
            return st.binary(min_size=kind.shortest, max_size=min(kind.longest, 300))
        case fields.ShortMessage():
            return st.binary(max_size=254)
        case fields.Destinations():
            sme = st.builds(fields.SmeAddress, text(21), _integer(1), _integer(1))
            return st.lists(sme | st.builds(fields.DistributionList, text(21)), max_size=3).map(tuple)
        case fields.Unsuccessful():
            entry = st.builds(fields.UnsuccessSme, text(21), _integer(4), _integer(1), _integer(1))
            return st.lists(entry, max_size=3).map(tuple)
        case fields.Tlvs():
            return st.lists(_known_tlv() | _vendor_tlv(), max_size=3).map(tuple)
    raise AssertionError(kind)


def _known_tlv() -> st.SearchStrategy[fields.Tlv]:
    return st.sampled_from(sorted(fields.TLV_KINDS)).flatmap(
        lambda tag: _value(fields.TLV_KINDS[tag][1]).map(lambda value: fields.Tlv(tag, value))
    )


def _vendor_tlv() -> st.SearchStrategy[fields.Tlv]:
    return st.builds(fields.Tlv, st.integers(0x1400, 0x3FFF), st.binary(max_size=20))


def one(kind: type[pdu.Pdu]) -> st.SearchStrategy[pdu.Pdu]:
    """Any value of one PDU class."""
    hints = get_type_hints(kind, include_extras=True)
    values = {
        name: _integer(4) if name == "command_status" else _value(hints[name].__metadata__[0])
        for name in kind.__struct_fields__
    }
    return st.builds(kind, **values)


ANY_PDU = st.sampled_from(list(pdu.PDUS.values())).flatmap(one)
