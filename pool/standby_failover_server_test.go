package pool

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// bothSides asks two servers again and again for the sessions of a pool, and keeps
// the most that it is sure of: a place may move between two questions.
func bothSides(t *testing.T, primary, standby *pgtest.Server) (peak func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	done, most := make(chan struct{}), 0
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			before := primary.Sessions(ctx, "ours")
			there := standby.Sessions(ctx, "ours")
			most = max(most, min(before, primary.Sessions(ctx, "ours"))+there)
		}
	}()
	peak = func() int {
		cancel()
		<-done
		return most
	}
	t.Cleanup(func() { peak() })
	return peak
}

// traffic keeps readers and writers busy, of whom nobody may notice anything but
// the end of a connection that served it.
type traffic struct{ reads, writes *calls }

func startTraffic(t *testing.T, p *Pool, each int) traffic {
	marked := ContextWithStandby(t.Context())
	return traffic{
		reads: startCalls(t, each, func(context.Context) error {
			ctx, cancel := context.WithTimeout(marked, 20*time.Second)
			defer cancel()
			return p.QueryRowContext(ctx, "select $1::int from pg_sleep(0.001)", 1).Scan(new(int))
		}),
		writes: startCalls(t, each, func(ctx context.Context) error { return writers(p)["session"](ctx, rand.N(1000)) }),
	}
}

func (l traffic) await(t *testing.T, n int64) {
	t.Helper()
	l.reads.await(t, n)
	l.writes.await(t, n)
}

func (l traffic) stop() {
	l.reads.stop()
	l.writes.stop()
}

// wantDivision waits until both sides have their part of the limit.
func wantDivision(t *testing.T, p *Pool, primary, standby int) {
	t.Helper()
	var s Stats
	until(t, 20*time.Second, "the limit is divided", func() bool {
		s = p.Stats()
		return s.Limit == primary && s.Standby.Limit == standby
	})
	if s.Limit+s.Standby.Limit != s.Standby.Budget {
		t.Errorf("%d and %d are not %d", s.Limit, s.Standby.Limit, s.Standby.Budget)
	}
}

