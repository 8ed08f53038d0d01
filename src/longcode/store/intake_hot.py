"""Accept's hot statements on PostgreSQL: the look-ups of a batch, and its insert.

Each is one statement without BEGIN and COMMIT around it. Big tables are reached only by `= ANY(array)` or LATERAL:
plain joins under generic plans cost many times more.
"""

from __future__ import annotations

from typing import Final

from longcode.domain.events import EventType
from longcode.domain.message import Status
from longcode.store.events_hot import TOLD_STATUSES, telling
from longcode.store.limits import COUNT


def opted_out(first: int) -> str:
    """Of parties, three arrays from parameter `first` on, those whose recipient has opted out."""
    return f"""
SELECT q.account_id, q.sender, q.recipient
  FROM unnest(${first}::bigint[], ${first + 1}::text[], ${first + 2}::text[]) AS q(account_id, sender, recipient)
 CROSS JOIN LATERAL (
       SELECT 1 FROM opt_out WHERE account_id = q.account_id AND recipient = q.recipient
        UNION ALL
       SELECT 1 FROM number_opt_out
        WHERE account_id = q.account_id AND recipient = q.recipient AND sender = q.sender LIMIT 1) AS o
"""  # noqa: S608 - no value of anybody's is in it


# Alone: of the look-ups of a batch, what dispatch asks.
OPTED_OUT = opted_out(1)

PREFLIGHT = f"""
SELECT 'version' AS kind, version AS account_id, NULL::text AS name, NULL::text AS value,
       NULL::bytea AS fingerprint, NULL::uuid AS message_id
  FROM catalog_version
UNION ALL
SELECT 'key', q.account_id, q.key, NULL, i.fingerprint, i.message_id
  FROM unnest($1::bigint[], $2::text[]) AS q(account_id, key)
 CROSS JOIN LATERAL (
       SELECT fingerprint, message_id FROM idempotency
        WHERE account_id = q.account_id AND key = q.key OFFSET 0) AS i
UNION ALL
SELECT 'number', account_id, digits, value, NULL, NULL
  FROM number WHERE assigned AND digits = ANY($3::text[])
UNION ALL
SELECT 'sender_id', q.account_id, q.value, NULL, NULL, NULL
  FROM unnest($4::bigint[], $5::text[]) AS q(account_id, value)
 CROSS JOIN LATERAL (
       SELECT 1 FROM sender_id WHERE account_id = q.account_id AND value = q.value OFFSET 0) AS s
UNION ALL
SELECT 'login', q.account_id, q.login, NULL, NULL, NULL
  FROM unnest($6::bigint[], $7::text[]) AS q(account_id, login)
 CROSS JOIN LATERAL (
       SELECT 1 FROM login WHERE account_id = q.account_id AND login = q.login OFFSET 0) AS l
UNION ALL
SELECT 'opt_out', account_id, sender, recipient, NULL, NULL
  FROM ({opted_out(8)}) AS o
"""  # noqa: S608 - no value of anybody's is in it

# Whatever follows `message` hangs on the rows that were really inserted: a rerun after a lost
# COMMIT must not queue again what was queued, sent and removed in the meantime.
STORE = f"""
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::bigint[], $10::text[], $11::text[], $12::text[], $13::smallint[], $14::timestamptz[], $15::boolean[],
        $16::boolean[], $17::bigint[], $18::smallint[], $19::timestamptz[], $20::interval[], $21::timestamptz[],
        $22::boolean[])
    AS t(id, call_id, account_id, direction, medium, sender, recipient, text,
         sent_at_seconds, status, client_reference, encoding, segment_count, created_at, keyed,
         queued, carrier_id, priority, due_at, validity, boxed_at, stop)
), claimed AS (
    INSERT INTO idempotency (account_id, key, fingerprint, message_id, created_at)
    SELECT * FROM unnest($23::bigint[], $24::text[], $25::bytea[], $26::uuid[], $27::timestamptz[])
        AS k(account_id, key, fingerprint, message_id, created_at)
     ORDER BY account_id, key
    ON CONFLICT DO NOTHING
    RETURNING message_id
), stored AS (
    INSERT INTO message (id, account_id, direction, medium, sender, recipient, text, sent_at_seconds, status,
                         client_reference, encoding, segment_count, created_at, updated_at)
    SELECT id, account_id, direction, medium, sender, recipient, text, sent_at_seconds, status,
           client_reference, encoding, segment_count, created_at, created_at
      FROM input
     WHERE NOT keyed OR call_id IN (SELECT message_id FROM claimed)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, account_id, status
), news AS (
    SELECT id, account_id, 'message.' || status AS type, NULL::text AS error FROM stored
     WHERE status = ANY({TOLD_STATUSES})
    UNION ALL
    SELECT id, account_id, '{EventType.MESSAGE_RECEIVED}', NULL FROM input
     WHERE boxed_at IS NOT NULL AND status <> '{Status.RECEIVED}' AND id IN (SELECT id FROM stored)
), {telling("news")}, queued AS (
    INSERT INTO outbox (message_id, account_id, carrier_id, priority, due_at, expires_at, deferrals)
    SELECT id, account_id, carrier_id, priority, coalesce(due_at, statement_timestamp()),
           coalesce(due_at, statement_timestamp()) + validity, 0
      FROM input WHERE queued AND id IN (SELECT id FROM stored)
), boxed AS (
    INSERT INTO mailbox (account_id, recipient, sender, at, message_id, xact)
    SELECT account_id, recipient, sender, boxed_at, id, pg_current_xact_id()::text::bigint
      FROM input WHERE boxed_at IS NOT NULL AND id IN (SELECT id FROM stored)
), stopped AS (
    INSERT INTO stop_request (message_id, account_id, sender, recipient, requested_at)
    SELECT id, account_id, recipient, sender, created_at
      FROM input WHERE stop AND id IN (SELECT id FROM stored)
)
"""  # noqa: S608 - no value of anybody's is in it
CLAIMED = """
SELECT message_id, false AS told FROM claimed
UNION ALL
SELECT NULL, true WHERE EXISTS (SELECT FROM told)
"""


def _naming(first: int) -> str:
    """Added where a message names an endpoint. What this statement writes it cannot read, so it queues by itself.

    first: the number of its first parameter; message ids and endpoints.
    """
    return f""", named AS (
    INSERT INTO message_webhook (message_id, endpoint_id)
    SELECT message_id, endpoint_id FROM unnest(${first}::uuid[], ${first + 1}::bigint[]) AS n(message_id, endpoint_id)
     WHERE message_id IN (SELECT id FROM stored)
    RETURNING message_id, endpoint_id
), named_hooked AS (
    INSERT INTO webhook_queue (event_id, endpoint_id, due_at, tries)
    SELECT t.id, n.endpoint_id, clock_timestamp(), 0
      FROM named AS n JOIN told AS t ON t.message_id = n.message_id AND t.type <> '{EventType.MESSAGE_RECEIVED}'
)
"""  # noqa: S608 - no value of anybody's is in it


# By whether messages are counted, and whether some name an endpoint. Most batches do neither, and pay for neither.
INSERT: Final = {
    (False, False): STORE + CLAIMED,
    (True, False): STORE + COUNT + CLAIMED,
    (False, True): STORE + _naming(28) + CLAIMED,
    (True, True): STORE + COUNT + _naming(35) + CLAIMED,
}
