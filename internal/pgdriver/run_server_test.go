package pgdriver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// session is a session of a real server that runs calls, as a pool would have it.
type session struct {
	t    *testing.T
	conn *pgx.Conn
	link *Link

	over chan error
}

func newSession(t *testing.T, url string, table *Table) *session {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return &session{t: t, conn: conn, link: NewLink(conn.PgConn(), conn.TypeMap(), table), over: make(chan error, 1)}
}

// Cancel implements Host.
func (s *session) Cancel() (ended func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.conn.PgConn().CancelRequest(ctx)
	}()
	return func() { <-done }
}

// HandOn implements Host.
func (*session) HandOn(*Call) {}

// Over implements Host.
func (s *session) Over(err error) { s.over <- err }

// call makes a call of a statement, learning it first.
func (s *session) call(sql string, args ...any) *Call {
	s.t.Helper()
	st := s.link.table.Lookup(sql)
	if st.desc.Load() == nil {
		if err := s.link.Learn(s.t.Context(), st); err != nil {
			s.t.Fatal(err)
		}
	}
	c := NewCall(st, SQLFace, args)
	if c == nil {
		s.t.Fatalf("no call of %s", sql)
	}
	return c
}

// run makes calls, each by a goroutine of its own, and waits until the session is back.
func (s *session) run(calls ...*Call) []string {
	out := make([]string, len(calls), len(calls)+1)
	first := Begin(s.link, s, append([]*Call(nil), calls...))
	var all sync.WaitGroup
	for i, c := range calls {
		all.Go(func() {
			await(context.Background(), c, c == first)
			o := outcome{}
			o.take(c)
			out[i], _, _ = strings.Cut(o.String(), " after")
		})
	}
	all.Wait()
	if err := <-s.over; err != nil {
		out = append(out, "broken")
	}
	return out
}

func (s *session) want(got []string, want ...string) {
	s.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("%q, want %q", got, want)
	}
}

func TestRunStalePlans(t *testing.T) {
	srv := pgtest.Shared(t)
	s := newSession(t, srv.URL, NewTable(ShareAll))
	mustExec(t, s.conn, "create table t (id text, n int); insert into t values ('a', 1)")
	const all = "select * from t where id = $1"
	get := func() []*Call { return []*Call{s.call(all, "a"), s.call(all, "a")} }
	s.eventually(get, "[a]", "[a]")
	mustExec(t, s.conn, "alter table t add more int")
	s.want(s.run(get()...), "again", "again") // 0A000: cached plan must not change result type
	s.eventually(get, "[a]", "[a]")
	mustExec(t, s.conn, "discard all")
	s.want(s.run(get()...), "again", "again") // 26000: prepared statement does not exist
	s.eventually(get, "[a]", "[a]")
	mustExec(t, s.conn, "alter table t alter id type int using 5")
	mustExec(t, s.conn, "discard all")
	other := newSession(t, srv.URL, s.link.table) // where it is prepared in the run, as it was described before
	s.want(other.run(other.call(all, "a")), "again")
	st := s.link.table.Lookup(all)
	st.Forget()
	c := other.call(all, 5)
	Begin(other.link, other, []*Call{c}).Lead(t.Context())
	if a := c.Answer(); a.Err != nil || a.Again || a.Result.Count != 1 {
		t.Errorf("%+v", a)
	}
}

