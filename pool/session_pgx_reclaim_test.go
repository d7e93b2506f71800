package pool

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
)

// TestReclaimSessionWithPgx has the function given to Session.WithPgx do nothing with the
// connection for too long: it is warned of, its connection goes to the next caller, and
// its session is told. One that does something now and then keeps it.
func TestReclaimSessionWithPgx(t *testing.T) {
	const long = 10 * time.Minute
	for name, test := range map[string]struct {
		between time.Duration // two uses
		taken   bool
	}{
		"does nothing": {long, true}, "goes on": {20 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			patient := func(c *config.Config) { reclaiming(orders(1, 0))(c); c.PoolTimeout = long }
			inWire(t, patient, func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
				var used error
				next := make(chan error, 1)
				err := p.WithSession(t.Context(), func(ctx context.Context, session *Session) error {
					return session.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
						go func() { next <- p.QueryRowContext(within(t, long), "select n").Scan(new(string)) }()
						for began := time.Now(); time.Since(began) < long && used == nil; {
							time.Sleep(test.between)
							used = c.Ping(ctx)
						}
						return nil
					})
				})
				if taken := used != nil; taken != test.taken || errors.Is(err, ErrReclaimed) != test.taken || !test.taken && err != nil {
					t.Errorf("the function's use: %v; the session's end: %v", used, err)
				}
				if err := <-next; (err == nil) != test.taken {
					t.Errorf("the next caller: %v", err)
				}
				if _, peak, _ := s.figures(); peak != 1 {
					t.Errorf("%d sessions at a time", peak)
				}
				if !log.contains("connection held too long") || !log.contains("session_pgx_reclaim_test.go") || log.contains("reclaimed") != test.taken {
					t.Errorf("the log does not tell who: %s", log.buf.String())
				}
			})
		})
	}
}
