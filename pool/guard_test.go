package pool

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/memconn"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestGuard reads what the server keeps to, and leaves what the connection
// string says as it is.
func TestGuard(t *testing.T) {
	const ask = "select current_setting('client_connection_check_interval') || ' ' || current_setting('tcp_keepalives_idle')"
	for url, want := range map[string]string{
		"":                                       "2s 15",
		"&client_connection_check_interval=7000": "7s 15",
		"&options=-c%20tcp_keepalives_idle%3D99": "2s 99",
		"&options=-c%20client_connection_check_interval%3D0": "0 15",
	} {
		p := openShared(t, 1, 0, func(c *config.Config) { c.DatabaseURL += config.DSN(url) })
		var got string
		if err := p.QueryRowContext(t.Context(), ask).Scan(&got); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", url, got, err, want)
		}
		p.Close()
	}
}

// TestGuardUnknown has servers that do not know one of the parameters.
func TestGuardUnknown(t *testing.T) {
	for _, pooler := range []config.Pooler{config.PoolerAuto, config.PoolerNone} {
		inWire(t, func(c *config.Config) { sized(1, 0)(c); c.Pooler = pooler }, func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
			s.with(func(f *wireFaults) { f.unknown = "client_connection_check_interval" })
			for range 3 {
				askWire(t.Context(), p, "x").want(t, 0, nil)
				p.Recycle()
			}
			st := p.Stats()
			if n := len(s.dialTimes(time.Time{})); n != int(st.OpenedCount)+1 || n < 3 { // only the first is dialed twice
				t.Errorf("%d dials for %d connections", n, st.OpenedCount)
			}
			if st.DialErrorCount != 0 || st.Pooler != "" {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestHungUpMeansEnded loses a statement that runs on for long, and its cancel
// requests: the server ends the session all the same, and the slot comes free.
func TestHungUpMeansEnded(t *testing.T) {
	srv := pgtest.Shared(t)
	proxy := srv.Proxy(t)
	proxy.SwallowCancels(true)
	cfg := settled(proxy.URL(srv.URL), 1, 0)
	cfg.Fleet, cfg.StatementTimeout, cfg.PoolTimeout = config.FleetOff, time.Second, time.Minute
	p := open(t, cfg)
	tx, err := p.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "set local statement_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(within(t, 100*time.Millisecond), "select pg_sleep(600)"); err == nil {
		t.Error("not cancelled")
	}
	_ = tx.Rollback()
	if err := p.PingContext(t.Context()); err != nil {
		t.Errorf("the session that was given up has not ended: %v", err)
	}
	if n := srv.Sessions(t.Context(), "ours"); n != 1 {
		t.Errorf("%d sessions with a limit of 1", n)
	}
}

// mute is a network whose connections are accepted and never answered, while it is.
type mute struct {
	mu    sync.Mutex
	on    bool
	other []net.Conn
	dial  pgdriver.DialFunc
}

func (m *mute) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.on {
		return m.dial(ctx, network, address)
	}
	client, server := memconn.Pipe(0)
	m.other = append(m.other, server)
	return client, nil
}

// TestDialNeverAnswered waits for sessions that may have begun, no longer than
// the server would let them begin, and not at all for those that cannot have.
func TestDialNeverAnswered(t *testing.T) {
	for sslmode, freeAfter := range map[string]time.Duration{
		"disable": pgdriver.DialBound,
		"prefer":  5 * time.Second, // the dial's own bound: it asked for TLS and got no answer
	} {
		t.Run(sslmode, func(t *testing.T) {
			m := &mute{on: true}
			edit := func(c *config.Config) {
				sized(1, 0)(c)
				c.DatabaseURL = config.DSN(strings.ReplaceAll(string(c.DatabaseURL), "disable", sslmode))
				c.StatementTimeout, c.ConnectTimeout, c.PoolTimeout = 0, 5*time.Second, time.Hour
			}
			inWire(t, edit, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				m.dial = s.dial
				a := askWire(t.Context(), p, "x")
				time.Sleep(time.Second)
				m.mu.Lock()
				m.on = false
				m.mu.Unlock()
				if <-a.done; a.err != nil || a.after < freeAfter || a.after > freeAfter+2*time.Second {
					t.Errorf("%v after %s, want it soon after %s", a.err, a.after, freeAfter)
				}
				for _, c := range m.other {
					_ = c.Close()
				}
			}, WithDialFunc(m.Dial))
		})
	}
}
