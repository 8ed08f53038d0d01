"""The settings of HTTP carriers: what could never work is refused at once and as a whole; nothing secret shows."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from longcode.carriers import http_settings, plivo, twilio
from longcode.carriers.http_settings import HEADER, parse
from longcode.carriers.http_template import NAMES
from longcode.carriers.registry import KINDS
from longcode.errors import ConfigurationError
from tests.carriers.test_http import BY_TOKEN, GET, INBOUND, JSON, RECEIPTS

PAGES = Path(__file__).parents[2] / "docs" / "carriers"


@dataclass(frozen=True, slots=True)
class FaultCase:
    what: str
    settings: dict[str, str]
    at: tuple[str, ...]


def without(settings: dict[str, str], *keys: str) -> dict[str, str]:
    return {key: value for key, value in settings.items() if key not in keys}


FAULTS = [
    FaultCase("nothing", {}, ("url", "reference", "body")),
    FaultCase("an address without a server", {**JSON, "url": "https:///send"}, ("url",)),
    FaultCase("an address of another kind", {**JSON, "url": "ftp://api.example/"}, ("url",)),
    FaultCase("credentials in the address", {**JSON, "url": "https://me:pw@api.example/"}, ("url",)),
    FaultCase("a server that depends on the message", {**JSON, "url": "https://{{text}}.example/"}, ("url",)),
    FaultCase("what is not sent", {**JSON, "url": "https://api.example/#x"}, ("url",)),
    FaultCase("an address with a space", {**JSON, "url": "https://api.example/a b"}, ("url",)),
    FaultCase("a name that there is not", {**JSON, "body": "{{colour}} {{text}} {{recipient}}"}, ("body",)),
    FaultCase("a name that does not end", {**JSON, "body": "{{text {{recipient}} {{text}}"}, ("body",)),
    FaultCase("no text", {**JSON, "body": '"{{recipient}}"'}, ("url",)),
    FaultCase("no recipient", {**JSON, "body": '"{{text}}"'}, ("url",)),
    FaultCase("a body that is no JSON", {**JSON, "body": '{"a":"{{recipient}}","b":"{{text}}"'}, ("body",)),
    FaultCase("a text without its quotation marks", {**JSON, "body": '{"a":{{text}},"b":"{{recipient}}"}'}, ("body",)),
    FaultCase("a GET with a body", {**GET, "body": "x"}, ("body",)),
    FaultCase("a type that nobody knows", {**JSON, "content_type": "image/png"}, ("content_type",)),
    FaultCase("a header that is ours", {**JSON, f"{HEADER}Host": "x"}, (f"{HEADER}Host",)),
    FaultCase("a header that is none", {**JSON, f"{HEADER}a b": "x"}, (f"{HEADER}a b",)),
    FaultCase("a header with a line's end", {**JSON, f"{HEADER}X": "a\nb"}, (f"{HEADER}X",)),
    FaultCase(
        "credentials that a header cannot hold",
        {**JSON, f"{HEADER}X": "{{username}} {{token}}", "username": "Zoë", "token": "€"},
        ("username", "token"),
    ),
    FaultCase("a text in a header", {**JSON, f"{HEADER}X": "{{text}}"}, (f"{HEADER}X",)),
    FaultCase("an expression that is none", {**JSON, "reference": "regex:("}, ("reference",)),
    FaultCase("an expression without a value", {**JSON, "reference": "regex:ID"}, ("reference",)),
    FaultCase("a path with a gap", {**JSON, "reference": "a..b"}, ("reference",)),
    FaultCase("a status of two settings", {**JSON, "deferred_statuses": "200"}, ("deferred_statuses",)),
    FaultCase(
        "statuses that are none",
        {**JSON, "accepted_statuses": "2xx", "rejected_statuses": "504-500"},
        ("accepted_statuses", "rejected_statuses"),
    ),
    FaultCase(
        "a secret in a body that cannot be read", {**JSON, "body": "{{token}} {{colour}}", "token": "x"}, ("body",)
    ),
    FaultCase("a secret that nothing uses", {**JSON, "token": "x"}, ("token",)),
    FaultCase("a user without a password", {**JSON, "basic_auth": "1", "username": "x"}, ("basic_auth",)),
    FaultCase("a signature without its secret", {**JSON, "signature_header": "X-Sign"}, ("signature_header",)),
    FaultCase("a short token", {**JSON, "callback_token": "short"}, ("callback_token",)),
    FaultCase("receipts from anyone", {**JSON, **RECEIPTS}, ("callback_token",)),
    FaultCase(
        "receipts without a status",
        {**JSON, **BY_TOKEN, **without(RECEIPTS, "receipt_status", "receipt_delivered")},
        ("receipt_status", "receipt_delivered"),
    ),
    FaultCase(
        "receipts about nothing", {**JSON, **BY_TOKEN, **without(RECEIPTS, "receipt_reference")}, ("receipt_reference",)
    ),
    FaultCase(
        "a word of two meanings",
        {**JSON, **BY_TOKEN, **RECEIPTS, "receipt_undelivered": "OK"},
        ("receipt_undelivered",),
    ),
    FaultCase("messages from nobody", {**JSON, **BY_TOKEN, **without(INBOUND, "inbound_sender")}, ("inbound_sender",)),
    FaultCase(
        "several at once",
        {**JSON, "method": "HEAD", "url": "x", "timeout": "1", "connections": "x"},
        ("timeout", "url", "method", "connections"),
    ),
]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.what)
def test_it_is_refused(case: FaultCase) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(case.settings)
    assert {fault.partition(":")[0] for fault in caught.value.faults} == set(case.at)


@pytest.mark.parametrize("settings", [JSON, GET, {**JSON, **BY_TOKEN, **RECEIPTS, **INBOUND}])
def test_what_works_is_taken(settings: dict[str, str]) -> None:
    assert parse(settings).url.names == parse(settings).url.names


def test_nothing_secret_is_in_what_is_logged() -> None:
    secrets = {"password": "pass-word", "token": "to-ken", "signature_secret": "sign-it-so", "callback_token": "t" * 20}
    given = {
        **JSON,
        **secrets,
        "username": "me",
        "basic_auth": "1",
        "signature_header": "X-Sign",
        f"{HEADER}X-Key": "{{token}}",
    }
    assert set(secrets) == http_settings.SECRET_KEYS
    shown = repr(parse(given))
    assert not [secret for secret in secrets.values() if secret in shown]
    assert "hidden" not in repr(twilio.parse({"account_sid": "AC" + "0" * 32, "auth_token": "hidden"}))
    assert "hidden" not in repr(plivo.parse({"auth_id": "MA" + "0" * 18, "auth_token": "hidden"}))


@pytest.mark.parametrize(
    ("page", "keys"), [("twilio", twilio.KEYS), ("plivo", plivo.KEYS), ("http", (*http_settings.KEYS, "header.NAME"))]
)
def test_the_page_explains_every_setting_and_no_other(page: str, keys: tuple[str, ...]) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert sorted(explained) == sorted(keys if page != "http" else (*keys, *NAMES))


@pytest.mark.parametrize("page", ["twilio", "plivo", "http"])
def test_every_carrier_that_the_page_adds_could_work(page: str) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [shlex.split(line) for line in text.splitlines() if line.strip().startswith("longcode carrier add")]
    assert commands
    for command in commands:
        settings = dict(word.split("=", 1) for word in command[6:])
        KINDS[command[5]].check(settings)
