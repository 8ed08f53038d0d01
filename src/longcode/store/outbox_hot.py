"""The queue's hot statements on PostgreSQL: each one statement, its columns as arrays, no BEGIN around it.

The rules of `longcode.store.intake_hot` hold here too: big tables only by `= ANY(array)` or LATERAL.
"""

from __future__ import annotations

from longcode.store.events_hot import moves, telling

# A lease need not outlive a crash of the database: without it the message is claimed again, and under another
# lease, so that BEGIN lets one of the two go on. So this commit waits for no flush.
# Shares are even among the accounts that wait in one priority, and a higher priority goes first.
# The recursive part walks the index from one (priority, account) to the next, so that its cost is
# the number of those and not the length of the queue. $4, $5: accounts that may have only so many rows.
CLAIM = """
WITH RECURSIVE lane AS (
    (SELECT priority, account_id FROM outbox WHERE carrier_id = $1
      ORDER BY priority, account_id LIMIT 1)
    UNION ALL
    SELECT n.priority, n.account_id
      FROM lane AS l CROSS JOIN LATERAL (
           SELECT priority, account_id FROM outbox
            WHERE carrier_id = $1 AND (priority, account_id) > (l.priority, l.account_id)
            ORDER BY priority, account_id LIMIT 1) AS n
), share AS (
    SELECT priority, account_id,
           least(ceil($2::float8 / count(*) OVER (PARTITION BY priority))::bigint, most) AS quota
      FROM lane LEFT JOIN unnest($4::bigint[], $5::bigint[]) AS c(capped, most) ON capped = account_id
     WHERE most IS DISTINCT FROM 0
), picked AS MATERIALIZED (
    SELECT p.message_id, s.priority, p.leased_until, p.deferrals, p.expires_at
      FROM share AS s CROSS JOIN LATERAL (
           SELECT message_id, leased_until, deferrals, expires_at FROM outbox
            WHERE carrier_id = $1 AND priority = s.priority AND account_id = s.account_id
              AND due_at <= clock_timestamp() AND (leased_until IS NULL OR leased_until <= clock_timestamp())
            ORDER BY due_at, message_id LIMIT s.quota
              FOR UPDATE SKIP LOCKED) AS p
     ORDER BY s.priority LIMIT $2
), unhurried AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), leased AS (
    UPDATE outbox SET leased_until = statement_timestamp() + $3::interval
     WHERE message_id = ANY(ARRAY(SELECT message_id FROM picked))
)
SELECT statement_timestamp() + $3::interval AS leased_until, p.priority, p.deferrals, p.expires_at,
       p.expires_at - statement_timestamp() AS valid_for,
       p.leased_until IS NOT NULL OR p.deferrals > 0 AS tried, m.*
  FROM unhurried CROSS JOIN picked AS p CROSS JOIN LATERAL (
       SELECT id, account_id, direction, medium, sender, recipient, text, sent_at_seconds, status,
              client_reference, NULL::text AS provider_reference, encoding, segment_count, error, created_at
         FROM message WHERE id = p.message_id OFFSET 0) AS m
"""

# Claims by id, with the attempts in the same commit, so this one is durable. Only what nobody has touched since it
# was stored: the rest is for CLAIM. Text that is one segment may still be two for its carrier; the lane sees to that.
CLAIM_FRESH = """
WITH fresh AS MATERIALIZED (
    SELECT f.attempt_id, o.message_id, o.priority, o.expires_at
      FROM unnest($2::uuid[], $3::uuid[]) AS f(attempt_id, message_id) CROSS JOIN LATERAL (
           SELECT message_id, priority, expires_at FROM outbox
            WHERE message_id = f.message_id AND carrier_id = $1 AND leased_until IS NULL AND deferrals = 0
              AND due_at <= clock_timestamp() AND expires_at > clock_timestamp()
              FOR UPDATE SKIP LOCKED) AS o
), leased AS (
    UPDATE outbox SET leased_until = statement_timestamp() + $4::interval
     WHERE message_id = ANY(ARRAY(SELECT message_id FROM fresh))
), begun AS (
    INSERT INTO attempt (id, message_id, segment_index, segment_total, carrier_id, started_at)
    SELECT attempt_id, message_id, 0, 1, $1, clock_timestamp() FROM fresh
)
SELECT statement_timestamp() + $4::interval AS leased_until, f.priority, 0 AS deferrals, f.expires_at,
       f.expires_at - statement_timestamp() AS valid_for, false AS tried, m.*
  FROM fresh AS f CROSS JOIN LATERAL (
       SELECT id, account_id, direction, medium, sender, recipient, text, sent_at_seconds, status,
              client_reference, NULL::text AS provider_reference, encoding, segment_count, error, created_at
         FROM message WHERE id = f.message_id OFFSET 0) AS m
"""

# Only under the lease that was claimed, and not near its end: who stood still meanwhile finds another's, or none.
BEGIN = """
INSERT INTO attempt (id, message_id, segment_index, segment_total, carrier_id, started_at)
SELECT a.id, a.message_id, segment_index, segment_total, carrier_id, clock_timestamp()
  FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::smallint[], $5::bigint[])
    AS a(id, message_id, segment_index, segment_total, carrier_id)
 CROSS JOIN LATERAL (
       SELECT 1 FROM outbox WHERE message_id = a.message_id AND leased_until = $6::timestamptz OFFSET 0) AS o
 WHERE $6::timestamptz >= statement_timestamp() + $7::interval
"""
BEGUN = "SELECT message_id FROM attempt WHERE id = ANY($1::uuid[])"

# Statuses move in groups that share one target, so that no UPDATE needs a join. True where somebody listens.
CONCLUDE = f"""
WITH ended AS (
    INSERT INTO outcome (attempt_id, kind, message_id, segment_index, segment_total, carrier_id,
                         reference, code, reason, ended_at)
    SELECT attempt_id, kind, message_id, segment_index, segment_total, carrier_id, reference, code, reason,
           clock_timestamp()
      FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::smallint[], $5::smallint[], $6::bigint[],
                  $7::text[], $8::text[], $9::text[])
        AS o(attempt_id, kind, message_id, segment_index, segment_total, carrier_id, reference, code, reason)
    ON CONFLICT DO NOTHING
), moved AS (
    UPDATE message SET status = $11, error = $12, updated_at = clock_timestamp()
     WHERE id = ANY($10::uuid[]) AND status = ANY($13::text[])
    RETURNING id, account_id
), {moves("moved", status="$11", error="$12")},
{telling("news")}, gone AS (
    DELETE FROM outbox WHERE message_id = ANY($14::uuid[])
), again AS (
    UPDATE outbox SET leased_until = NULL, carrier_id = coalesce($18::bigint, carrier_id),
           deferrals = deferrals + CASE WHEN $17 THEN 0 ELSE 1 END,
           due_at = CASE WHEN $17 AND $16::interval = '0' THEN due_at ELSE clock_timestamp() + $16::interval END
     WHERE message_id = ANY($15::uuid[])
)
SELECT EXISTS (SELECT FROM told)
"""  # noqa: S608 - no value of anybody's is in it
