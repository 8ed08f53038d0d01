"""The hot statements of webhooks on PostgreSQL; the rules of `longcode.store.outbox_hot` hold here too.

Neither commit waits for a flush: a lost lease, and a lost end of a delivery, mean that an event is delivered again, and
that is what customers are told to expect.
"""

from __future__ import annotations

# Shares are even among the endpoints that something waits for. $3, $4: endpoints that may have only so many rows, and
# $2 is what every other may have. The recursive part walks the index from one endpoint to the next. A row that is
# locked stays where it is, so it is leased by its place.
CLAIM = """
WITH RECURSIVE line AS (
    (SELECT endpoint_id FROM webhook_queue ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT n.endpoint_id
      FROM line AS l CROSS JOIN LATERAL (
           SELECT endpoint_id FROM webhook_queue WHERE endpoint_id > l.endpoint_id
            ORDER BY endpoint_id LIMIT 1) AS n
), share AS (
    SELECT endpoint_id, least(ceil($1::float8 / count(*) OVER ())::bigint, coalesce(most, $2::bigint)) AS quota
      FROM line LEFT JOIN unnest($3::bigint[], $4::bigint[]) AS c(capped, most) ON capped = endpoint_id
     WHERE most IS DISTINCT FROM 0
), picked AS MATERIALIZED (
    SELECT p.row_id, p.event_id, s.endpoint_id, p.tries
      FROM share AS s CROSS JOIN LATERAL (
           SELECT ctid AS row_id, event_id, tries FROM webhook_queue
            WHERE endpoint_id = s.endpoint_id
              AND due_at <= clock_timestamp() AND (leased_until IS NULL OR leased_until <= clock_timestamp())
            ORDER BY due_at LIMIT s.quota
              FOR UPDATE SKIP LOCKED) AS p
     LIMIT $1
), unhurried AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), leased AS (
    UPDATE webhook_queue SET leased_until = clock_timestamp() + $5::interval
     WHERE ctid = ANY(ARRAY(SELECT row_id FROM picked))
)
SELECT p.endpoint_id, p.tries, e.*, m.*
  FROM unhurried CROSS JOIN picked AS p CROSS JOIN LATERAL (
       SELECT id AS event_id, type, message_id, error AS event_error, data::text, occurred_at
         FROM event WHERE id = p.event_id OFFSET 0) AS e
  LEFT JOIN LATERAL (
       SELECT id, account_id, direction, medium, sender, recipient, text, sent_at_seconds, status, client_reference,
              (SELECT reference FROM outcome WHERE message_id = e.message_id AND reference IS NOT NULL
                ORDER BY segment_index, ended_at LIMIT 1) AS provider_reference,
              encoding, segment_count, error, created_at
         FROM message WHERE id = e.message_id OFFSET 0) AS m ON true
"""

FINISH = """
WITH unhurried AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), logged AS (
    INSERT INTO webhook_attempt (id, endpoint_id, event_id, status, error, milliseconds, ended_at)
    SELECT id, endpoint_id, event_id, status, error, milliseconds, ended_at
      FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::smallint[], $5::text[], $6::int[], $7::timestamptz[])
        AS a(id, endpoint_id, event_id, status, error, milliseconds, ended_at)
), gone AS (
    DELETE FROM webhook_queue
     WHERE event_id = ANY($8::uuid[]) AND (event_id, endpoint_id) IN (SELECT * FROM unnest($8::uuid[], $9::bigint[]))
), again AS (
    UPDATE webhook_queue AS q SET tries = q.tries + 1, leased_until = NULL, due_at = clock_timestamp() + a.pause
      FROM unnest($10::uuid[], $11::bigint[], $12::interval[]) AS a(event_id, endpoint_id, pause)
     WHERE q.event_id = ANY($10::uuid[]) AND q.event_id = a.event_id AND q.endpoint_id = a.endpoint_id
)
SELECT FROM unhurried
"""
