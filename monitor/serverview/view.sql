-- One row, one column: the server's view as JSON. No parameters, no privileges.
WITH me AS (
    SELECT r.oid,
           r.rolname,
           r.rolsuper,
           r.rolconnlimit,
           EXISTS (SELECT FROM pg_catalog.pg_roles g -- the role does not exist before PostgreSQL 16
                   WHERE g.rolname = 'pg_use_reserved_connections'
                     AND pg_catalog.pg_has_role(r.oid, g.oid, 'USAGE')) AS may_use_reserved
    FROM pg_catalog.pg_roles r
    WHERE r.rolname = session_user
), here AS (
    SELECT d.oid, d.datname, d.datconnlimit
    FROM pg_catalog.pg_database d
    WHERE d.datname = current_database()
), sessions AS MATERIALIZED (
    -- Other roles' backend_type and state are hidden from roles without
    -- pg_read_all_stats; their rows and application names are not. A hidden row
    -- with a role and a database is a client session unless it is a WAL sender.
    SELECT a.usesysid,
           a.datid,
           coalesce(a.application_name, '') AS application_name,
           coalesce(a.state, CASE WHEN a.backend_type IS NULL THEN 'hidden' ELSE 'starting' END) AS state
    FROM pg_catalog.pg_stat_activity a
    WHERE a.backend_type = 'client backend'
       OR (a.backend_type IS NULL
           AND a.usesysid IS NOT NULL
           AND a.datid IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication w WHERE w.pid = a.pid))
), applications AS (
    SELECT application_name AS name,
           count(*) AS sessions,
           count(*) FILTER (WHERE usesysid = (SELECT me.oid FROM me)) AS role_sessions,
           count(*) FILTER (WHERE state IN ('active', 'fastpath function call')) AS active,
           count(*) FILTER (WHERE state = 'idle') AS idle,
           count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction,
           count(*) FILTER (WHERE state = 'hidden') AS hidden
    FROM sessions
    GROUP BY application_name
    ORDER BY count(*) DESC, application_name
    LIMIT 50
), waiting AS MATERIALIZED (
    SELECT l.*, l.database = here.oid AS here
    FROM pg_catalog.pg_locks l, here
    WHERE NOT l.granted
    ORDER BY l.waitstart NULLS LAST
    LIMIT 1000
), lock_waits AS (
    -- pg_blocking_pids stops everybody's locking for a moment, so only some are
    -- looked at closely. States of other roles' sessions are null without
    -- pg_read_all_stats; application names are not.
    SELECT w.pid,
           coalesce(a.application_name, '') AS application_name,
           coalesce(a.usename, '') AS role,
           w.mode,
           w.locktype AS kind,
           coalesce(CASE WHEN w.here THEN w.relation::regclass::text END, '') AS relation,
           greatest(coalesce(extract(epoch FROM clock_timestamp() - w.waitstart), 0), 0)::float8 AS wait_seconds,
           w.blockers AS blocked_by,
           coalesce((SELECT json_agg(json_build_object(
                            'pid', b.pid,
                            'application_name', coalesce(b.application_name, ''),
                            'role', coalesce(b.usename, ''),
                            'state', coalesce(b.state, 'hidden'),
                            'waits', EXISTS (SELECT FROM waiting m WHERE m.pid = b.pid),
                            'state_seconds', greatest(coalesce(extract(epoch FROM clock_timestamp() - CASE WHEN b.state LIKE 'idle%' THEN b.state_change ELSE b.query_start END), 0), 0)::float8,
                            'transaction_seconds', greatest(coalesce(extract(epoch FROM clock_timestamp() - b.xact_start), 0), 0)::float8)
                            ORDER BY b.pid)
                     FROM pg_catalog.pg_stat_activity b
                     WHERE b.pid = ANY (w.blockers)), '[]') AS held_by
    FROM (SELECT *, pg_catalog.pg_blocking_pids(pid) AS blockers FROM (SELECT * FROM waiting LIMIT 30) first) w
    LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid
)
SELECT json_build_object(
    'at',                               to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'version',                          current_setting('server_version'),
    'version_num',                      current_setting('server_version_num')::int,
    'in_recovery',                      pg_is_in_recovery(),
    'role',                             me.rolname,
    'database',                         here.datname,
    'superuser',                        me.rolsuper,
    'may_use_reserved',                 me.may_use_reserved,
    'sees_all',                         pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
    'max_connections',                  current_setting('max_connections')::int,
    'superuser_reserved_connections',   current_setting('superuser_reserved_connections')::int,
    'reserved_connections',             coalesce(current_setting('reserved_connections', true), '0')::int,
    'role_connection_limit',            me.rolconnlimit,
    'database_connection_limit',        here.datconnlimit,
    'sessions',                         (SELECT count(*) FROM sessions),
    'role_sessions',                    (SELECT count(*) FROM sessions s WHERE s.usesysid = me.oid),
    'database_sessions',                (SELECT count(*) FROM sessions s WHERE s.datid = here.oid),
    'states',                           (SELECT json_agg(g ORDER BY g.count DESC, g.state)
                                         FROM (SELECT state, count(*) FROM sessions GROUP BY state) g),
    'lock_waiting',                     (SELECT json_agg(DISTINCT w.pid) FROM waiting w),
    'lock_waits',                       (SELECT json_agg(w ORDER BY w.wait_seconds DESC) FROM lock_waits w),
    'applications',                     (SELECT json_agg(p ORDER BY p.sessions DESC, p.name) FROM applications p),
    'statement_timeout_seconds',        extract(epoch FROM current_setting('statement_timeout')::interval)::float8
)::text
FROM me, here
