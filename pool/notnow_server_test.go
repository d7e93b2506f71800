package pool

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// notNow is a way for a server to be there and let nobody in: 57P03.
type notNow struct {
	srv    *pgtest.Server
	reason string // ours
	says   string // the server's
	remedy string
	begin  func() // called with a connection open; nil if it refuses from the start
	end    func() // nil if it never lets anybody in
	short  bool   // it ends by itself after five seconds
}

// TestNotNow meets each of these ways: no caller is told before its time, the
// error names the state and not a full server, the pool asks gently, and goes on
// by itself as soon as the server does.
func TestNotNow(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]func(*testing.T, *pgtest.Server) notNow{
		"no hot standby": func(t *testing.T, srv *pgtest.Server) notNow {
			return notNow{srv: srv.Standby(t, map[string]string{"hot_standby": "off"}),
				reason: "not accepting connections", says: "the database system is not accepting connections", remedy: "set hot_standby=on"}
		},
		"not consistent yet": func(t *testing.T, srv *pgtest.Server) notNow {
			return notNow{srv: srv.Standby(t, map[string]string{"primary_conninfo": "host=127.0.0.1 port=1"}),
				reason: "starting up", says: "the database system is not yet accepting connections", remedy: "goes on trying"}
		},
		"smart shutdown": func(t *testing.T, srv *pgtest.Server) notNow {
			return notNow{srv: srv, reason: "shutting down", says: "the database system is shutting down", remedy: "goes on trying",
				begin: func() { srv.StopSmart(t) }, end: func() { srv.Restart(t) }}
		},
		"crash": func(t *testing.T, srv *pgtest.Server) notNow {
			return notNow{srv: srv, reason: "in recovery", says: "the database system is in recovery mode", remedy: "goes on trying",
				begin: func() { srv.Crash(t) }, end: func() {}, short: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			onServers(t, nil, func(t *testing.T, srv *pgtest.Server) { meet(t, state(t, srv)) })
		})
	}
}

func meet(t *testing.T, s notNow) {
	cfg := settled(s.srv.URL, 2, 0)
	cfg.PoolTimeout = 700 * time.Millisecond
	if s.short {
		cfg.PoolTimeout = 2 * time.Second // there is no time to wait for the first refusal
	}
	p := open(t, cfg)
	var held *sql.Conn
	if s.begin != nil {
		var err error
		if held, err = p.Conn(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		s.begin()
	}
	until(t, 30*time.Second, "the server says "+s.says, func() bool {
		if s.short {
			return true
		}
		_ = p.PingContext(t.Context()) // on a busy machine a refusal takes longer than pool_timeout
		d := p.Stats().LastDialError
		return d != nil && strings.Contains(d.Message, s.says)
	})
	before := p.Stats().DialErrorCount
	err := p.WithSession(t.Context(), func(ctx context.Context, w *Session) error {
		_, err := w.ExecContext(ctx, "select 1")
		return err
	})
	e := wantVerdict(t, err, ErrPoolTimeout, VerdictServerDown)
	if errors.Is(err, ErrServerFull) || e.Waited < cfg.PoolTimeout {
		t.Errorf("after %s: %v", e.Waited, err)
	}
	for _, part := range []string{s.says, "(SQLSTATE 57P03)", string(VerdictServerDown) + "; ", s.remedy} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	now := p.Stats()
	if now.Server.OK || string(now.Server.Reason) != s.reason || now.LastDialError.SQLState != pgdriver.StateCannotConnectNow {
		t.Errorf("%+v, last dial error %+v", now.Server, now.LastDialError)
	}
	if n := now.DialErrorCount - before; n > 30 {
		t.Errorf("%d dials in %s", n, cfg.PoolTimeout)
	}
	if s.end == nil {
		until(t, 10*time.Second, "the pool asks again", func() bool { return p.PingContext(t.Context()) != nil && p.Stats().DialErrorCount > now.DialErrorCount })
	}
	before, asked := p.Stats().DialErrorCount, time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.Ready(ctx); ctx.Err() == nil {
		t.Errorf("Ready did not wait: %v", err)
	}
	t.Logf("%d dials in %s", p.Stats().DialErrorCount-before, time.Since(asked).Round(time.Millisecond))
	if s.end != nil {
		s.end()
		until(t, 30*time.Second, "the pool goes on", func() bool { return p.PingContext(t.Context()) == nil && p.Stats().Server.OK })
	}
}

// TestSmartShutdown goes on with the sessions that it has, however long. It has to
// let one go for its age, or because it was asked to, to find out that there is
// no other to be had.
func TestSmartShutdown(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		const size = 3
		cfg := settled(srv.URL, size, 0)
		cfg.PoolRecycle = 2 * time.Second
		p := open(t, cfg)
		fill(t, p, size)
		srv.StopSmart(t)
		load := startCalls(t, 2*size, func(ctx context.Context) error { return p.QueryRowContext(ctx, "select $1::int", 1).Scan(new(int)) })
		until(t, 10*time.Second, "it is found out", func() bool { return p.Stats().Server.Reason == "shutting down" })
		p.Recycle()
		time.Sleep(2 * cfg.PoolRecycle)
		load.await(t, 100)
		load.stop()
		load.wantNoFailure(t)
		if n := p.Stats().Open(); n < size-1 {
			t.Errorf("%d of %d connections are left", n, size)
		}
	})
}
