package pool

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestBlackHole has dials hang: whoever can be served by a connection that is
// given back must be, at once.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		proxy := srv.Proxy(t)
		p := open(t, settled(proxy.URL(srv.URL), 2, 0))
		ours, theirs := mine(p), rawPool(t, proxy.URL(srv.URL), 2)
		release := []func(){occupy(t, ours), occupy(t, theirs)}
		proxy.BlackHole(true)
		waits := make([]chan error, 2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for i, c := range []*contender{ours, theirs} {
			waits[i] = make(chan error, 1)
			go func() { waits[i] <- c.exec(ctx, "select $1::int", 1) }()
		}
		until(t, 5*time.Second, "a dial hangs", func() bool { return p.Stats().Dialing == 1 && proxy.Open() >= 3 })
		released := time.Now()
		release[0]()
		if err := <-waits[0]; err != nil {
			t.Error(err)
		}
		waited := time.Since(released)
		t.Logf("ours: served %s after a connection was given back", waited.Round(10*time.Microsecond))
		if waited > time.Second {
			t.Errorf("served after %s: the hung dial was waited for", waited)
		}
		if s := p.Stats(); s.Dialing != 1 {
			t.Errorf("%d dialing: the dial should still hang", s.Dialing)
		}
		release[1]()
		select {
		case <-waits[1]:
			t.Error("database/sql did not wait for its hung dial: the test shows nothing")
		case <-time.After(2 * time.Second):
		}
		cancel()
		<-waits[1]
		proxy.BlackHole(false)
		proxy.Cut()
	})
}

// occupy takes a connection until release is called.
func occupy(t *testing.T, c *contender) (release func()) {
	t.Helper()
	conn, err := c.db().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func() { conn.Close() }
}

// TestHosts has a first host that accepts and says nothing. One kind of silence
// ends with the connection, the other does not.
func TestHosts(t *testing.T) {
	t.Parallel()
	for name, silence := range map[string]func(*pgtest.Proxy){
		"black hole": func(p *pgtest.Proxy) { p.BlackHole(true) },
		"partition":  func(p *pgtest.Proxy) { p.Freeze(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := pgtest.Start(t, pgtest.Options{})
			dsn, silent, good := twoHosts(t, srv)
			silence(silent)
			cfg := settled(dsn, 3, 0)
			cfg.ConnectTimeout = 4 * time.Second
			p := open(t, cfg)
			if err := p.PingContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := p.Stats(); s.DialErrorCount != 0 || s.Closing != silent.Open() {
				t.Errorf("closing %d after %d failed dials, with %d sockets open at the silent host", s.Closing, s.DialErrorCount, silent.Open())
			}
			inParallel(2, func(int) { mustExec(t, mine(p), "select pg_sleep(0.2)") })
			if silent.Accepted() != 1 || good.Accepted() < 2 {
				t.Errorf("the silent host was tried %d times, the other one %d times", silent.Accepted(), good.Accepted())
			}
			silent.Cut()
			until(t, 5*time.Second, "its slot is free", func() bool { return p.Stats().Closing == 0 })
		})
	}
}

// twoHosts are two ways to one server.
func twoHosts(t *testing.T, srv *pgtest.Server) (dsn string, first, second *pgtest.Proxy) {
	first, second = srv.Proxy(t), srv.Proxy(t)
	return strings.Replace(first.URL(srv.URL), first.Addr, first.Addr+","+second.Addr, 1), first, second
}

// TestHostsWithoutRoom may open one session, which the silent host may have: the
// other host must wait for it, but its turn comes first the next time.
func TestHostsWithoutRoom(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	dsn, silent, good := twoHosts(t, srv)
	silent.Freeze(true)
	cfg := settled(dsn, 1, 0)
	cfg.ConnectTimeout = 4 * time.Second
	cfg.PoolTimeout = time.Minute
	p := open(t, cfg)
	done := make(chan error)
	go func() { done <- p.PingContext(t.Context()) }()
	until(t, 10*time.Second, "the first dial gives up", func() bool { return p.Stats().DialErrorCount == 1 })
	if n := good.Accepted(); n != 0 {
		t.Errorf("%d sessions at the other host, want none while the first may have one", n)
	}
	silent.Cut()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := silent.Accepted(); n != 1 {
		t.Errorf("the silent host was tried %d times", n)
	}
}

