"""How the hot statements write events on PostgreSQL: parts that go into them, so that the event commits with its cause.

The rules of `longcode.store.intake_hot` hold here too. Where nobody listens, a row costs one look-up in an empty table.
"""

from __future__ import annotations

from typing import Final

from longcode.domain.events import OF_STATUS, EventType

TOLD_STATUSES: Final = f"'{{{','.join(status.value for status in OF_STATUS)}}}'::text[]"

# RFC 9562 §5.7: 48 bits of milliseconds, the version, and random bits. `uuidv7()` came with PostgreSQL 18.
UUID7: Final = """encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid"""


def telling(source: str) -> str:
    """CTEs that write the events of `source` and queue them for who subscribed to their type or is named by a message.

    source: a CTE with the columns id (the message's), account_id, type, error. `told` has a row for each event.
    """
    return f"""told AS (
    INSERT INTO event (id, account_id, type, message_id, error, occurred_at, xact)
    SELECT {UUID7}, s.account_id, s.type, s.id, s.error, clock_timestamp(), pg_current_xact_id()::text::bigint
      FROM {source} AS s CROSS JOIN LATERAL (
           SELECT 1 FROM event_listener WHERE account_id = s.account_id OFFSET 0) AS l
    RETURNING id, account_id, type, message_id
), hooked AS (
    INSERT INTO webhook_queue (event_id, endpoint_id, due_at, tries)
    SELECT t.id, w.endpoint_id, clock_timestamp(), 0
      FROM told AS t CROSS JOIN LATERAL (
           SELECT endpoint_id FROM webhook_subscription
            WHERE account_id = t.account_id AND type = t.type
            UNION ALL
           SELECT endpoint_id FROM message_webhook
            WHERE message_id = t.message_id AND t.type <> '{EventType.MESSAGE_RECEIVED}' OFFSET 0) AS w
)"""  # noqa: S608 - no value of anybody's is in it


def moves(source: str, status: str, error: str) -> str:
    """What `telling` takes, of messages that moved to one status. source: a CTE with id and account_id."""
    return f"""news AS (
    SELECT id, account_id, 'message.' || {status} AS type, {error} AS error FROM {source}
     WHERE {status} = ANY({TOLD_STATUSES})
)"""  # noqa: S608 - no value of anybody's is in it
