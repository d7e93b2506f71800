package fleet

import (
	"fmt"
	"strconv"
	"strings"
)

// sql is a request's statements, in the order in which readResponse reads the
// results. prepared says that the session knows the statement of a glance.
func (p postgres) sql(r Request, prepared bool) string {
	var b strings.Builder
	b.WriteString(untimedSQL)
	for _, t := range r.Drop {
		fmt.Fprintf(&b, "select pg_advisory_unlock_shared(%s);\n", p.key(kindToken, uint32(t)))
	}
	for _, v := range r.Retract {
		fmt.Fprintf(&b, "select pg_advisory_unlock_shared(%s);\n", p.key(kindDemand, v))
	}
	for _, v := range r.Hush {
		fmt.Fprintf(&b, "select pg_advisory_unlock(%s);\n", p.key(kindAlarm, v))
	}
	for _, v := range r.Publish {
		p.take(&b, kindDemand, v)
	}
	if r.Part > 0 {
		p.take(&b, kindPart, uint32(r.Part))
	}
	if r.Join != 0 {
		p.take(&b, kindMember, r.Join)
	}
	if r.Watch != 0 {
		p.take(&b, kindWatcher, r.Watch)
	}
	if r.Bind != 0 {
		p.bind(&b, r)
	}
	if r.Claim > 0 {
		p.claim(&b, r)
	}
	if r.Guard {
		fmt.Fprintf(&b, guardSQL, r.Unread.Milliseconds())
	}
	p.ask(&b, r, prepared)
	return b.String()
}

// ask is the part of a request that only wants to know.
func (p postgres) ask(b *strings.Builder, r Request, prepared bool) {
	if r.Raise {
		fmt.Fprintf(b, raiseSQL, p.class(kindAlarm), turnSQL)
	}
	if r.Probe {
		fmt.Fprintf(b, probeSQL, p.class(kindAlarm), turnSQL)
	}
	if r.Glance {
		if !prepared {
			fmt.Fprintf(b, "prepare "+glanceName+" as "+glanceSQL, p.keys.class(0)&^kindMask, ^uint32(kindMask))
		}
		b.WriteString("execute " + glanceName + ";\n")
	}
	if r.Look {
		low, high := p.keys.bounds()
		b.WriteString(serverSQL)
		fmt.Fprintf(b, locksSQL, low, high)
	}
}

func (p postgres) class(of kind) int32 { return int32(p.keys.class(of)) }

// key is the two integers of a lock.
func (p postgres) key(of kind, value uint32) string {
	return fmt.Sprintf("%d, %d", p.class(of), int32(value))
}

// take locks a key that replicas only ever share, so it succeeds at once, and
// only once: taken twice it would have to be let go twice.
func (p postgres) take(b *strings.Builder, of kind, value uint32) {
	fmt.Fprintf(b, "select pg_try_advisory_lock_shared(%s) where not exists (select from pg_locks where %s and pid = pg_backend_pid());\n",
		p.key(of, value), p.held(of, value))
}

// held is the condition under which a row of pg_locks is this lock, granted.
func (p postgres) held(of kind, value uint32) string {
	return fmt.Sprintf("locktype = 'advisory' and objsubid = 2 and granted and classid::int8 = %d and objid::int8 = %d "+
		"and database = (select oid from pg_database where datname = current_database())", p.keys.class(of), value)
}

// bind shares the token first and looks second: if the replica's session that
// reserved it still holds it, nobody else can have claimed it meanwhile; if
// not, the token may be another's now, and is let go.
func (p postgres) bind(b *strings.Builder, r Request) {
	token := p.key(kindToken, uint32(r.Bind))
	fmt.Fprintf(b, "select pg_try_advisory_lock_shared(%s);\n", token)
	fmt.Fprintf(b, `with holders as materialized (select pid in (%s) as known from pg_locks where %s and pid <> pg_backend_pid()),
 bound as materialized (select count(*) > 0 and coalesce(bool_and(known), false) as ok from holders)
select ok, case when not ok then pg_advisory_unlock_shared(%s) end from bound;
`, pids(r.Known), p.held(kindToken, uint32(r.Bind)), token)
}

// claim takes tokens, at most so many that Most are held.
func (p postgres) claim(b *strings.Builder, r Request) {
	limit := strconv.Itoa(r.Claim)
	if r.Most > 0 {
		fmt.Fprintf(b, "select pg_try_advisory_xact_lock(%d, 0);\n", p.class(kindClaim))
		limit = fmt.Sprintf(roomSQL, r.Claim, r.Most, p.keys.class(kindToken), r.UpTo, p.keys.class(kindClaim))
	}
	fmt.Fprintf(b, claimSQL, r.UpTo, p.class(kindToken), limit)
}

func pids(list []uint32) string {
	if len(list) == 0 {
		return "0"
	}
	words := make([]string, len(list))
	for i, pid := range list {
		words[i] = strconv.FormatUint(uint64(pid), 10)
	}
	return strings.Join(words, ", ")
}

// untimedSQL is the first statement of every request. The session's
// statement_timeout is meant for the application's statements, and may be a
// millisecond. It holds for what follows, as all of it is one transaction.
const untimedSQL = "set local statement_timeout = 0;\n"

