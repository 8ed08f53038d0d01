"""Whatever a command does, the native API does: each has its operations, or stays a command that docs/api.md names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from longcode.api.app import description
from longcode.cli import main

PAGE = Path(__file__).parents[2] / "docs/api.md"

COUNTERPARTS = {
    "account create": "CreateAccount",
    "account limits": "GetLimits SetLimits",
    "account list": "ListAccounts",
    "account secret": "ChangeSecret",
    "account show": "GetAccount GetLimits",
    "apikey create": "CreateKey CreateOperatorKey",
    "apikey list": "ListKeys ListOperatorKeys",
    "apikey revoke": "RevokeKey RevokeOperatorKey",
    "carrier add": "AddCarrier",
    "carrier list": "ListCarriers",
    "carrier pause": "PauseCarrier",
    "carrier remove": "RemoveCarrier",
    "carrier resume": "ResumeCarrier",
    "carrier set": "ChangeCarrier",
    "carrier show": "GetCarrier GetCarrierStatus",
    "carrier test": "TestCarrier",
    "conversation": "GetConversation",
    "doctor": "GetDiagnosis",
    "import plivo": "ImportAccounts",
    "inbound list": "ListUnowned",
    "keyword add": "SetKeyword",
    "keyword list": "ListKeywords",
    "keyword remove": "RemoveKeyword",
    "keyword reply": "ListReplies SetReply RemoveReply",
    "message cancel": "CancelMessage",
    "message list": "ListMessages",
    "message show": "GetMessage GetTimeline",
    "messages": "ListMessages StreamEvents",
    "number add": "AssignNumber",
    "number import": "ImportNumbers",
    "number list": "ListNumbers",
    "number release": "ReleaseNumber",
    "number route": "GetInbound SetInbound",
    "optout add": "AddOptOut",
    "optout doubtful": "ListDoubtful",
    "optout export": "ExportOptOuts",
    "optout history": "GetOptOutHistory",
    "optout import": "ImportOptOuts",
    "optout list": "ListOptOuts",
    "optout remove": "RemoveOptOut",
    "pace list": "ListPaces",
    "pace remove": "RemovePace",
    "pace set": "SetPace",
    "pool add": "AddToPool",
    "pool create": "CreatePool",
    "pool list": "ListPools",
    "pool remove": "RemoveFromPool RemovePool",
    "pool show": "GetPool",
    "receipt list": "ListReceipts",
    "route add": "AddRoute",
    "route list": "ListRoutes",
    "route remove": "RemoveRoute",
    "route show": "GetRoute",
    "route test": "TestRoutes",
    "send": "SendMessage SendBatch",
    "sender add": "AddSender",
    "sender list": "ListSenders",
    "sender remove": "RemoveSender",
    "webhook add": "AddWebhook",
    "webhook deliveries": "ListDeliveries",
    "webhook disable": "DisableWebhook",
    "webhook enable": "EnableWebhook",
    "webhook list": "ListWebhooks",
    "webhook remove": "RemoveWebhook",
    "webhook replay": "ReplayWebhook",
    "webhook rotate": "RotateWebhook",
    "webhook show": "GetWebhook",
    "webhook test": "TestWebhook",
}
# The processes themselves, and what is done before there is one to ask.
COMMANDS_ONLY = {"up", "serve", "worker", "beat", "link", "migrate", "seed", "openapi"}


def commands(command: click.Command, name: str = "") -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield name
        return
    context = click.Context(command)
    for part in command.list_commands(context):
        found = command.get_command(context, part)
        assert found is not None
        yield from commands(found, f"{name} {part}".strip())


@pytest.fixture(scope="module")
def operations() -> set[str]:
    return {operation["operationId"] for item in description()["paths"].values() for operation in item.values()}


def test_every_command_has_its_operations_or_stays_one(operations: set[str]) -> None:
    assert set(commands(main)) == COUNTERPARTS.keys() | COMMANDS_ONLY
    named = {f"v1{name}" for names in COUNTERPARTS.values() for name in names.split()}
    assert named <= operations


def test_the_page_says_what_stays_a_command() -> None:
    section = PAGE.read_text().partition("\n## What stays a command\n")[2].partition("\n## ")[0]
    assert section
    for name in COMMANDS_ONLY:
        assert f"`{name}`" in section
