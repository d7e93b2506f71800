package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// ear is a call of Listen in a goroutine, and what its function was told.
type ear struct {
	t     *testing.T
	heard chan Notification
	over  chan error
	stop  context.CancelFunc
}

// listenTo starts a listener that ends with the test, and waits until it listens.
func listenTo(t *testing.T, p *Pool, channels ...string) *ear {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	e := &ear{t: t, heard: make(chan Notification, 2*listenQueue), over: make(chan error, 1), stop: cancel}
	go func() { e.over <- p.Listen(ctx, channels, func(n Notification) { e.heard <- n }) }()
	t.Cleanup(cancel)
	e.want(Listening, "", "")
	return e
}

// want waits for the next notification and compares it.
func (e *ear) want(kind NotificationKind, channel, payload string) Notification {
	e.t.Helper()
	select {
	case n := <-e.heard:
		if n.Kind != kind || n.Channel != channel || n.Payload != payload || (n.PID != 0) != (kind == Notified) {
			e.t.Fatalf("heard %+v (%s), want %s %q %q", n, n.Kind, kind, channel, payload)
		}
		return n
	case err := <-e.over:
		e.t.Fatalf("ended with %v", err)
	case <-time.After(time.Minute):
		e.t.Fatalf("heard nothing, want %s %q %q", kind, channel, payload)
	}
	return Notification{}
}

// wantEnd waits for the end of Listen.
func (e *ear) wantEnd(want error) {
	e.t.Helper()
	select {
	case err := <-e.over:
		if !errors.Is(err, want) {
			e.t.Errorf("ended with %v, want %v", err, want)
		}
	case <-time.After(5 * time.Second):
		e.t.Error("goes on")
	}
}

func notify(t *testing.T, srv *pgtest.Server, channel, payload string) {
	t.Helper()
	srv.Exec(t, "select pg_notify($1, $2)", channel, payload)
}

// notifyBy is notify in the pool's own database.
func notifyBy(t *testing.T, p *Pool, channel, payload string) {
	t.Helper()
	if _, err := p.ExecContext(t.Context(), "select pg_notify($1, $2)", channel, payload); err != nil {
		t.Error(err)
	}
}

// TestListen has several listeners share one session, whose channels come and go
// with them.
func TestListen(t *testing.T) {
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		cfg := settled(srv.URL, 2, 2)
		cfg.ApplicationName = "listens"
		p := open(t, cfg)
		const odd = `Orders"; drop table x; -- é`
		a := listenTo(t, p, "orders", odd)
		holder := p.Holders(0)[0]
		b := listenTo(t, p, "orders")
		notify(t, srv, "orders", "1")
		notify(t, srv, odd, "")
		notify(t, srv, "Orders", "nobody's")
		a.want(Notified, "orders", "1")
		a.want(Notified, odd, "")
		b.want(Notified, "orders", "1")

		c := listenTo(t, p, "late")
		notify(t, srv, "late", "2")
		c.want(Notified, "late", "2")
		a.stop()
		a.wantEnd(context.Canceled)
		notify(t, srv, "orders", "3")
		b.want(Notified, "orders", "3")
		if n := srv.Sessions(t.Context(), "listens"); n != 1 || p.Stats().InUse != 1 || p.Holders(0)[0].PID != holder.PID {
			t.Errorf("%d sessions, %d in use, %v: the listeners do not share one", n, p.Stats().InUse, p.Holders(0))
		}
		if holder.Name != "listener" || holder.Lane != LaneBackground || !strings.HasPrefix(holder.Caller, "pool/listen_server_test.go:") {
			t.Errorf("listed as %+v", holder)
		}
		until(t, 5*time.Second, "shown as listening", func() bool { return p.Holders(0)[0].Activity == "listening" })

		b.stop()
		c.stop()
		b.wantEnd(context.Canceled)
		c.wantEnd(context.Canceled)
		until(t, 5*time.Second, "the connection came back", func() bool { return p.Stats().InUse == 0 })
		listenTo(t, p, "orders") // and once more
	})
}

