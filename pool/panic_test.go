package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/memconn"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// brittleConn panics in one Write after it was armed.
type brittleConn struct {
	*memconn.Conn
	armed *atomic.Bool
}

func (c brittleConn) Write(b []byte) (int, error) {
	if c.armed.CompareAndSwap(true, false) {
		panic("brittle")
	}
	return c.Conn.Write(b)
}

// TestPanicInTheSocket has the connection that WithDialFunc returned panic in
// calls that have database/sql forget a connection whose driver panics.
func TestPanicInTheSocket(t *testing.T) {
	var armed atomic.Bool
	ending := func(end func(*sql.Tx) error) wireCall { // arms only then
		return func(ctx context.Context, p *Pool) error {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			armed.Store(true)
			return end(tx)
		}
	}
	for name, call := range map[string]wireCall{
		"Ping":    func(ctx context.Context, p *Pool) error { return p.PingContext(ctx) },
		"DB.Ping": func(ctx context.Context, p *Pool) error { return p.DB().PingContext(ctx) },
		"Query": func(ctx context.Context, p *Pool) error {
			rows, err := p.QueryContext(ctx, "x")
			if err != nil {
				return err
			}
			defer rows.Close()
			return rows.Err()
		},
		"Prepare": func(ctx context.Context, p *Pool) error {
			stmt, err := p.PrepareContext(ctx, "x")
			if err != nil {
				return err
			}
			return stmt.Close()
		},
		"Begin": func(ctx context.Context, p *Pool) error {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			return tx.Rollback()
		},
		"Commit":   ending((*sql.Tx).Commit),
		"Rollback": ending((*sql.Tx).Rollback),
	} {
		t.Run(name, func(t *testing.T) {
			armed.Store(false)
			var server *wireServer
			dial := func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := server.dial(ctx, network, address)
				return brittleConn{c.(*memconn.Conn), &armed}, err
			}
			inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				server = s
				askWire(t.Context(), p, "x").want(t, 0, nil) // so that no look at the socket comes first
				armed.Store(name != "Commit" && name != "Rollback")
				var failed error
				v := recovered(func() { failed = call(t.Context(), p) })
				if v != "brittle" && (failed == nil || !strings.Contains(failed.Error(), "brittle")) {
					t.Errorf("the panic became %v, %v", v, failed)
				}
				for range 3 { // each would be stuck if the pool, or database/sql, had lost a connection
					askWire(t.Context(), p, "x").want(t, 0, nil)
				}
				if c := p.Stats().Closed; c.Unclean != 1 {
					t.Errorf("closed %+v", c)
				}
			}, WithDialFunc(dial))
		})
	}
}

// TestPanicInALook has it panic while the pool makes sure that the server is
// still there: the caller gets another connection.
func TestPanicInALook(t *testing.T) {
	var armed atomic.Bool
	var server *wireServer
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := server.dial(ctx, network, address)
		return brittleConn{c.(*memconn.Conn), &armed}, err
	}
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		server = s
		for range 3 {
			askWire(t.Context(), p, "x").want(t, 0, nil)
			time.Sleep(pgdriver.FreshFor)
			armed.Store(true)
		}
		if st := p.Stats(); st.OpenedCount != 3 || armed.Load() != true {
			t.Errorf("%d opened", st.OpenedCount)
		}
		armed.Store(false)
	}, WithDialFunc(dial))
}

// TestPanicInADial makes a panic of the user's functions a failed dial, said
// once with its stack.
func TestPanicInADial(t *testing.T) {
	var dials, supplies atomic.Int32
	var server *wireServer
	for name, opts := range map[string][]Option{
		"dial": {WithDialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) <= 2 {
				panic("brittle")
			}
			return server.dial(ctx, network, address)
		})},
		"supply": {WithCredentials(func(context.Context) (Credentials, error) {
			if supplies.Add(1) <= 2 {
				panic("brittle")
			}
			return Credentials{}, nil
		})},
	} {
		t.Run(name, func(t *testing.T) {
			inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
				server = s
				a := askWire(t.Context(), p, "x")
				<-a.done
				if a.err != nil || a.after > 2*gate.MaxBackoff {
					t.Errorf("%v after %s", a.err, a.after)
				}
				if d := p.Stats().LastDialError; d == nil || d.Reason != "panic" || d.Message != "panic: brittle" {
					t.Errorf("%+v", d)
				}
				lines := log.with(t, "no new connections")
				if len(lines) != 1 || !strings.Contains(lines[0]["stack"].(string), "panic_test.go") {
					t.Errorf("%v", lines)
				}
			}, opts...)
		})
	}
}

// TestPanicInARenewal is the same for the call that answers a refused password.
func TestPanicInARenewal(t *testing.T) {
	var supplies atomic.Int32
	var server *wireServer
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		server = s
		s.refuseAll(pgdriver.StateInvalidPassword, "password authentication failed")
		a := askWire(t.Context(), p, "x")
		<-a.done
		if d := p.Stats().LastDialError; a.err != nil || d == nil || d.Reason != "panic" {
			t.Errorf("%v; last dial error %v", a.err, d)
		}
	}, WithCredentials(func(context.Context) (Credentials, error) {
		if supplies.Add(1) == 2 {
			server.refuseAll("", "")
			panic("brittle")
		}
		return Credentials{}, nil
	}))
}

// TestRawSpoilsTheConnection closes a connection that a function given to Raw
// has called bad, or has left by a panic.
func TestRawSpoilsTheConnection(t *testing.T) {
	for name, use := range map[string]func(any) error{
		"driver.ErrBadConn": func(any) error { return driver.ErrBadConn },
		"panic":             func(any) error { panic("raw") },
		"another error":     func(any) error { return errors.New("raw") },
	} {
		t.Run(name, func(t *testing.T) {
			inWire(t, sized(1, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
				c, err := p.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				recovered(func() { _ = c.Raw(use) })
				_ = c.Close()
				askWire(t.Context(), p, "x").want(t, 0, nil)
				want := uint64(1)
				if name == "another error" {
					want = 0
				}
				if n := p.Stats().Closed.Unclean; n != want {
					t.Errorf("%d closed, want %d", n, want)
				}
			})
		})
	}
}
