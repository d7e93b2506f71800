package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

func dial(t *testing.T, url, service string) *pgSession {
	t.Helper()
	s, err := dialPostgres(t.Context(), url, service)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func do(t *testing.T, l Locks, r Request) Response {
	t.Helper()
	resp, err := l.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func (s *pgSession) text(t *testing.T, sql string) string {
	t.Helper()
	results, err := s.pg.Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if rows := results[0].Rows; len(rows) > 0 {
		return string(rows[0][0])
	}
	return ""
}

func TestLookNeedsNoPrivilege(t *testing.T) {
	t.Run("own version", func(t *testing.T) {
		lookWithoutPrivilege(t, pgtest.Options{Settings: map[string]string{"max_connections": "20"}}, 0)
	})
	t.Run("18", func(t *testing.T) {
		lookWithoutPrivilege(t, pgtest.Options{Version: 18, Settings: map[string]string{"max_connections": "20", "reserved_connections": "2"}}, 2)
	})
}

func lookWithoutPrivilege(t *testing.T, opts pgtest.Options, reserved int) {
	srv := pgtest.Start(t, opts)
	srv.Exec(t, "create role app login connection limit 9; create role other login")
	srv.Exec(t, "create database shop connection limit 11")
	stranger := dial(t, srv.DSN("postgres", "other", ""), "other")
	peer := dial(t, srv.DSN("shop", "app", ""), "orders")
	s := dial(t, srv.DSN("shop", "app", ""), "orders")
	do(t, stranger, Request{Join: 5, Part: 4})
	do(t, peer, Request{Join: 6})
	seen := do(t, s, Request{Look: true}).Seen
	want := Limits{MaxConnections: 20, SuperuserReserved: 3, Reserved: reserved, Role: "app", RoleLimit: 9, Database: "shop", DatabaseLimit: 11}
	if seen.Limits != want {
		t.Errorf("%+v", seen.Limits)
	}
	// The starter of servers keeps a session of its own.
	if got, want := seen.Sessions, (Sessions{Server: 4, Role: 2, Database: 2, Peers: 2}); got != want {
		t.Errorf("%+v; want %+v", got, want)
	}
	if got := seen.claimed(NewKeys(DefaultKeySpace, "orders")); got != 4 {
		t.Errorf("claimed by others: %d", got)
	}
	if now := time.Since(time.Unix(0, int64(seen.Clock))); now.Abs() > time.Hour {
		t.Errorf("the server's clock is off by %v", now)
	}
}

func TestGuardMakesTheServerNoticeAClientThatIsGone(t *testing.T) {
	s := dial(t, pgtest.Shared(t).URL, "orders")
	do(t, s, Request{Guard: true, Unread: 42 * time.Second})
	for name, want := range map[string]string{
		"client_connection_check_interval": "2s", "tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2",
		"tcp_keepalives_count": "3", "tcp_user_timeout": "42000",
	} {
		if got := s.text(t, "show "+name); got != want {
			t.Errorf("%s is %s; want %s", name, got, want)
		}
	}
}

// A client that reads slowly is not one that is gone: the server may only end its
// session where no statement may take so long anyway.
func TestServerEndsASessionThatDoesNotReadOnlyAfterTheBound(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).URL
	for _, test := range []struct {
		unread time.Duration
		ended  bool
	}{{0, false}, {time.Second, true}, {time.Minute, false}} {
		t.Run(test.unread.String(), func(t *testing.T) {
			t.Parallel()
			s := dial(t, url, "orders")
			do(t, s, Request{Guard: true, Unread: test.unread})
			rows := s.pg.Exec(t.Context(), "select repeat('x', 1000) from generate_series(1, 50000)")
			if !rows.NextResult() || !rows.ResultReader().NextRow() {
				t.Fatal("no rows")
			}
			time.Sleep(4 * time.Second) // the handler thinks
			n := 1
			for rows.ResultReader().NextRow() {
				n++
			}
			if err := rows.Close(); (err != nil) != test.ended {
				t.Errorf("after %d of 50000 rows: %v", n, err)
			}
		})
	}
}

// A caller's statement_timeout is not the fleet's.
func TestFleetsStatementsHaveNoTimeout(t *testing.T) {
	s := dial(t, pgtest.Shared(t).URL, "orders")
	s.text(t, "set statement_timeout = '2ms'")
	for range 50 { // a look takes about as long
		do(t, s, Request{Claim: 200, UpTo: 200, Look: true})
	}
	if got := s.text(t, "show statement_timeout"); got != "2ms" {
		t.Errorf("afterwards it is %s", got)
	}
}

func TestServerDropsABusySessionWhoseClientIsGone(t *testing.T) {
	url := pgtest.Shared(t).URL
	doomed, heir := dial(t, url, "orders"), dial(t, url, "orders")
	do(t, doomed, Request{Guard: true, Claim: 1, UpTo: 1})
	if got := do(t, heir, Request{Claim: 1, UpTo: 1}).Claimed; got != nil {
		t.Fatalf("%v is taken", got)
	}
	doomed.pg.Frontend().SendQuery(&pgproto3.Query{String: "select pg_sleep(60)"})
	if err := doomed.pg.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	doomed.pg.Conn().Close() // as the kernel does for a process that is killed
	for began := time.Now(); do(t, heir, Request{Claim: 1, UpTo: 1}).Claimed == nil; {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the token of a killed client is still taken after 10 s")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestServerIsToldFromAnotherStart(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	first := do(t, dial(t, srv.URL, "orders"), Request{Look: true}).Seen.Server
	same := do(t, dial(t, srv.URL, "orders"), Request{Look: true}).Seen.Server
	srv.Restart(t)
	other := do(t, dial(t, srv.URL, "orders"), Request{Look: true}).Seen.Server
	if first != same || first == other {
		t.Errorf("%s, %s, %s", first, same, other)
	}
}

func TestErrorsLeaveNoDoubt(t *testing.T) {
	s := dial(t, pgtest.Shared(t).URL, "orders")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Do(ctx, Request{Look: true}); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "fleet: ") {
		t.Errorf("%v", err)
	}
}

func TestDifferentServicesAndDatabasesDoNotMeet(t *testing.T) {
	a, b := pgtest.Shared(t), pgtest.Shared(t)
	first := dial(t, a.URL, "orders")
	do(t, first, Request{Claim: 1, UpTo: 1})
	for _, other := range []*pgSession{dial(t, a.URL, "billing"), dial(t, b.URL, "orders")} {
		if got := do(t, other, Request{Claim: 1, UpTo: 1}).Claimed; len(got) != 1 {
			t.Errorf("the token of another fleet is in the way: %v", got)
		}
	}
}

// lonely is a pool of one session, for what needs no queue.
type lonely struct{ load Load }

func (l lonely) Load() Load                                                { return l.load }
func (l lonely) SetShare(int)                                              {}
func (l lonely) Borrow(context.Context, func(*Session, Locks) error) error { return nil }

func lonelyFleet(service string, opts Options) *Fleet {
	opts.Service, opts.Log = service, slog.New(slog.DiscardHandler)
	f := New(lonely{Load{Max: 10, Wanted: 3}}, opts)
	f.blindAt = time.Time{} // as after its first pause
	return f
}

func enter(t *testing.T, f *Fleet, l Locks) *Session {
	t.Helper()
	p, ok := f.Permit()
	if !ok {
		t.Fatal("no permit")
	}
	s, err := f.Enter(t.Context(), p, l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSessionThatLostItsLocksIsSurplus(t *testing.T) {
	url := pgtest.Shared(t).URL
	f := lonelyFleet("orders", Options{})
	first, second := dial(t, url, "orders"), dial(t, url, "orders")
	a := enter(t, f, first)
	if err := f.poll(t.Context(), a, first); err != nil {
		t.Fatal(err)
	}
	b := enter(t, f, second)
	second.text(t, "discard all")
	if err := f.poll(t.Context(), a, first); err != nil {
		t.Error(err)
	}
	if a.Surplus() || !b.Surplus() {
		t.Errorf("surplus: %v and %v; the second session has lost its locks", a.Surplus(), b.Surplus())
	}
	if err := f.poll(t.Context(), b, second); !errors.Is(err, errLost) {
		t.Errorf("a look on that session: %v", err)
	}
}

func TestTransactionPoolerIsNoticedBeforeAnyLockIsTaken(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	bouncer := pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{})
	f := lonelyFleet("orders", Options{Part: "40", Replicas: 3, Surge: 1})
	for range 2 {
		enter(t, f, dial(t, bouncer.URL, "orders"))
	}
	if got := f.Share(); got != 10 {
		t.Errorf("share is %d; want 40/(3+1)", got)
	}
	if n, err := srv.QueryInt(t.Context(), "select count(*) from pg_locks where locktype = 'advisory'"); n != 0 || err != nil {
		t.Errorf("%d locks were left on the pooler's sessions (%v)", n, err)
	}
	if s := f.Status(); s.NoLocks == "" {
		t.Error("the status does not say why")
	}
}

func TestWatchersCountEachOther(t *testing.T) {
	onBothServers(t, func(b bench) {
		var last Proof
		for range 3 {
			w := NewWatcher(Options{Service: "orders"}, Ask{PoolSize: 5, MaxOverflow: 5, Surge: 1})
			var err error
			if last, err = w.Look(b.Context(), b.open()); err != nil {
				b.Fatal(err)
			}
		}
		if last.Ask.Replicas != 3 || last.Need() != 40 || last.Ours != last.Sessions.Peers {
			b.Errorf("%+v", last)
		}
	})
}

func TestWatcherCountsAReplicaThatIsBetweenTwoSessions(t *testing.T) {
	onBothServers(t, func(b bench) {
		w := NewWatcher(Options{Service: "orders"}, Ask{PoolSize: 5})
		other := b.open()
		NewWatcher(Options{Service: "orders"}, Ask{}).Look(b.Context(), other)
		mine := b.open()
		var counts []int
		for i := range 3 {
			p, err := w.Look(b.Context(), mine)
			if err != nil {
				b.Fatal(err)
			}
			counts = append(counts, p.Ask.Replicas)
			if i == 0 {
				other.Close()
			}
		}
		if fmt.Sprint(counts) != "[2 2 1]" {
			b.Errorf("%v", counts)
		}
	})
}

// One server has several addresses, and is one server: what tells it from others has no
// address in it.
func TestServerIsOneByWhateverAddress(t *testing.T) {
	seen := do(t, dial(t, pgtest.Shared(t).URL, "orders"), Request{Look: true}).Seen
	if seen.Server == "" || strings.Contains(seen.Server, "127.0.0.1") || strings.Contains(seen.Server, "::") {
		t.Errorf("the server is known as %q", seen.Server)
	}
}

// A full lock table refuses a step; the session, and what the steps before did, stay.
func TestFullLockTableCostsNoSession(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": "10", "max_locks_per_transaction": "10"}})
	s, hog := dial(t, srv.URL, "orders"), dial(t, srv.URL, "hog")
	do(t, s, Request{Join: 7, Claim: 1, UpTo: 1})
	filled := 0
	for ; filled < 100; filled++ {
		if _, err := hog.pg.Exec(t.Context(), fmt.Sprintf("select pg_advisory_lock(%d + i) from generate_series(1, 1000) i", filled*1000)).ReadAll(); err != nil {
			break
		}
	}
	_, err := s.Do(t.Context(), Request{Drop: []Token{1}, Claim: 50, UpTo: 60})
	if !errors.Is(err, errKept) {
		t.Fatalf("with a full lock table: %v", err)
	}
	if _, err := s.Do(t.Context(), Request{Probe: true}); err != nil && !errors.Is(err, errKept) {
		t.Errorf("the session does not go on: %v", err)
	}
	hog.Close()
	if seen := do(t, s, Request{Glance: true}).Seen; seen.PID != s.PID() || lockViewOf(seen, s.keys()).members[s.PID()] != 7 {
		t.Errorf("the session has lost what it had: %+v", seen)
	}
}

func (s *pgSession) keys() Keys { return NewKeys(DefaultKeySpace, "orders") }

// A glance tells the same as a look, as far as it goes, also when the application
// drops prepared statements.
func TestGlanceTellsWhatALookTells(t *testing.T) {
	onBothServers(t, func(b bench) {
		a, c := b.open(), b.open()
		b.do(a, Request{Join: 11, Publish: []uint32{demandValue(1, 4)}, Claim: 2, UpTo: 9})
		b.do(c, Request{Join: 22, Claim: 1, UpTo: 9})
		keys := NewKeys(DefaultKeySpace, "orders")
		for range 3 {
			look, glance := b.do(a, Request{Look: true}).Seen, b.do(a, Request{Glance: true}).Seen
			p := Plan{Tokens: 8, Headroom: 1}
			if got, want := lockViewOf(glance, keys).view(p), lockViewOf(look, keys).view(p); fmt.Sprint(got) != fmt.Sprint(want) {
				b.Errorf("a glance shows %+v, a look %+v", got, want)
			}
			if glance.PID != a.PID() || glance.Sessions.Server < 2 || (glance.Clock-look.Clock).Abs() > time.Minute {
				b.Errorf("%+v", glance)
			}
			if pg, ok := a.(*pgSession); ok {
				pg.text(b.T, "deallocate all")
			}
		}
	})
}

// The alarm is heard by others until it is taken back, and raised by one at a time.
func TestAlarmIsHeardUntilItIsTakenBack(t *testing.T) {
	onBothServers(t, func(b bench) {
		a, c := b.open(), b.open()
		if b.do(c, Request{Probe: true}).Alarm {
			b.Error("an alarm that nobody raised")
		}
		raised := b.do(a, Request{Raise: true}).Raised
		if len(raised) != 2 || !b.do(c, Request{Probe: true}).Alarm || b.do(a, Request{Probe: true}).Alarm {
			b.Errorf("raised %v, and not heard by the other, or by itself", raised)
		}
		b.do(a, Request{Hush: raised})
		if b.do(c, Request{Probe: true}).Alarm {
			b.Error("an alarm that was taken back")
		}
	})
}