// TestListenCountsInTheLimit wants as many connections for others as are left.
func TestListenCountsInTheLimit(t *testing.T) {
	srv := pgtest.Shared(t)
	p := open(t, settled(srv.URL, 2, 0))
	listenTo(t, p, "counted")
	if lane := p.Holders(0)[0].Lane; lane != LaneRequest {
		t.Errorf("in lane %s: background work has one connection, and would have none", lane)
	}
	other, err := p.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Conn(ctx); !errors.Is(err, ErrPoolTimeout) {
		t.Errorf("a third connection of two: %v", err)
	}
}

// TestListeningAgain ends the session that listens: who listens is told when it
// does again, and hears what comes then.
func TestListeningAgain(t *testing.T) {
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		log := &logLines{}
		p := open(t, settled(srv.URL, 4, 0), WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
		a, b := listenTo(t, p, "again"), listenTo(t, p, "again", "too")
		for range 3 {
			srv.Exec(t, "select pg_terminate_backend($1)", p.Holders(0)[0].PID)
			a.want(ListeningAgain, "", "")
			b.want(ListeningAgain, "", "")
			notify(t, srv, "too", "x")
			b.want(Notified, "too", "x")
		}
		srv.Restart(t)
		a.want(ListeningAgain, "", "")
		notify(t, srv, "again", "y")
		a.want(Notified, "again", "y")
		if lost, back := len(log.with(t, "listening interrupted")), len(log.with(t, "listening again")); lost != 4 || back != 4 {
			t.Errorf("interrupted %d times and back %d times, in the log", lost, back)
		}
		if n := p.Stats().InUse; n != 1 {
			t.Errorf("%d in use", n)
		}
	})
}

