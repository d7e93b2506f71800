package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Postgres runs requests on conn, which must be outside of a transaction.
func Postgres(conn *pgconn.PgConn, keys Keys) Locks { return postgres{conn, keys} }

type postgres struct {
	conn *pgconn.PgConn
	keys Keys
}

// Do sends all statements at once by the simple protocol: one round trip, and
// each is run when the one before is done. Every argument is an integer.
func (p postgres) Do(ctx context.Context, r Request) (Response, error) {
	results, err := p.run(ctx, p.sql(r))
	if err != nil {
		return Response{}, fmt.Errorf("fleet: advisory locks: %w", err)
	}
	resp, err := readResponse(r, results)
	if err != nil {
		return Response{}, fmt.Errorf("fleet: advisory locks: %w", err)
	}
	return resp, nil
}

// maxCanceled is how often a request may be canceled before it is given up.
const maxCanceled = 100

// run sends a request, and once more when it was canceled although ctx has not
// ended: the session's statement_timeout was over before untimedSQL could stop
// it. Then nothing has been done, since the server looks for that before
// each statement.
func (p postgres) run(ctx context.Context, sql string) (results []*pgconn.Result, err error) {
	for range maxCanceled {
		results, err = p.conn.Exec(ctx, sql).ReadAll()
		if pg := (*pgconn.PgError)(nil); ctx.Err() != nil || !errors.As(err, &pg) || pg.Code != stateCanceled {
			break
		}
	}
	return results, err
}

// stateCanceled is the SQLSTATE of a statement that was canceled, or took longer than statement_timeout.
const stateCanceled = "57014"

// PID is the server process as the connection's start told it.
func (p postgres) PID() uint32 { return p.conn.PID() }

func (p postgres) sql(r Request) string {
	var b strings.Builder
	b.WriteString(untimedSQL)
	for _, t := range r.Drop {
		fmt.Fprintf(&b, "select pg_advisory_unlock_shared(%s);\n", p.key(kindToken, uint32(t)))
	}
	for _, v := range r.Retract {
		fmt.Fprintf(&b, "select pg_advisory_unlock_shared(%s);\n", p.key(kindDemand, v))
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
		fmt.Fprintf(&b, claimSQL, r.UpTo, p.class(kindToken), r.Claim)
	}
	if r.Guard {
		fmt.Fprintf(&b, guardSQL, r.Unread.Milliseconds())
	}
	if r.Look {
		low, high := p.keys.bounds()
		b.WriteString(serverSQL)
		fmt.Fprintf(&b, locksSQL, low, high)
	}
	return b.String()
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
 got as materialized (select t from numbers where pg_try_advisory_lock(%[2]d, t) limit %[3]d)
select t from got where case when pg_try_advisory_lock_shared(%[2]d, t) then pg_advisory_unlock(%[2]d, t) end;
`

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

// serverSQL needs no privilege. Background processes have no user or no
// database; a stranger's backend_type is hidden, and counts.
const serverSQL = `select pg_backend_pid(),
 extract(epoch from pg_postmaster_start_time())::text || '@' || coalesce(inet_server_addr()::text, '') || ':' || current_setting('port'),
 (extract(epoch from clock_timestamp()) * 1000)::int8,
 current_setting('max_connections'), current_setting('superuser_reserved_connections'), coalesce(current_setting('reserved_connections', true), '0'),
 exists (select from pg_roles u where u.rolname = 'pg_use_reserved_connections' and pg_has_role(r.oid, u.oid, 'usage')),
 r.rolsuper, r.rolname, r.rolconnlimit, d.datname, d.datconnlimit, a.*
from pg_roles r, pg_database d, lateral (
 select count(*), count(*) filter (where usesysid = r.oid), count(*) filter (where datid = d.oid),
  count(*) filter (where usesysid = r.oid and datid = d.oid and application_name = current_setting('application_name'))
 from pg_stat_activity where datid is not null and usesysid is not null and coalesce(backend_type, 'client backend') = 'client backend') a
where r.rolname = session_user and d.datname = current_database();
`

const locksSQL = `select d.datname, l.classid::int8, l.objid::int8, l.pid from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and l.objsubid = 2 and l.granted and l.classid::int8 between %d and %d;
`

// errShort says that the answer does not fit the question, as behind a proxy
// that rewrites statements.
var errShort = errors.New("the server's answer is incomplete")

// readResponse walks through the results as sql wrote the statements.
func readResponse(r Request, results []*pgconn.Result) (Response, error) {
	var resp Response
	skip := 1 + len(r.Drop) + len(r.Retract) + len(r.Publish)
	for _, more := range []bool{r.Part > 0, r.Join != 0, r.Watch != 0} {
		if more {
			skip++
		}
	}
	next := func() *pgconn.Result {
		if skip >= len(results) {
			return &pgconn.Result{}
		}
		skip++
		return results[skip-1]
	}
	if r.Bind != 0 {
		next()
		rows := next().Rows
		if len(rows) != 1 {
			return resp, errShort
		}
		resp.Bound = string(rows[0][0]) == "t"
	}
	if r.Claim > 0 {
		resp.Claimed = readTokens(next())
	}
	if r.Guard {
		next()
		next()
	}
	if !r.Look {
		return resp, nil
	}
	seen, err := readSnapshot(next(), next())
	resp.Seen = seen
	return resp, err
}

func readTokens(res *pgconn.Result) []Token {
	var tokens []Token
	for _, row := range res.Rows {
		tokens = append(tokens, Token(number(row[0])))
	}
	return tokens
}

func readSnapshot(server, locks *pgconn.Result) (*Snapshot, error) {
	if len(server.Rows) != 1 || len(server.Rows[0]) != 16 {
		return nil, errShort
	}
	c := server.Rows[0]
	s := &Snapshot{
		PID:    uint32(number(c[0])),
		Server: string(c[1]),
		Clock:  time.Duration(number(c[2])) * time.Millisecond,
		Limits: Limits{
			MaxConnections: number(c[3]), SuperuserReserved: number(c[4]), Reserved: number(c[5]),
			MayUseReserved: string(c[6]) == "t", Superuser: string(c[7]) == "t",
			Role: string(c[8]), RoleLimit: number(c[9]), Database: string(c[10]), DatabaseLimit: number(c[11]),
		},
		Sessions: Sessions{Server: number(c[12]), Role: number(c[13]), Database: number(c[14]), Peers: number(c[15])},
	}
	for _, row := range locks.Rows {
		s.Locks = append(s.Locks, Lock{
			Database: string(row[0]), Class: uint32(number(row[1])), Key: uint32(number(row[2])), PID: uint32(number(row[3])),
		})
	}
	return s, nil
}

// number reads an integer the server wrote itself.
func number(text []byte) int {
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return int(n)
}
