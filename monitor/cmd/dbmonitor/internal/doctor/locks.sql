-- One row, one column: who waits for a lock and who is in the way, as JSON.
-- pg_locks and application names are for everybody; states of other roles'
-- sessions are hidden from roles without pg_read_all_stats, and then null.
SELECT coalesce(json_agg(w ORDER BY w.wait_seconds DESC), '[]')::text
FROM (
    SELECT l.pid,
           coalesce(a.application_name, '') AS application_name,
           coalesce(a.usename, '') AS role,
           l.mode,
           l.locktype AS kind,
           coalesce(CASE WHEN l.here THEN l.relation::regclass::text END, '') AS relation,
           greatest(coalesce(extract(epoch FROM clock_timestamp() - l.waitstart), 0), 0)::float8 AS wait_seconds,
           coalesce((SELECT json_agg(json_build_object(
                            'pid', b.pid,
                            'application_name', coalesce(b.application_name, ''),
                            'role', coalesce(b.usename, ''),
                            'state', coalesce(b.state, 'hidden'),
                            'waits', EXISTS (SELECT FROM pg_catalog.pg_locks m WHERE m.pid = b.pid AND NOT m.granted),
                            'transaction_seconds', greatest(coalesce(extract(epoch FROM clock_timestamp() - b.xact_start), 0), 0)::float8)
                            ORDER BY b.pid)
                     FROM pg_catalog.pg_stat_activity b
                     WHERE b.pid = ANY (l.blockers)), '[]') AS held_by
    FROM (SELECT p.*,
                 p.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) AS here,
                 pg_catalog.pg_blocking_pids(p.pid) AS blockers
          FROM (SELECT * FROM pg_catalog.pg_locks WHERE NOT granted ORDER BY waitstart NULLS LAST LIMIT 20) p
         ) l
    LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
) w