// TestListenEndsWithThePool wants Shutdown and Close to end it, and not to wait
// for a function that does not return.
func TestListenEndsWithThePool(t *testing.T) {
	srv := pgtest.Shared(t)
	for name, end := range map[string]func(*Pool) error{
		"shutdown": func(p *Pool) error { return p.Shutdown(t.Context()) },
		"close":    (*Pool).Close,
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, settled(srv.URL, 2, 0))
			e := listenTo(t, p, "ends")
			busy, release, over := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			go func() {
				over <- p.Listen(context.Background(), []string{"ends"}, func(Notification) { close(busy); <-release })
			}()
			<-busy
			started := time.Now()
			if err := end(p); err != nil || time.Since(started) > 3*time.Second {
				t.Errorf("%v after %s", err, time.Since(started))
			}
			e.wantEnd(ErrClosed)
			close(release)
			if err := <-over; !errors.Is(err, ErrClosed) {
				t.Errorf("ended with %v", err)
			}
			if err := p.Listen(t.Context(), []string{"ends"}, nil); !errors.Is(err, ErrClosed) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestListenEndsWithItsContext ends it while it listens, and while it has no connection.
func TestListenEndsWithItsContext(t *testing.T) {
	srv := pgtest.Shared(t)
	p := open(t, settled(srv.URL, 2, 0))
	var held []interface{ Close() error }
	for range 2 {
		c, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Listen(ctx, []string{"c"}, func(n Notification) { t.Errorf("heard %v", n) }); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	for _, c := range held {
		_ = c.Close()
	}
	until(t, 5*time.Second, "all came back", func() bool { s := p.Stats(); return s.InUse+s.Waiting == 0 })
}

// TestSlowListener has one whose function does not return miss what does not fit
// in its queue, and be told so; the other hears everything.
func TestSlowListener(t *testing.T) {
	srv := pgtest.Shared(t)
	p := open(t, settled(srv.URL, 2, 0))
	fast := listenTo(t, p, "slow")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	busy, release := make(chan struct{}), make(chan struct{})
	heard, again := 0, Notification{}
	over := make(chan error, 1)
	go func() {
		over <- p.Listen(ctx, []string{"slow"}, func(n Notification) {
			switch n.Kind {
			case Listening:
				close(busy)
				<-release
			case Notified:
				heard++
			case ListeningAgain:
				again = n
				cancel()
			}
		})
	}()
	<-busy
	const extra = 7
	if _, err := p.ExecContext(ctx, "select pg_notify('slow', i::text) from generate_series(1, $1::int) i", listenQueue+extra); err != nil {
		t.Fatal(err)
	}
	for i := range listenQueue + extra {
		fast.want(Notified, "slow", fmt.Sprint(i+1))
	}
	close(release)
	if err := <-over; !errors.Is(err, context.Canceled) || heard != listenQueue || again.Dropped != extra {
		t.Errorf("%v: heard %d of %d, told of %d dropped", err, heard, listenQueue+extra, again.Dropped)
	}
}

// TestListenerThatPanics goes on listening.
func TestListenerThatPanics(t *testing.T) {
	srv := pgtest.Shared(t)
	log := &logLines{}
	p := open(t, settled(srv.URL, 2, 0), WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := p.Listen(ctx, []string{"panics"}, func(n Notification) {
		switch {
		case n.Kind == Listening:
			notifyBy(t, p, "panics", "1")
			notifyBy(t, p, "panics", "2")
		case n.Payload == "1":
			panic("a fault of the function's")
		default:
			cancel()
		}
	})
	if lines := log.with(t, "a listener's function panicked"); !errors.Is(err, context.Canceled) || len(lines) != 1 ||
		lines[0]["panic"] != "a fault of the function's" || !strings.Contains(lines[0]["stack"].(string), "listen_server_test.go") {
		t.Errorf("%v, %v", err, lines)
	}
}

// TestListenerIsNoLeak holds its connection for longer than others may.
func TestListenerIsNoLeak(t *testing.T) {
	srv := pgtest.Shared(t)
	cfg := settled(srv.URL, 2, 0)
	cfg.LeakThreshold, cfg.ReclaimAfter = 200*time.Millisecond, 200*time.Millisecond
	log := &logLines{}
	p := open(t, cfg, WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	e := listenTo(t, p, "leak")
	c, err := p.Conn(t.Context()) // this one is a leak, and shows that somebody looks
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	until(t, 5*time.Second, "the other was reclaimed", func() bool { return log.contains("connection reclaimed") })
	if h := p.Holders(0); len(h) != 1 || h[0].Leaking || h[0].Name != "listener" || h[0].Held < cfg.LeakThreshold {
		t.Errorf("%+v", h)
	}
	if n := len(log.with(t, leakLine)); n > 1 || p.Stats().Leaking != 0 {
		t.Errorf("%d leaks in the log, %d leaking now", n, p.Stats().Leaking)
	}
	notifyBy(t, p, "leak", "")
	e.want(Notified, "leak", "")
}

// TestListenRefusals says at once where nobody can listen.
func TestListenRefusals(t *testing.T) {
	srv := pgtest.Shared(t)
	p, one := open(t, settled(srv.URL, 2, 0)), open(t, settled(srv.URL, 1, 0))
	for _, c := range []struct {
		p        *Pool
		channels []string
		want     string
	}{
		{p, nil, "without a channel"},
		{p, []string{"ok", ""}, "1 to 63 bytes"},
		{p, []string{strings.Repeat("x", 64)}, "this has 64"},
		{p, []string{"a\x00b"}, "no name that the server knows"},
		{p, []string{"\xff"}, "no name that the server knows"},
		{one, []string{"c"}, "raise DB_POOL_SIZE or DB_MAX_OVERFLOW"},
	} {
		if err := c.p.Listen(t.Context(), c.channels, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.channels, err)
		}
	}
	long := strings.Repeat("x", 63)
	e := listenTo(t, p, long)
	notifyBy(t, p, long, "")
	e.want(Notified, long, "")
}

// TestListenBehindAPooler refuses, whether the pooler was configured or found out
// by the connection.
func TestListenBehindAPooler(t *testing.T) {
	pooled(t, nil, func(t *testing.T, _ *pgtest.Server, b *pgtest.PgBouncer) {
		for _, kind := range []config.Pooler{config.PoolerAuto, config.PoolerPgBouncer} {
			cfg := settled(b.URL, 2, 0)
			cfg.Pooler = kind
			if err := open(t, cfg).Listen(t.Context(), []string{"c"}, nil); !errors.Is(err, errListenPooled) {
				t.Errorf("%v: %v", kind, err)
			}
		}
	})
}
