package pool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// silence has the server answer nothing any more to the sessions that exist, from
// the first message that begins it, as when the network between is gone. New sessions are answered.
func (s *wireServer) silence(begins func(pgproto3.FrontendMessage) bool) (end func()) {
	over := make(chan struct{})
	_, _, last := s.figures()
	s.with(func(f *wireFaults) {
		f.script = func(w *wireSession, msg pgproto3.FrontendMessage) bool {
			if int(w.PID) <= last && begins(msg) {
				<-over
				return false
			}
			return true
		}
	})
	return func() { close(over) }
}

// A network that has gone silent is noticed by the ping that follows 30 s without
// a word; who listens is told, and does on another connection.
func TestListenThroughASilentNetwork(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		e := listenTo(t, p, "c")
		defer s.silence(func(pgproto3.FrontendMessage) bool { return true })()
		started := time.Now()
		e.want(ListeningAgain, "", "")
		if d := time.Since(started); d != listenCheck+2*pgdriver.CancelBound { // the ping, and its cancelling
			t.Errorf("noticed after %s", d)
		}
		e.end()
	})
}

// LISTEN itself may meet the silence: it takes no longer than a dial may.
func TestListenStatementThatIsNotAnswered(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		if err := p.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer s.silence(func(msg pgproto3.FrontendMessage) bool {
			q, ok := msg.(*pgproto3.Query)
			return ok && strings.HasPrefix(q.String, "listen ")
		})()
		started := time.Now()
		e := listenTo(t, p, "c")
		if d := time.Since(started); d < p.cfg.ConnectTimeout || d > p.cfg.ConnectTimeout+2*pgdriver.CancelBound {
			t.Errorf("listened after %s", d)
		}
		e.end()
	})
}

// A limit of 1 leaves no connection to a listener: it gives up its own at once,
// and takes one when the limit grows.
func TestListenerLetsGoWhenTheLimitIsOne(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, _ *wireServer, log *logLines) {
		e := listenTo(t, p, "c")
		if err := p.Resize(1, 0); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if err := p.PingContext(t.Context()); err != nil || time.Since(started) != 0 {
			t.Errorf("%v after %s", err, time.Since(started))
		}
		if n := p.Stats().InUse; n != 0 {
			t.Errorf("%d in use", n)
		}
		time.Sleep(time.Minute)
		if err := p.Resize(2, 0); err != nil {
			t.Fatal(err)
		}
		started = time.Now()
		e.want(ListeningAgain, "", "")
		if d := time.Since(started); d > lastListenPause {
			t.Errorf("listens again after %s", d)
		}
		if n := len(log.with(t, "listening interrupted")); n != 1 {
			t.Errorf("%d lines say that it was interrupted", n)
		}
		e.end()
	})
}

// Recycle replaces the connection that listens like all others, and tells the gap.
func TestRecycleReplacesTheListener(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
		e := listenTo(t, p, "c")
		p.Recycle()
		started := time.Now()
		e.want(ListeningAgain, "", "")
		synctest.Wait()
		if open, _, opened := s.figures(); open != 1 || opened != 2 || time.Since(started) != 0 {
			t.Errorf("%d open, %d opened, after %s", open, opened, time.Since(started))
		}
		if n := len(log.with(t, "listening interrupted")); n != 0 {
			t.Errorf("%d warnings about what was asked for", n)
		}
		e.end()
		if c := p.Stats().Closed; c.Recycled != 1 || c.Unclean != 0 {
			t.Errorf("closed: %+v", c)
		}
	})
}

// The last who listens closes the session on purpose: nothing was unclean.
func TestListenersSessionIsNotUnclean(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		listenTo(t, p, "c").end()
		synctest.Wait()
		if c := p.Stats().Closed; c.Surplus != 1 || c.Total() != 1 || s.live() != 0 {
			t.Errorf("closed: %+v, %d sessions", c, s.live())
		}
	})
}

// A function that sets OnNotification would take all notifications for itself:
// Listen says so at once, also when it asked before anything was dialed.
func TestListenWithAnothersOnNotification(t *testing.T) {
	take := WithConnConfig(func(cc *pgx.ConnConfig) { cc.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {} })
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		for range 2 {
			started := time.Now()
			err := p.Listen(t.Context(), []string{"c"}, func(n Notification) { t.Errorf("heard %+v", n) })
			if !errors.Is(err, errListenDeaf) || !strings.Contains(err.Error(), "OnNotification") || time.Since(started) != 0 {
				t.Errorf("%v after %s", err, time.Since(started))
			}
			synctest.Wait()
		}
		if _, _, opened := s.figures(); opened != 1 {
			t.Errorf("%d sessions, only to say no", opened)
		}
	}, take)
}

// Who is told that the pool is closed is told which.
func TestClosedNamesThePool(t *testing.T) {
	inWire(t, sized(2, 0), func(t *testing.T, p *Pool, _ *wireServer, _ *logLines) {
		e := listenTo(t, p, "c")
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		task := p.Background(t.Context(), "late", func(context.Context, *Session) error { return nil })
		for what, err := range map[string]error{
			"a listener":   <-e.over,
			"a late one":   p.Listen(t.Context(), []string{"c"}, nil),
			"a late task":  task.Wait(t.Context()),
			"a late query": p.PingContext(t.Context()),
		} {
			if !errors.Is(err, gate.ErrClosed) || !strings.HasPrefix(err.Error(), `pool "db": closed`) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// end has it listen no more, and waits until the connection is gone.
func (e *ear) end() {
	e.t.Helper()
	e.stop()
	e.wantEnd(context.Canceled)
	synctest.Wait()
}