// TestFullHosts knocks once: neither other hosts nor the variant without TLS are
// tried when a server has no room.
func TestFullHosts(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	srv.Exec(t, "create role app login connection limit 0")
	withTLS(t, srv)
	one, two := srv.Proxy(t), srv.Proxy(t)
	dsn := with(strings.Replace(one.URL(srv.DSN("postgres", "app", "")), one.Addr, one.Addr+","+two.Addr, 1), map[string]string{"sslmode": "prefer"})
	cfg := settled(dsn, 5, 0)
	cfg.PoolTimeout = 50 * time.Millisecond
	p := open(t, cfg)
	if err := p.PingContext(t.Context()); err == nil {
		t.Error("there was a connection to be had")
	}
	until(t, 5*time.Second, "no dial is under way", func() bool { return p.Stats().Dialing == 0 })
	if n, m := one.Accepted(), two.Accepted(); n != int(p.Stats().DialCount) || m != 0 {
		t.Errorf("knocked %d times at the first and %d at the second host in %d dials", n, m, p.Stats().DialCount)
	}
}

// TestFallbackSharesSlot tries TLS first at a server without it, at a limit of
// one for the role: both sockets of one connect are one session.
func TestFallbackSharesSlot(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		const limit = 3
		srv.Exec(t, fmt.Sprintf("create role app login connection limit %d", limit))
		proxy := srv.Proxy(t)
		p := open(t, settled(with(proxy.URL(srv.DSN("postgres", "app", "")), map[string]string{"sslmode": "prefer"}), limit, 0))
		s := sample(t, srv, "ours")
		for range 10 {
			inParallel(2*limit, func(int) {
				if err := p.QueryRowContext(t.Context(), "select $1::int", 1).Scan(new(int)); err != nil {
					t.Error(err)
				}
			})
			endSessions(t, srv, p)
		}
		if n := s.peak("ours"); n > limit {
			t.Errorf("%d sessions", n)
		}
		if s := p.Stats(); s.DialErrorCount != 0 {
			t.Errorf("%d dials failed, last %v", s.DialErrorCount, s.LastDialError)
		}
	})
}

// TestHiddenEnd has a partition hide that the server ended the sessions: their
// slots stay taken, are told of, and come free when the end is seen.
func TestHiddenEnd(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	proxy := srv.Proxy(t)
	const limit = 2
	cfg := settled(proxy.URL(srv.URL), limit, 0)
	cfg.PoolTimeout = 200 * time.Millisecond
	p := open(t, cfg)
	r := mine(p)
	inParallel(limit, func(int) { mustExec(t, r, "select pg_sleep(0.1)") })
	proxy.HideFIN(true)
	inParallel(limit, func(int) {
		if err := r.exec(t.Context(), "select pg_terminate_backend(pg_backend_pid()), pg_sleep(1)"); err == nil {
			t.Error("survived its own end")
		}
	})
	until(t, 5*time.Second, "both are closing", func() bool { return p.Stats().Closing == limit })
	if err := p.PingContext(t.Context()); err == nil {
		t.Error("there was a connection beyond the limit")
	}
	until(t, 2*gate.QuarantineAfter, "the slots are quarantined", func() bool { return p.Stats().Quarantined == limit })
	proxy.HideFIN(false)
	proxy.Cut()
	until(t, 5*time.Second, "the slots are free", func() bool { return p.Stats().Closing == 0 })
	until(t, 10*time.Second, "a connection can be had", func() bool { return r.exec(t.Context(), "select 1") == nil })
}