// A statement that waits for a lock is not in front of others for long, and a
// statement that times out does so alone. The one that waits cannot be executed
// twice here, so that it stays where it is.
func TestRunLocked(t *testing.T) {
	srv := pgtest.Shared(t)
	s, holder := newSession(t, srv.URL, NewTable(ShareAll)), newSession(t, srv.URL, NewTable(ShareAll))
	mustExec(t, s.conn, "create table t (id text); insert into t values ('a')")
	mustExec(t, s.conn, "create function find(text) returns text language sql begin atomic select id from t where id = $1; end")
	mustExec(t, s.conn, "set statement_timeout = 500")
	calls := func() []*Call {
		return []*Call{s.call("select $1", "x"), s.call("select find($1)", "a"), s.call("select $1 || 'y'", "x")}
	}
	s.eventually(calls, "[x]", "[a]", "[xy]")
	mustExec(t, holder.conn, "begin; lock table t")
	began := time.Now()
	s.want(s.run(calls()...), "[x]", "ERROR: canceling statement due to statement timeout (SQLSTATE 57014)", "again")
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("over after %s", took)
	}
	mustExec(t, holder.conn, "commit")
	s.eventually(calls, "[x]", "[a]", "[xy]")
}

// eventually runs calls again as long as some are to be run again: on a busy
// machine any statement may take too long.
func (s *session) eventually(calls func() []*Call, want ...string) {
	s.t.Helper()
	var got []string
	for range 20 {
		if got = s.run(calls()...); !slices.Contains(got, "again") {
			break
		}
	}
	s.want(got, want...)
}

// Requests and answers that fill all buffers do not wait for each other.
func TestRunFillsBuffers(t *testing.T) {
	s := newSession(t, pgtest.Shared(t).URL, NewTable(ShareAll))
	const long = "select $1::text, repeat($2::text, 100)"
	var calls []*Call
	var want []string
	for i := range 100 {
		id := fmt.Sprint(i)
		calls = append(calls, s.call(long, id, strings.Repeat("x", 3000)))
		want = append(want, "["+id+"]")
	}
	s.link.table.Lookup(long).cost.Store(int64(time.Second)) // nothing overruns
	s.want(s.run(calls...), want...)
}

func TestRunTerminated(t *testing.T) {
	srv := pgtest.Shared(t)
	s := newSession(t, srv.URL, NewTable(ShareAll))
	mustExec(t, s.conn, "create table t (id text)")
	insert := func(id string) *Call { return s.call("insert into t values ($1)", id) }
	kill := s.call("select pg_terminate_backend(pg_backend_pid())::text || $1", "")
	got := s.run(insert("a"), kill, insert("b"))
	if got[0] != "[]" || !strings.Contains(got[1], "57P01") || got[2] != "again" || got[3] != "broken" {
		t.Errorf("%q", got)
	}
}

// TestRunServerModel has goroutines execute random statements on a few
// sessions, in runs that are formed as a pool forms them, while sessions are
// terminated and callers leave. What was reported done was done once; what was
// said to run again was not done.
func TestRunServerModel(t *testing.T) {
	srv := pgtest.Shared(t)
	table := NewTable(ShareAll)
	keeper := newSession(t, srv.URL, table)
	mustExec(t, keeper.conn, "create table done (id text)")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m := &serverModel{t: t, url: srv.URL, table: table, ready: make(chan *modelJob, 200)}
	for _, sql := range []string{readModel, writeModel, failModel} {
		keeper.call(sql, "learn")
	}
	var sessions, callers sync.WaitGroup
	for range 3 {
		sessions.Go(m.serve)
	}
	for g := range 40 {
		callers.Go(func() { m.calls(g, rand.New(rand.NewPCG(seed, uint64(g)))) })
	}
	callers.Wait()
	close(m.ready)
	sessions.Wait()
	m.check(keeper)
}

const (
	readModel  = "select $1::text"
	writeModel = "insert into done values ($1::text)"
	failModel  = "select ($1::text)::numeric::text" // fails
)

type serverModel struct {
	t     *testing.T
	url   string
	table *Table
	ready chan *modelJob

	mu                    sync.Mutex // guards all below
	reported, again, lost []string   // ids of writes
}

// modelJob is a call on its way to a session.
type modelJob struct {
	*Call
	first chan struct{} // closed when it leads a run from its start
}