// claimSQL takes free tokens. A token is free when no session holds any lock on
// it, which is exactly when the exclusive lock can be had; it is changed into a
// shared one at once, which the session-to-be can share. A session's own locks
// do not stand in its way, hence the exception for the tokens it has. LIMIT stops
// the locking only because the numbers come from a materialized list.
const claimSQL = `with mine as materialized (select objid::int8 as t from pg_locks where locktype = 'advisory' and objsubid = 2
  and pid = pg_backend_pid() and classid::int8 = (%[2]d::int8 & 4294967295)),
 numbers as materialized (select t::int4 from generate_series(1, %[1]d) t where t not in (select t from mine) order by t),
 got as materialized (select t from numbers where pg_try_advisory_lock(%[2]d, t) limit %[3]s)
select t from got where case when pg_try_advisory_lock_shared(%[2]d, t) then pg_advisory_unlock(%[2]d, t) end;
`

// roomSQL is how many tokens a claim may take: none that would make more than Most of them
// held, and none at all without the lock under which one session counts at a time. Two that
// saw the same token free would otherwise take it and one of the headroom.
const roomSQL = `(select case when bool_or(classid::int8 = %[5]d and pid = pg_backend_pid())
   then greatest(0, least(%[1]d, %[2]d - count(distinct objid) filter (where classid::int8 = %[3]d and objid::int8 between 1 and %[4]d))) else 0 end
  from pg_locks where locktype = 'advisory' and objsubid = 2 and granted and classid::int8 in (%[3]d, %[5]d)
  and database = (select oid from pg_database where datname = current_database()))`

// guardSQL makes the server end this session soon after its client is gone, be
// it killed in the middle of a long statement (client_connection_check_interval,
// PostgreSQL 14 and later, not on every platform) or cut off by the network.
//
// Keepalives are not sent while an answer is on its way, so a client that is cut
// off in the middle of one is found by tcp_user_timeout alone. That also ends the
// session of a healthy client that does not read for so long, which is
// why it is longer than any statement may take, and unset where that has no bound.
const guardSQL = `select set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false), set_config('tcp_keepalives_count', '3', false);
do $$ begin
 perform set_config('client_connection_check_interval', '2s', false);
 perform set_config('tcp_user_timeout', '%d', false);
exception when others then null;
end $$;
`

// turnSQL is the number of the present turn of alarms; see alarmTurn.
const turnSQL = `(extract(epoch from clock_timestamp())::int8 / 4 & 1073741823)::int`

// raiseSQL fails for a moment while another session asks, and as long as another
// session has raised the alarm: it is raised then.
const raiseSQL = `with turns as materialized (select t from (select %[2]s as now) n, generate_series(now, now + 1) t)
select t from turns where pg_try_advisory_lock(%[1]d, t);
`

// probeSQL takes 20 microseconds, and askers do not disturb each other.
const probeSQL = "select not pg_try_advisory_xact_lock_shared(%[1]d, %[2]s);\n"

// glanceName is the prepared statement of a glance: planning it takes longer than
// running it.
const glanceName = "dbpool_fleet_glance"

// glanceSQL tells what changes from moment to moment in one row, without a join:
// with 1,200 locks a tenth of what locksSQL and serverSQL cost. The sessions
// counted include parallel workers.
const glanceSQL = `select pg_backend_pid(), (extract(epoch from clock_timestamp()) * 1000)::int8,
 (select count(*) from pg_stat_get_backend_idset() id where pg_stat_get_backend_userid(id) <> 0 and pg_stat_get_backend_dbid(id) <> 0),
 (select string_agg(concat(l.classid::int8, ' ', l.objid::int8, ' ', l.pid), ' ') from pg_locks l where l.locktype = 'advisory' and l.objsubid = 2 and l.granted
   and l.classid::int8 & %[2]d = %[1]d and l.database = (select oid from pg_database where datname = current_database()));
`

// serverSQL needs no privilege. Background processes have no user or no
// database; a stranger's backend_type is hidden, and counts.
//
// A server's start tells it from all others, and one server has several
// addresses, so the address is no part of its name.
const serverSQL = `with act as materialized (select pid, usesysid, usename, datid, datname, application_name from pg_stat_activity
 where datid is not null and usesysid is not null and coalesce(backend_type, 'client backend') = 'client backend')
select pg_backend_pid(),
 extract(epoch from pg_postmaster_start_time())::text || ':' || current_setting('port'),
 (extract(epoch from clock_timestamp()) * 1000)::int8,
 current_setting('max_connections'), current_setting('superuser_reserved_connections'), coalesce(current_setting('reserved_connections', true), '0'),
 exists (select from pg_roles u where u.rolname = 'pg_use_reserved_connections' and pg_has_role(r.oid, u.oid, 'usage')),
 r.rolsuper, r.rolname, r.rolconnlimit, d.datname, d.datconnlimit, a.*
from pg_roles r, pg_database d, lateral (
 select count(*), count(*) filter (where usesysid = r.oid), count(*) filter (where datid = d.oid),
  count(*) filter (where usesysid = r.oid and datid = d.oid and application_name = current_setting('application_name')),
  coalesce(string_agg(pid::text, ' ') filter (where usesysid = r.oid), ''),
  (select coalesce(json_agg(t), '[]') from (select usename as role, application_name as application, datname as database, count(*) as sessions,
    usename = r.rolname and datname = d.datname and application_name = current_setting('application_name') as peer
   from act group by 1, 2, 3 order by 4 desc, 1, 2, 3 limit 10) t)
 from act) a
where r.rolname = session_user and d.datname = current_database();
`

const locksSQL = `select d.datname, l.classid::int8, l.objid::int8, l.pid from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and l.objsubid = 2 and l.granted and l.classid::int8 between %d and %d;
`
