-- One row, one column: the statements that have been doing what they do for the
-- longest, as JSON. Only those this role may see: its own, or all with pg_read_all_stats.
SELECT coalesce(json_agg(q ORDER BY q.query_seconds DESC), '[]')::text
FROM (
    SELECT a.pid,
           a.usename AS role,
           a.datname AS database,
           coalesce(a.application_name, '') AS application_name,
           a.state,
           concat_ws(': ', a.wait_event_type, a.wait_event) AS waiting_for,
           CASE WHEN a.wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(a.pid) END AS blocked_by,
           greatest(extract(epoch FROM clock_timestamp() - a.since), 0)::float8 AS query_seconds,
           coalesce(greatest(extract(epoch FROM clock_timestamp() - a.xact_start), 0), 0)::float8 AS transaction_seconds
           /* extra columns */
    FROM (
        SELECT *, CASE WHEN state LIKE 'idle%' THEN state_change ELSE query_start END AS since
        FROM pg_catalog.pg_stat_activity
        WHERE backend_type = 'client backend'
          AND pid <> pg_backend_pid()
          AND (state IN ('active', 'fastpath function call') OR state LIKE 'idle in transaction%')
    ) a
    ORDER BY a.since
    LIMIT /* limit */
) q
