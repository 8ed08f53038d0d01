"""Calls, one after the other, that together get every answer which takes more than a wrong or a lucky call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HOME, SPARE, GUEST, OTHER = "+12025550150", "+12025550151", "+12025550190", "+12025550199"
ANSWERED = "2026-11-22T10:00:00Z"


@dataclass(frozen=True, slots=True)
class Step:
    """One call. `$name` anywhere in it stands for what an earlier step kept under that name.

    at: the path's parameters. keep: a name, and where in the answer its value stands. key: the call's Idempotency-Key;
    without one a call that may have one is made three times, twice of them at once. capped: made by an account that may
    send nothing. by_operator: for the account, though it might call itself.
    """

    operation: str
    body: Any = None
    at: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    keep: tuple[str, Sequence[str | int]] | None = None
    key: str | None = None
    capped: bool = False
    by_operator: bool = False


HELLO = {"sender": "MyCorp", "recipient": GUEST, "text": "Hello"}

DUMP = b"""COPY account (id, auth_id, username) FROM stdin;
1\tsecret\tfrom a dump
\\.
COPY phone_number (id, number, account_id) FROM stdin;
\\.
"""

NUMBERS = (
    Step("v1AddNumber", {"value": HOME}, keep=("number", ["id"])),
    Step("v1AddNumber", {"value": SPARE}),
    Step("v1ListNumbers"),
    Step("v1GetNumber", at={"id": "$number"}),
    Step("v1ChangeNumber", {"currency": "EUR"}, at={"id": "$number"}),
    Step("v1ChangeNumber", {"value": SPARE}, at={"id": "$number"}),
    Step("v1AssignNumber", {"value": HOME}),
    Step("v1GetInbound", at={"id": "$number"}),
    Step("v1SetInbound", {"reply": "Thanks"}, at={"id": "$number"}),
    Step("v1ImportNumbers", b"value\n+12025550152\n"),
    Step("v1ExportNumbers"),
    Step("v1ReleaseNumber", {"value": HOME}),
    Step("v1DeleteNumber", at={"id": "$number"}),
)
SENDERS = (
    Step("v1AddSender", {"sender": "YourCorp"}),
    Step("v1ListSenders"),
    Step("v1CreatePool", {"name": "all", "senders": ["MyCorp"]}),
    Step("v1ListPools"),
    Step("v1GetPool", at={"name": "all"}),
    Step("v1AddToPool", {"senders": ["YourCorp"]}, at={"name": "all"}),
    Step("v1RemoveFromPool", at={"name": "all", "sender": "YourCorp"}),
    Step("v1RemovePool", at={"name": "all"}),
    Step("v1RemoveSender", at={"sender": "YourCorp"}),
)
MESSAGES = (
    Step("v1SendMessage", HELLO, keep=("message", ["id"]), key="mine"),
    Step("v1SendMessage", HELLO),
    Step("v1SendBatch", {"messages": [HELLO]}),
    Step("v1PreviewMessage", {"text": "Hello"}),
    Step("v1ListMessages"),
    Step("v1GetMessage", at={"id": "$message"}),
    Step("v1GetTimeline", at={"id": "$message"}),
    Step("v1RedactMessage", at={"id": "$message"}),
    Step("v1DeleteMessage", at={"id": "$message"}),
    Step("v1CancelMessage", at={"id": "$message"}),
    Step("v1RedactMessage", at={"id": "$message"}),
    Step("v1DeleteMessage", at={"id": "$message"}),
    Step("v1SendMessage", HELLO, key="mine"),
    Step("v1ListConversations"),
    Step("v1GetConversation", at={"number": "MyCorp"}),
)
MAILBOXES = (
    Step("v1CreateMailbox", {"login": "anna"}),
    Step("v1CreateMailbox", {"login": "bert"}),
    Step("v1ListMailboxes"),
    Step("v1SendToMailbox", {"sender": "bert", "text": "Hello"}, at={"name": "anna"}),
    Step("v1SendToMailbox", {"sender": "bert", "text": "Hi"}, at={"name": "anna"}, keep=("letter", ["id"]), key="ours"),
    Step("v1ListMailbox", at={"name": "anna"}, keep=("cursor", ["items", 0, "cursor"])),
    Step("v1GetAck", at={"name": "anna"}),
    Step("v1Acknowledge", {"cursor": "$cursor"}, at={"name": "anna"}),
    Step("v1DeleteFromMailbox", at={"name": "anna", "cursor": "$cursor"}),
    Step("v1DeleteManyFromMailbox", {"cursors": ["$cursor"]}, at={"name": "anna"}),
    Step("v1CancelMessage", at={"id": "$letter"}),
    Step("v1DeleteMessage", at={"id": "$letter"}),
    Step("v1SendToMailbox", {"sender": "bert", "text": "Hi"}, at={"name": "anna"}, key="ours"),
)
WORDS = (
    Step("v1AddOptOut", {"recipient": OTHER}),
    Step("v1ListOptOuts"),
    Step("v1ListDoubtful"),
    Step("v1GetOptOutHistory", at={"recipient": OTHER}),
    Step("v1ImportOptOuts", b"recipient\n+12025550198\n"),
    Step("v1ExportOptOuts"),
    Step("v1RemoveOptOut", at={"recipient": OTHER}),
    Step("v1SetKeyword", {"meaning": "stop"}, at={"word": "basta"}),
    Step("v1ListKeywords"),
    Step("v1RemoveKeyword", at={"word": "basta"}),
    Step("v1SetReply", {"text": "Good bye"}, at={"meaning": "stop"}),
    Step("v1ListReplies"),
    Step("v1RemoveReply", at={"meaning": "stop"}),
)
WEBHOOKS = (
    Step("v1AddWebhook", {"url": "https://app.example/"}, keep=("webhook", ["id"])),
    Step("v1ListWebhooks"),
    Step("v1GetWebhook", at={"id": "$webhook"}),
    Step("v1RotateWebhook", {}, at={"id": "$webhook"}),
    Step("v1ListDeliveries", at={"id": "$webhook"}),
    Step("v1ReplayWebhook", {"since": ANSWERED}, at={"id": "$webhook"}),
    Step("v1DisableWebhook", at={"id": "$webhook"}),
    Step("v1EnableWebhook", at={"id": "$webhook"}),
    Step("v1RemoveWebhook", at={"id": "$webhook"}),
    Step(
        "v1AddWebhook", {"url": "http://127.0.0.1:9/", "allow_private": True}, keep=("deaf", ["id"]), by_operator=True
    ),
    Step("v1TestWebhook", at={"id": "$deaf"}),
    Step("v1StreamEvents"),
)
KEYS = (
    Step("v1CreateKey", {}, keep=("key", ["id"])),
    Step("v1ListKeys"),
    Step("v1GetKey", at={"id": "$key"}),
    Step("v1RevokeKey", at={"id": "$key"}),
    Step("v1GetUsage"),
)
OPERATORS = (
    Step("v1AddCarrier", {"name": "one", "driver": "simulator"}),
    Step("v1ListCarriers"),
    Step("v1GetCarrier", at={"name": "one"}),
    Step("v1ChangeCarrier", {"settings": {}}, at={"name": "one"}),
    Step("v1PauseCarrier", at={"name": "one"}),
    Step("v1ResumeCarrier", at={"name": "one"}),
    Step("v1GetCarrierStatus", at={"name": "one"}),
    Step("v1TestCarrier", at={"name": "one"}),
    Step("v1TestRoutes", {"recipient": GUEST}),
    Step("v1AddRoute", {"carrier": "one"}, keep=("route", ["id"])),
    Step("v1ListRoutes"),
    Step("v1GetRoute", at={"id": "$route"}),
    Step("v1RemoveRoute", at={"id": "$route"}),
    Step("v1RemoveCarrier", at={"name": "one"}),
    Step("v1CreateAccount", {"name": "another"}),
    Step("v1ListAccounts"),
    Step("v1GetAccount", at={"name": "another"}),
    Step("v1ChangeSecret", {}, at={"name": "another"}),
    Step("v1SetLimits", {}, at={"name": "another"}),
    Step("v1GetLimits", at={"name": "another"}),
    Step("v1SetPace", {"segments_per_second": 1}, at={"name": "another"}),
    Step("v1ListPaces"),
    Step("v1RemovePace", at={"name": "another"}),
    Step("v1ImportAccounts", DUMP),
    Step("v1CreateOperatorKey", keep=("theirs", ["id"])),
    Step("v1ListOperatorKeys"),
    Step("v1RevokeOperatorKey", at={"id": "$theirs"}),
    Step("v1ListReceipts"),
    Step("v1ListUnowned"),
    Step("v1GetDiagnosis"),
)

# The five dialects. MINE and CAPPED are numbers of the account and of the one that may send nothing.
MINE, CAPPED = "12025550101", "12025550102"
SMS = (
    Step("takeInboundSms", {"from": GUEST, "to": MINE, "text": "Hello"}),
    Step("takeInboundSms", {"from": GUEST, "to": OTHER, "text": "Hello"}),
    Step("sendOutboundSms", {"from": MINE, "to": GUEST, "text": "Hello"}),
    Step("sendOutboundSms", {"from": MINE, "to": GUEST, "text": "Over the limit"}),
    Step("sendOutboundSms", {"from": OTHER, "to": GUEST, "text": "Hello"}),
)


def _told(sender: str, recipient: str, text: str, uuid: str) -> Mapping[str, Any]:
    return {"senderPhone": sender, "receiverPhone": recipient, "messageText": text, "timestamp": 0, "uuid": uuid}


CONVERSATIONS = (
    Step("sendSms", _told(MINE, GUEST, "Hello", "one")),
    Step("sendSms", _told(MINE, GUEST, "Good bye", "one")),
    Step("sendSms", _told(CAPPED, GUEST, "Hello", "two"), capped=True),
    Step("receiveSms", _told(GUEST, MINE, "Hello", "three")),
    Step("receiveSms", _told(GUEST, MINE, "Good bye", "three")),
    Step("getConversation", at={"phone": MINE}),
    Step("getConversation", at={"phone": OTHER}),
    Step("getConversation", at={"phone": MINE}, query="limit=0"),
)
SENT = {"sender_id": "MyCorp", "recipient": GUEST, "text": "Hello"}
CREATED = (
    Step("createMessage", SENT, key="send_msg:1", keep=("created", ["id"])),
    Step("createMessage", SENT, key="send_msg:1"),
    Step("createMessage", SENT | {"text": "Good bye"}, key="send_msg:1"),
    Step("createMessage", SENT, key="send_msg:2", capped=True),
    Step("getMessage", at={"id": "$created"}),
    Step("takeReceipt", {"provider_reference": "unknown", "status": "DELIVERED"}),
)
# Once a carrier has taken the message.
RECEIPTS = (Step("takeReceipt", {"provider_reference": "known", "status": "DELIVERED"}),)
MAIL = (
    Step("registerLogin", {"login": "carol"}),
    Step("registerLogin", {"login": "david"}),
    Step("registerLogin", {"login": "david"}),
    Step("sendMessage", {"sender": "carol", "recipient": "david", "message": "Hello"}),
    Step("fetchNewMessages", {"sender": "carol", "recipient": "david"}),
    Step(
        "fetchMessages",
        {"sender": "carol", "recipient": "david", "start": 0},
        keep=("at", ["messages", 0, "timestamp"]),
    ),
    Step("deleteMessage", {"sender": "carol", "recipient": "david", "timestamp": "$at"}),
    Step("deleteMessages", {"sender": "carol", "recipient": "david", "timestamps": ["$at"]}),
)
PUBLIC = (Step("live"), Step("ready"), Step("metrics"), Step("mailboxHealth"))


def inventory(name: str, digit: int) -> tuple[Step, ...]:
    """The inventory by one of its two names. name: what operation ids end with. digit: numbers of its own."""
    first, second = (f"+1 202 555-01{digit}{last}" for last in (0, 1))
    draft = {"value": first, "monthyPrice": 1, "setupPrice": 1, "currency": "U$"}
    return (
        Step(f"listNumbers{name}"),
        Step(f"listNumbers{name}", query="page=0"),
        Step(f"addNumber{name}", draft, keep=("item", ["id"])),
        Step(f"addNumber{name}", draft),
        Step(f"addNumber{name}", draft | {"value": second}),
        Step(f"getNumber{name}", at={"id": "$item"}),
        Step(f"replaceNumber{name}", draft, at={"id": "$item"}),
        Step(f"replaceNumber{name}", draft | {"value": second}, at={"id": "$item"}),
        Step(f"replaceNumber{name}", draft | {"value": "+1 202 555 0189"}, at={"id": "999999999"}),
        Step(f"changeNumber{name}", {}, at={"id": "$item"}),
        Step(f"changeNumber{name}", {"value": second}, at={"id": "$item"}),
        Step(f"changeNumber{name}", {}, at={"id": "999999999"}),
        Step(f"deleteNumber{name}", at={"id": "$item"}),
        *(Step(f"{verb}Number{name}", at={"id": "999999999"}) for verb in ("get", "delete")),
    )


NATIVE = (*NUMBERS, *SENDERS, *MESSAGES, *MAILBOXES, *WORDS, *WEBHOOKS, *KEYS, *OPERATORS)
DIALECTS = (*SMS, *CONVERSATIONS, *inventory("", 6), *inventory("ByAlias", 7), *CREATED, *MAIL, *PUBLIC)
