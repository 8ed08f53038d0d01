"""The settings of an SMPP carrier: what is taken, what is refused, and that everything is refused at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from longcode.carriers.smpp_settings import (
    KEYS,
    SECRET_KEYS,
    Alphabet,
    LongMessages,
    Mode,
    ReceiptIds,
    ReceiptPolicy,
    SmppSettings,
    Validity,
    Version,
    parse,
)
from longcode.errors import ConfigurationError

LEAST = {"host": "smsc.example", "port": "2775", "system_id": "acme", "password": "secret"}
PAGE = Path(__file__).parents[2] / "docs" / "carriers" / "smpp.md"


def test_four_settings_are_enough() -> None:
    assert parse(LEAST) == SmppSettings(host="smsc.example", port=2775, system_id="acme", password="secret")


def test_every_setting_has_a_reader_and_comes_back_from_its_record() -> None:
    everything = SmppSettings(
        host="2001:db8::1",
        port=1,
        system_id="acme",
        password="x" * 64,
        mode=Mode.PAIR,
        binds=3,
        window=50,
        segments_per_second=12.5,
        system_type="VMA",
        interface_version=Version.SMPP_3_3,
        address_range="^1202",
        tls=True,
        tls_verify=False,
        tls_server_name="smsc.example",
        tls_ca="",
        tls_cert="/etc/acme.pem",
        tls_key="/etc/acme.key",
        long_messages=LongMessages.SAR,
        receipts=ReceiptPolicy.MESSAGE,
        registered_delivery=17,
        receipt_ids=ReceiptIds.VERBATIM,
        resend_unconfirmed=True,
        validity=Validity.ABSOLUTE,
        service_type="CMT",
        source_ton=5,
        source_npi=0,
        dest_ton=1,
        dest_npi=1,
        default_alphabet=Alphabet.LATIN1,
        latin1=True,
        data_coding_default=1,
        data_coding_latin1=2,
        data_coding_ucs2=24,
        enquire_link_seconds=0.0,
        response_timeout_seconds=12.0,
        throttle_statuses=(0x400,),
        temporary_statuses=(0x401, 0x402),
    )
    assert parse(everything.to_record()) == everything
    assert parse(parse(LEAST).to_record()) == parse(LEAST)
    assert parse(LEAST).to_record() == LEAST
    assert set(KEYS) == {field.name for field in fields(SmppSettings)}


def test_the_password_is_the_secret_and_shows_nowhere() -> None:
    assert {"password"} == SECRET_KEYS
    assert "hunter2" not in repr(parse(LEAST | {"password": "hunter2"}))


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong value and the fault that names it."""

    name: str
    key: str
    value: str
    fault: str


FAULTS = [
    Fault("an unknown setting", "windw", "1", "windw: there is no such setting"),
    Fault("a host with a space", "host", "smsc example", "host: expected a host name or an IP address"),
    Fault("a host with an empty label", "host", "smsc..example", "host: expected a host name or an IP address"),
    Fault("a port of 0", "port", "0", "port: expected an integer from 1 to 65535"),
    Fault("a port in words", "port", "smpp", "port: expected an integer from 1 to 65535"),
    Fault("digits of another script", "port", "٢٧٧٥", "port: expected an integer from 1 to 65535"),
    Fault("a system_id that is too long", "system_id", "x" * 16, "system_id: expected 1 to 15 ASCII characters"),
    Fault("a password that is too long", "password", "x" * 65, "password: expected 0 to 64 ASCII characters"),
    Fault("a password with NUL", "password", "a\0b", "password: expected 0 to 64 ASCII characters"),
    Fault("an unknown mode", "mode", "trx", "mode: expected transceiver, pair"),
    Fault("no binds", "binds", "0", "binds: expected an integer from 1 to 32"),
    Fault("a window of nothing", "window", "0", "window: expected an integer from 1 to 1000"),
    Fault("a negative rate", "segments_per_second", "-1", "segments_per_second: expected 0, or 0.1 to 100000"),
    Fault(
        "a rate that is no number", "segments_per_second", "nan", "segments_per_second: expected 0, or 0.1 to 100000"
    ),
    Fault("tls in words", "tls", "yes", "tls: expected 0 or 1"),
    Fault("a certificate without tls", "tls_cert", "/a.pem", "tls_cert: only with tls=1"),
    Fault("an unknown way to cut", "long_messages", "udh", "long_messages: expected udh8, udh16, sar, payload"),
    Fault("an unknown receipt policy", "receipts", "all", "receipts: expected segment, message, none"),
    Fault("a TON above an octet", "source_ton", "256", "source_ton: expected auto or 0 to 255"),
    Fault(
        "a data_coding above an octet",
        "data_coding_ucs2",
        "0x100",
        "data_coding_ucs2: expected 0 to 255, or the same in hexadecimal: 0xff",
    ),
    Fault("a version that was never made", "interface_version", "4.0", "interface_version: expected 3.3, 3.4, 5.0"),
    Fault("a timeout beyond the lease", "response_timeout_seconds", "60", "response_timeout_seconds: expected 1 to 35"),
    Fault(
        "a status that is no number",
        "throttle_statuses",
        "0x400,often",
        "throttle_statuses: expected numbers such as 0x400, separated by commas",
    ),
]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.name)
def test_a_wrong_value_is_refused(case: Fault) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(LEAST | {case.key: case.value})
    assert caught.value.faults == [case.fault]


def test_all_faults_are_named_together() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse({"host": "", "port": "x", "colour": "red", "tls": "1", "tls_key": "k", "tls_ca": "c", "tls_verify": "0"})
    assert caught.value.faults == [
        "colour: there is no such setting",
        "system_id: missing",
        "password: missing",
        "host: expected a host name or an IP address",
        "port: expected an integer from 1 to 65535",
        "tls_key: only with tls_cert",
        "tls_ca: has no use with tls_verify=0",
    ]


def test_the_page_names_every_setting_and_its_default() -> None:
    page = PAGE.read_text()
    record = SmppSettings(host="h", port=1, system_id="s", password="p")
    for field in fields(SmppSettings):
        row = next((line for line in page.splitlines() if line.startswith(f"| `{field.name}` |")), None)
        assert row is not None, field.name
        default = row.split("|")[2].strip(" `")
        if default not in ("required", "–"):
            values = {"host": "h", "port": "1", "system_id": "s", "password": "p"} | {field.name: default}
            tls = {"tls": "1"} if field.name.startswith("tls_") else {}
            assert getattr(parse(values | tls), field.name) == getattr(record, field.name), field.name
