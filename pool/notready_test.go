package pool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestReadySaysEverythingOnce has each cause for which Ready fails, and Ready asked
// again with a context that has ended: the name, the cause and the remedy are each
// in the error once.
func TestReadySaysEverythingOnce(t *testing.T) {
	const once = `pool "db": `
	for name, c := range map[string]struct {
		prepare        func(s *wireServer, p *Pool)
		kind           error // nil: a failed dial
		remedy, absent string
	}{
		"starting up": {func(s *wireServer, _ *Pool) { s.refuseAll("57P03", "the database system is starting up") },
			ErrPoolTimeout, "the pool goes on trying; if it lasts, see the server's log", "; last dial error:"},
		"wrong password": {func(s *wireServer, _ *Pool) { s.refuseAll("28P01", "password authentication failed") },
			nil, "check the user and password in DATABASE_URL, and pg_hba.conf", "; last dial error:"},
		"full": {func(s *wireServer, _ *Pool) { s.refuseAll("53300", "sorry, too many clients already") },
			ErrServerFull, "lower DB_POOL_SIZE and DB_MAX_OVERFLOW, end other sessions, or raise max_connections", "; last dial error:"},
		"hung": {func(s *wireServer, _ *Pool) { s.deafen() },
			ErrPoolTimeout, "check the network, firewalls and DB_CONNECT_TIMEOUT", "; last dial error:"},
		"closed": {func(_ *wireServer, p *Pool) { p.Close() },
			ErrClosed, "closed", "dial"},
		"closed after a failed dial": {func(s *wireServer, p *Pool) {
			s.refuseAll("28P01", "password authentication failed")
			_ = p.PingContext(context.Background())
			p.Close()
		}, ErrClosed, "closed", "dial"},
	} {
		t.Run(name, func(t *testing.T) {
			inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				c.prepare(s, p)
				ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
				defer cancel()
				err := p.Ready(ctx)
				kind := c.kind
				var dial *DialError
				if kind == nil && errors.As(err, &dial) {
					kind = dial
				}
				wantInError(t, err, kind, once, "not ready: ", c.remedy)
				if strings.Contains(err.Error(), c.absent) {
					t.Errorf("%q is in it: %v", c.absent, err)
				}
				cancel()
				again := p.Ready(ctx)
				if c.kind != ErrClosed {
					kind = ctx.Err()
				}
				wantInError(t, again, kind, once, "not ready: ", c.remedy)
			})
		})
	}
}

// TestReadyForgetsDialsThatSucceededSince has the context end after the server has
// recovered: a failed dial of long ago is not the cause.
func TestReadyForgetsDialsThatSucceededSince(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.refuseAll("53300", "sorry, too many clients already")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_ = p.Ready(ctx)
		s.refuseAll("", "")
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.Ready(ctx); err == nil || strings.Contains(err.Error(), "dial") {
			t.Error(err)
		}
	})
}
