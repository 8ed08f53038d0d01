"""Every table, once, for both databases. Migrations follow it; a test holds them together.

Hot tables (message, outbox, attempt, outcome, receipt, idempotency, mailbox, inbound_*, event,
webhook_queue) have no foreign keys among themselves: they are written together in one transaction,
and each check would cost an index look-up a row. What is append-only says so.
"""

from longcode.store.schema.accounts import (
    account,
    api_key,
    catalog_version,
    login,
    number,
    operator_key,
    pace,
    sender_id,
)
from longcode.store.schema.calls import keyed_call
from longcode.store.schema.carriers import (
    carrier,
    carrier_circuit,
    carrier_status,
    removed_carrier,
    route,
    simulator_message,
    simulator_receipt,
)
from longcode.store.schema.events import (
    event,
    event_listener,
    message_webhook,
    webhook_attempt,
    webhook_endpoint,
    webhook_queue,
    webhook_subscription,
)
from longcode.store.schema.limits import account_limit, account_usage
from longcode.store.schema.messages import idempotency, mailbox, mailbox_ack, message
from longcode.store.schema.metadata import metadata
from longcode.store.schema.pools import pool_recipient, pool_sender, sender_pool
from longcode.store.schema.receiving import inbound_part, inbound_set, inbound_unowned
from longcode.store.schema.sending import attempt, outbox, outcome, receipt, stray_receipt
from longcode.store.schema.standing import opt_out, pace_bucket, sender_window, stop_pair, stop_request
from longcode.store.schema.words import (
    auto_reply,
    inbound_route,
    inbound_word,
    keyword,
    keyword_reply,
    number_opt_out,
    opt_out_event,
)

__all__ = [
    "account",
    "account_limit",
    "account_usage",
    "api_key",
    "attempt",
    "auto_reply",
    "carrier",
    "carrier_circuit",
    "carrier_status",
    "catalog_version",
    "event",
    "event_listener",
    "idempotency",
    "inbound_part",
    "inbound_route",
    "inbound_set",
    "inbound_unowned",
    "inbound_word",
    "keyed_call",
    "keyword",
    "keyword_reply",
    "login",
    "mailbox",
    "mailbox_ack",
    "message",
    "message_webhook",
    "metadata",
    "number",
    "number_opt_out",
    "operator_key",
    "opt_out",
    "opt_out_event",
    "outbox",
    "outcome",
    "pace",
    "pace_bucket",
    "pool_recipient",
    "pool_sender",
    "receipt",
    "removed_carrier",
    "route",
    "sender_id",
    "sender_pool",
    "sender_window",
    "simulator_message",
    "simulator_receipt",
    "stop_pair",
    "stop_request",
    "stray_receipt",
    "webhook_attempt",
    "webhook_endpoint",
    "webhook_queue",
    "webhook_subscription",
]