// serve takes what waits and runs it, on a session that is replaced when it breaks.
func (m *serverModel) serve() {
	var s *session
	for j := range m.ready {
		if s == nil {
			s = newSession(m.t, m.url, m.table)
		}
		first := map[*Call]chan struct{}{j.Call: j.first}
		calls := m.more([]*Call{j.Call}, first)
		leader := Begin(s.link, s, calls)
		if leader == nil {
			continue
		}
		close(first[leader])
		if <-s.over != nil {
			s = nil
		}
	}
}

// more adds to calls what waits besides.
func (m *serverModel) more(calls []*Call, first map[*Call]chan struct{}) []*Call {
	for len(calls) < 20 {
		select {
		case j, ok := <-m.ready:
			if !ok {
				return calls
			}
			first[j.Call] = j.first
			calls = append(calls, j.Call)
		default:
			return calls
		}
	}
	return calls
}

func (m *serverModel) calls(g int, rng *rand.Rand) {
	for i := range 50 {
		id := fmt.Sprintf("%d-%d", g, i)
		sql := []string{readModel, readModel, writeModel, failModel}[rng.IntN(4)]
		ctx, cancel := context.WithCancel(context.Background())
		if rng.IntN(5) == 0 {
			time.AfterFunc(time.Duration(rng.IntN(3_000_000)), cancel)
		}
		m.call(ctx, id, sql, rng.IntN(200) == 0)
		cancel()
	}
}

func (m *serverModel) call(ctx context.Context, id, sql string, deadly bool) {
	if deadly {
		sql = "select pg_terminate_backend(pg_backend_pid())::text || $1"
		m.table.Lookup(sql).Described(m.table.Lookup(readModel).desc.Load())
	}
	j := &modelJob{Call: NewCall(m.table.Lookup(sql), SQLFace, []any{id}), first: make(chan struct{})}
	m.ready <- j
	select {
	case <-j.first:
	case <-j.Ready():
	case <-ctx.Done():
		if j.Leave() {
			return
		}
		select {
		case <-j.first:
		case <-j.Ready():
		}
	}
	if !j.Leads() || j.Lead(ctx) {
		m.note(id, sql, j.Call)
	}
}

func (m *serverModel) note(id, sql string, c *Call) {
	a := c.Answer()
	m.mu.Lock()
	defer m.mu.Unlock()
	var pg *pgconn.PgError
	switch {
	case a.Again && sql == writeModel:
		m.again = append(m.again, id)
	case a.Again:
	case errors.Is(a.Err, ErrLost), errors.As(a.Err, &pg) && pg.Code == "57P01":
		m.lost = append(m.lost, id)
	case sql == failModel && pg == nil:
		m.t.Errorf("%s of %s: %v", id, sql, a.Err)
	case sql != failModel && a.Err != nil:
		m.t.Errorf("%s of %s: %v", id, sql, a.Err)
	case sql == writeModel:
		m.reported = append(m.reported, id)
	case sql == readModel:
		o := outcome{}
		if o.take(c); fmt.Sprint(o.ids) != "["+id+"]" {
			m.t.Errorf("%s got the answer %v", id, o.ids)
		}
	}
}

func (m *serverModel) check(s *session) {
	counts := map[string]int{}
	rows, _ := s.conn.Query(m.t.Context(), "select id, count(*) from done group by id")
	var id string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error { counts[id] = n; return nil }); err != nil {
		m.t.Fatal(err)
	}
	for id, n := range counts {
		if n != 1 {
			m.t.Errorf("%s done %d times", id, n)
		}
	}
	for _, id := range m.reported {
		if counts[id] != 1 {
			m.t.Errorf("%s reported and not done", id)
		}
	}
	for _, id := range m.again {
		if counts[id] != 0 {
			m.t.Errorf("%s is to run again although it was done", id)
		}
	}
	m.t.Logf("%d writes reported, %d to run again, %d statements lost", len(m.reported), len(m.again), len(m.lost))
}
