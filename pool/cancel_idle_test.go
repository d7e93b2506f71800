package pool

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// TestCancelOfWaiting ends contexts while the server runs nothing: there is
// nothing to cancel, so the wait ends at once and no request is sent.
func TestCancelOfWaiting(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		c := holdAll(t, p, 1)[0]
		defer c.Close()
		for range 3 {
			started := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := natively(c, func(c *pgx.Conn) error { _, err := c.WaitForNotification(ctx); return err })
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != time.Second {
				t.Errorf("%v after %s", err, time.Since(started))
			}
		}
		if _, err := c.ExecContext(t.Context(), "x"); err != nil {
			t.Errorf("the connection was not kept: %v", err)
		}
		if n := len(s.dialTimes(time.Time{})); n != 1 || p.Stats().CancelCount != 0 {
			t.Errorf("%d connections to the server, %d cancelled", n, p.Stats().CancelCount)
		}
	})
}

// natively uses pgx as a function given to sql.Conn.Raw may.
func natively(c *sql.Conn, use func(*pgx.Conn) error) error {
	return c.Raw(func(dc any) error { return use(dc.(interface{ Conn() *pgx.Conn }).Conn()) })
}

// TestCancelOfStalledCopy ends the context of a COPY whose source says nothing.
// The server does not look for requests while it waits for data.
func TestCancelOfStalledCopy(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		s.with(func(f *wireFaults) { f.script = copyIn })
		c := holdAll(t, p, 1)[0]
		defer c.Close()
		started := time.Now()
		err := natively(c, func(c *pgx.Conn) error {
			_, err := c.PgConn().CopyFrom(within(t, time.Second), stalledReader{t.Context()}, "copy t from stdin")
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) > time.Second+2*pgdriver.CancelAgain {
			t.Errorf("%v after %s", err, time.Since(started))
		}
	})
}

// stalledReader gives its data when nobody wants it any more.
type stalledReader struct{ ctx context.Context }

func (r stalledReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, io.EOF
}

// TestCancelOfForgetting ends the context of a statement while pgx has the
// server forget prepared statements, which it does not answer.
func TestCancelOfForgetting(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		if err := known(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		s.with(func(f *wireFaults) {
			f.script = func(w *wireSession, m pgproto3.FrontendMessage) bool {
				switch m.(type) {
				case *pgproto3.Bind: // a table has changed: pgx forgets its statement
					w.Backend.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "0A000", Message: "cached plan must not change result type"})
				case *pgproto3.Close:
					time.Sleep(3 * time.Second)
				}
				return true
			}
		})
		_ = known(t.Context(), p)
		started := time.Now()
		err := known(within(t, time.Second), p)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) > time.Second+2*pgdriver.CancelAgain {
			t.Errorf("%v after %s", err, time.Since(started))
		}
		if n := p.Stats().CancelCount; n != 0 {
			t.Errorf("%d cancelled", n)
		}
	})
}