// TestStandbyComesAndGoes loses the standby under load and gets it back, twice:
// as in a crash and as in a restart. Reads go on at the primary, which has the
// places of the standby meanwhile, and the servers together never see more
// sessions than the limit.
func TestStandbyComesAndGoes(t *testing.T) {
	t.Parallel()
	onPairs(t, func(t *testing.T, primary, standby *pgtest.Server) {
		const size, overflow, atStandby = 4, 3, 3
		log := &logLines{}
		p := open(t, withStandby(primary, standby.URL, size, overflow), WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
		peak := bothSides(t, primary, standby)
		load := startTraffic(t, p, 2*(size+overflow))
		until(t, 20*time.Second, "all are open", func() bool { s := p.Stats(); return s.Open()+s.Standby.InUse+s.Standby.Idle == size+overflow })
		for i, stop := range []func(*pgtest.Server, testing.TB){(*pgtest.Server).Kill, (*pgtest.Server).Halt} {
			load.await(t, 100)
			wantDivision(t, p, size+overflow-atStandby, atStandby)
			stop(standby, t)
			gone := time.Now()
			load.await(t, 100)
			wantDivision(t, p, size+overflow-1, 1)
			t.Logf("divided anew %s after the standby's end", time.Since(gone).Round(time.Millisecond))
			load.await(t, 100)
			if s := p.Stats().Standby; s.OK || s.Reason == "" || s.UnusableCount == 0 {
				t.Errorf("%+v", s)
			}
			standby.Restart(t)
			until(t, 10*time.Second, "the standby is used again", func() bool { return p.Stats().Standby.OK })
			before := p.Stats().Standby.ReadCount
			until(t, 10*time.Second, "it serves", func() bool { return p.Stats().Standby.ReadCount > before+100 })
			for _, line := range []string{"no standby can be used, reads go to the primary", "a standby can be used again"} {
				if n := len(log.with(t, line)); n != i+1 {
					t.Errorf("%q was logged %d times after %d changes", line, n, i+1)
				}
			}
		}
		wantDivision(t, p, size+overflow-atStandby, atStandby)
		load.stop()
		if n := peak(); n > size+overflow || n < atStandby {
			t.Errorf("%d sessions at once, with a limit of %d", n, size+overflow)
		}
		load.writes.wantNoFailure(t)
		load.reads.wantConnectionErrors(t)
		if len(load.reads.failures) > 2*atStandby {
			t.Errorf("%d reads failed, want at most one for each of %d connections, twice", len(load.reads.failures), atStandby)
		}
	})
}

// TestStandbyPromoted leaves a standby that was promoted: what it has may be
// nobody's but its own. With another one reads go there.
func TestStandbyPromoted(t *testing.T) {
	t.Parallel()
	onPairs(t, func(t *testing.T, primary, standby *pgtest.Server) {
		other := primary.Standby(t, nil)
		p := open(t, withStandby(primary, hostsOf("standby", standby, other), 4, 0))
		only := open(t, withStandby(primary, standby.URL, 4, 0))
		for _, p := range []*Pool{p, only} {
			for range 20 {
				if n, err := readers(p)["row"](ContextWithStandby(t.Context()), whichPort); n != standby.Port || err != nil {
					t.Fatal(n, err)
				}
			}
		}
		ctx := ContextWithProgress(t.Context(), "")
		standby.Promote(t)
		if err := writers(only)["session"](ctx, 7); err != nil {
			t.Fatal(err)
		}
		for name, read := range readers(only) { // at once: the promoted one has not got it
			if n, err := read(ContextWithStandby(ctx), "select count(*) from written where n = 7"); n != 1 || err != nil {
				t.Errorf("%s: found %d times, %v", name, n, err)
			}
		}
		until(t, 10*time.Second, "the promoted standby is not read from", func() bool {
			n, err := readers(only)["row"](ContextWithStandby(t.Context()), whichPort)
			return n == primary.Port && err == nil
		})
		wantDivision(t, only, 3, 1)
		if s := only.Stats().Standby; s.OK || !strings.Contains(s.Reason, "standby") {
			t.Errorf("%+v", s)
		}
		until(t, 20*time.Second, "the other standby is read from", func() bool {
			n, err := readers(p)["row"](ContextWithStandby(t.Context()), whichPort)
			return n == other.Port && err == nil
		})
		wantDivision(t, p, 2, 2)
	})
}

// TestStandbyHung has a standby that keeps its connections and answers nothing.
// What is being served there waits for its own end; whatever comes later is
// served by the primary.
func TestStandbyHung(t *testing.T) {
	t.Parallel()
	onPairs(t, func(t *testing.T, primary, standby *pgtest.Server) {
		proxy := standby.Proxy(t)
		p := open(t, withStandby(primary, proxy.URL(standby.URL), 4, 0))
		read := func(d time.Duration) (int, error) {
			ctx, cancel := context.WithTimeout(ContextWithStandby(t.Context()), d)
			defer cancel()
			return readers(p)["row"](ctx, whichPort)
		}
		if n, err := read(5 * time.Second); n != standby.Port || err != nil {
			t.Fatal(n, err)
		}
		proxy.Freeze(true)
		left := until(t, 12*time.Second, "the hung standby is left alone", func() bool {
			n, err := read(100 * time.Millisecond)
			return n == primary.Port && err == nil
		})
		for range 50 {
			if n, err := read(5 * time.Second); n != primary.Port || err != nil {
				t.Fatal(n, err)
			}
		}
		if s := p.Stats().Standby; s.OK || s.Reason != errHung.Error() {
			t.Errorf("%+v", s)
		}
		proxy.Freeze(false)
		back := until(t, 20*time.Second, "the standby is read from", func() bool {
			n, err := read(5 * time.Second)
			return n == standby.Port && err == nil
		})
		t.Logf("left alone after %s, read from %s after it answered again", left.Round(time.Millisecond), back.Round(time.Millisecond))
		wantDivision(t, p, 2, 2)
	})
}

// testNoStandbyFromTheStart serves reads by the primary where the standbys'
// address leads nowhere, to the primary itself, or to one that lets nobody in.
func testNoStandbyFromTheStart(t *testing.T, primary, standby *pgtest.Server) {
	for name, url := range map[string]string{
		"nowhere": strings.Replace(primary.URL, hostOf(primary), "127.0.0.1:1", 1),
		"primary": primary.URL,
		"nobody":  strings.Replace(standby.URL, "/postgres", "/nowhere", 1),
	} {
		cfg := withStandby(primary, url, 2, 0)
		p := open(t, cfg)
		for range 3 {
			started := time.Now()
			if n, err := readers(p)["row"](ContextWithStandby(t.Context()), whichPort); n != primary.Port || err != nil {
				t.Errorf("%s: %d, %v", name, n, err)
			}
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("%s: a read took %s", name, took)
			}
		}
		if s := p.Stats().Standby; s.OK || s.UnusableCount != 3 || s.ReadCount != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// testSameHosts finds primary and standby among the hosts of one connection string.
func testSameHosts(t *testing.T, primary, standby *pgtest.Server) {
	cfg := withStandby(primary, config.ReadSame, 2, 0)
	cfg.DatabaseURL = config.DSN(hostsOf("read-write", standby, primary))
	p := open(t, cfg)
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := readers(p)["row"](t.Context(), whichPort); n != primary.Port || err != nil {
		t.Error(n, err)
	}
	if n, err := readers(p)["row"](ContextWithStandby(t.Context()), whichPort); n != standby.Port || err != nil {
		t.Error(n, err)
	}
}

// testResizeWithStandbys divides anew what Resize sets, up and down under load.
func testResizeWithStandbys(t *testing.T, primary, standby *pgtest.Server) {
	p := open(t, withStandby(primary, standby.URL, 4, 4))
	peak := bothSides(t, primary, standby)
	load := startTraffic(t, p, 10)
	until(t, 20*time.Second, "all are open", func() bool { s := p.Stats(); return s.Open()+s.Standby.InUse+s.Standby.Idle == 8 })
	for _, step := range []struct{ size, overflow, primary, standby int }{{4, 4, 4, 4}, {1, 1, 1, 1}, {5, 0, 3, 2}, {2, 6, 4, 4}} {
		if err := p.Resize(step.size, step.overflow); err != nil {
			t.Fatal(err)
		}
		wantDivision(t, p, step.primary, step.standby)
		load.await(t, 50)
	}
	if err := p.Resize(1, 0); err == nil || !strings.Contains(err.Error(), "DATABASE_READ_URL") {
		t.Errorf("one connection for two servers: %v", err)
	}
	load.stop()
	load.reads.wantNoFailure(t)
	load.writes.wantNoFailure(t)
	if n := peak(); n > 8 || n < 4 {
		t.Errorf("%d sessions at once", n)
	}
}

// testCloseWithStandbys ends what is at the standby too: at once, or when the
// holders there have finished.
func testCloseWithStandbys(t *testing.T, primary, standby *pgtest.Server) {
	log := &logLines{}
	p, err := Open(withStandby(primary, standby.URL, 4, 0), WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	ctx := ContextWithStandby(t.Context())
	begun, finish, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- p.WithSession(ctx, func(ctx context.Context, s *Session) error {
			if _, err := s.ExecContext(ctx, "select 1"); err != nil {
				return err
			}
			close(begun)
			<-finish
			_, err := s.ExecContext(ctx, "select 1")
			return err
		}, WithStandby())
	}()
	<-begun
	held := slices.ContainsFunc(p.Holders(0), func(h Holder) bool { return strings.HasPrefix(h.Caller, "pool/standby_failover_server_test.go") })
	if !held {
		t.Errorf("who reads at the standby is no holder: %v", p.Holders(0))
	}
	var over atomic.Bool
	down := make(chan error, 1)
	go func() { down <- p.Shutdown(t.Context()); over.Store(true) }()
	until(t, 5*time.Second, "nobody else is let in", func() bool {
		_, err := readers(p)["row"](ctx, "select 1")
		return err != nil && strings.Contains(err.Error(), "closed")
	})
	time.Sleep(2 * lookInterval)
	if n := len(log.with(t, "no standby can be used, reads go to the primary")); n > 0 {
		t.Error("the end of the pool was taken for the standby's")
	}
	if over.Load() {
		t.Error("Shutdown did not wait for who reads at the standby")
	}
	close(finish)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, p.Stats())
	wantNothingLeft(t, p.standbys.p.Stats())
	until(t, 5*time.Second, "the servers have no session", func() bool {
		return primary.Sessions(t.Context(), "ours")+standby.Sessions(t.Context(), "ours") == 0
	})
}

// testPanicAtAStandby loses no place at the standby when the work panics.
func testPanicAtAStandby(t *testing.T, primary, standby *pgtest.Server) {
	p := open(t, withStandby(primary, standby.URL, 1, 1))
	ctx := ContextWithStandby(t.Context())
	for range 5 {
		for name, work := range map[string]func(){
			"session": func() {
				_ = p.WithSession(ctx, func(ctx context.Context, s *Session) error {
					_, _ = s.ExecContext(ctx, "select 1")
					panic("work")
				}, WithStandby())
			},
			"argument": func() { _ = p.QueryRowContext(ctx, "select $1::text", panicValuer{}).Err() },
			"native":   func() { _ = p.Pgx().QueryRow(ctx, "select $1::text", panicValuer{}).Scan(new(string)) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: the panic did not go on", name)
					}
				}()
				work()
			}()
		}
	}
	if n, err := readers(p)["row"](ctx, whichPort); n != standby.Port || err != nil {
		t.Error(n, err)
	}
	if s := p.standbys.p.Stats(); s.InUse != 0 || s.Limit != 1 {
		t.Errorf("%+v", s)
	}
}
