"""The hot statements of receipts on PostgreSQL; the rules of `longcode.store.outbox_hot` hold here too."""

from __future__ import annotations

from longcode.store.events_hot import moves, telling

APPEND = """
INSERT INTO receipt (id, carrier_id, reference, attempt_id, status, error_code, whole_message,
                     sender, recipient, raw, received_at)
SELECT *, statement_timestamp()
  FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::boolean[],
              $8::text[], $9::text[], $10::text[])
"""

# For each message that has one of these references: its accepted segments, each with its receipts.
MATCH = """
SELECT m.id, m.status, m.segment_count, m.created_at, o.segment_index, o.segment_total, o.reference,
       r.id AS receipt_id, r.status AS report, r.error_code, r.whole_message, r.received_at
  FROM (SELECT DISTINCT message_id FROM outcome
         WHERE reference IS NOT NULL AND reference = ANY($1::text[]) OFFSET 0) AS touched
 CROSS JOIN LATERAL (
       SELECT id, status, segment_count, created_at FROM message WHERE id = touched.message_id OFFSET 0) AS m
 CROSS JOIN LATERAL (
       SELECT segment_index, segment_total, reference, carrier_id FROM outcome
        WHERE message_id = touched.message_id AND kind = 'accepted' OFFSET 0) AS o
  LEFT JOIN LATERAL (
       SELECT id, status, error_code, whole_message, received_at FROM receipt
        WHERE reference = o.reference AND (carrier_id = o.carrier_id OR carrier_id IS NULL)
          AND received_at >= m.created_at - $2::interval OFFSET 0) AS r ON true
"""

# Receipts that came before their answer, under a spelling of it ($1) that is not the answer's own ($2).
EARLY = """
SELECT r.id, r.recipient AS told, f.answered, m.recipient
  FROM unnest($1::text[], $2::text[]) AS f(form, answered)
 CROSS JOIN LATERAL (
       SELECT id, recipient FROM receipt
        WHERE reference = f.form AND carrier_id = $3 AND received_at > clock_timestamp() - $4::interval OFFSET 0) AS r
 CROSS JOIN LATERAL (
       SELECT message_id FROM outcome
        WHERE reference IS NOT NULL AND reference = f.answered AND carrier_id = $3 OFFSET 0) AS o
 CROSS JOIN LATERAL (
       SELECT recipient FROM message WHERE id = o.message_id OFFSET 0) AS m
 WHERE (SELECT true FROM outcome
         WHERE reference IS NOT NULL AND reference = f.form AND carrier_id = $3 LIMIT 1 OFFSET 0) IS NULL
"""

# True where somebody listens.
SETTLE = f"""
WITH moved AS (
    UPDATE message SET status = $2, error = $3, updated_at = clock_timestamp()
     WHERE id = ANY($1::uuid[]) AND status = ANY($4::text[])
    RETURNING id, account_id
), {moves("moved", status="$2", error="$3")},
{telling("news")}, gone AS (
    DELETE FROM outbox WHERE message_id = ANY($1::uuid[])
)
SELECT EXISTS (SELECT FROM told)
"""  # noqa: S608 - no value of anybody's is in it
