package pool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// The moments at which a server may end a session, by what it was sent.
var (
	atParse   = func(m pgproto3.FrontendMessage) bool { _, ok := m.(*pgproto3.Parse); return ok }
	atBind    = func(m pgproto3.FrontendMessage) bool { _, ok := m.(*pgproto3.Bind); return ok }
	atExecute = func(m pgproto3.FrontendMessage) bool { _, ok := m.(*pgproto3.Execute); return ok }
)

func atText(text string) func(pgproto3.FrontendMessage) bool {
	return func(m pgproto3.FrontendMessage) bool { q, ok := m.(*pgproto3.Query); return ok && q.String == text }
}

// second is the second time that a moment comes: before a connection is used
// the pool may have made a round trip of its own.
func second(at func(pgproto3.FrontendMessage) bool) func(pgproto3.FrontendMessage) bool {
	times := 0
	return func(m pgproto3.FrontendMessage) bool {
		if at(m) {
			times++
		}
		return times == 2
	}
}

// endOnce ends the session at a moment, once: with PostgreSQL's words for an
// administrator's command, or without a word.
func (s *wireServer) endOnce(at func(pgproto3.FrontendMessage) bool, words bool) (ended *bool) {
	ended = new(bool)
	s.with(func(f *wireFaults) {
		f.script = func(w *wireSession, m pgproto3.FrontendMessage) bool {
			if *ended || !at(m) {
				return true
			}
			*ended = true
			if words {
				w.Send(goodbye)
			}
			return false
		}
	})
	return ended
}

// wireCall is something that callers do.
type wireCall = func(context.Context, *Pool) error

var (
	ping  wireCall = func(ctx context.Context, p *Pool) error { return p.PingContext(ctx) }
	query wireCall = func(ctx context.Context, p *Pool) error { return p.QueryRowContext(ctx, "new").Scan(new(string)) }
	known wireCall = func(ctx context.Context, p *Pool) error { return p.QueryRowContext(ctx, "known").Scan(new(string)) }
	exec  wireCall = func(ctx context.Context, p *Pool) error { _, err := p.ExecContext(ctx, "change"); return err }
)

func prepare(ctx context.Context, p *Pool) error {
	s, err := p.PrepareContext(ctx, "new")
	if err != nil {
		return err
	}
	return s.Close()
}

// transaction begins one and commits it, with a statement in it unless that is "".
func transaction(statement string) wireCall {
	return func(ctx context.Context, p *Pool) error {
		tx, err := p.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if statement != "" {
			if err := tx.QueryRowContext(ctx, statement).Scan(new(string)); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
}

func ownConn(ctx context.Context, p *Pool) error {
	c, err := p.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.QueryRowContext(ctx, "known").Scan(new(string))
}

// usedConn is a connection of one's own on which something was done before.
func usedConn(ctx context.Context, p *Pool) error {
	c, err := p.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.ExecContext(ctx, "set"); err != nil {
		return err
	}
	return c.QueryRowContext(ctx, "known").Scan(new(string))
}

func lent(ctx context.Context, p *Pool) error {
	return p.DB().QueryRowContext(ctx, "known").Scan(new(string))
}

// TestRetry goes through the list in retry.go: when a connection ends under a
// statement, which callers notice.
func TestRetry(t *testing.T) {
	const words, silence = true, false
	for _, c := range []struct {
		what    string
		call    wireCall
		at      func(pgproto3.FrontendMessage) bool
		words   bool
		noticed bool
	}{
		{"ping", ping, second(atText("-- ping")), words, false},
		{"ping", ping, second(atText("-- ping")), silence, false},
		{"begin", transaction(""), atText("begin"), words, false},
		{"begin", transaction(""), atText("begin"), silence, false},
		{"prepare", prepare, atParse, words, false},
		{"prepare", prepare, atParse, silence, false},
		{"query, before the server looked at it", query, atParse, words, false},
		{"known query, before the server looked at it", known, atBind, words, false},
		{"known query, being executed", known, atExecute, words, true},
		{"known query, and nobody knows", known, atBind, silence, true},
		{"simple statement", exec, atText("change"), words, true},
		{"simple statement", exec, atText("change"), silence, true},
		{"in a transaction", transaction("known"), atBind, words, true},
		{"in a transaction", transaction("known"), atBind, silence, true},
		{"commit", transaction(""), atText("commit"), words, true},
		{"commit", transaction(""), atText("commit"), silence, true},
		{"on a connection of one's own, unused", ownConn, atBind, words, false},
		{"on a connection of one's own", usedConn, atBind, words, true},
	} {
		t.Run(fmt.Sprintf("%s, words %v", c.what, c.words), func(t *testing.T) {
			inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				if err := known(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // so that the pool looks before it uses the connection again
				ended := s.endOnce(c.at, c.words)
				err := c.call(t.Context(), p)
				if !*ended {
					t.Fatal("the moment did not come")
				}
				if (err != nil) != c.noticed {
					t.Errorf("got %v, want an error: %v", err, c.noticed)
				}
				if c.noticed && !c.words && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %v, want the end of the connection", err)
				}
				if c.noticed && c.words && c.what != "on a connection of one's own" && pgdriver.SQLState(err) != pgdriver.StateAdminShutdown {
					t.Errorf("got %v, want the server's words", err)
				}
				if err := known(t.Context(), p); err != nil {
					t.Errorf("the next caller: %v", err)
				}
			})
		})
	}
}

// TestJustServed ends sessions a moment after they were used. Whoever is next has
// one of them without a look, and must notice nothing all the same.
func TestJustServed(t *testing.T) {
	for mode, edit := range map[string]func(*config.Config){
		"":                func(*config.Config) {},
		"simple_protocol": func(c *config.Config) { c.DatabaseURL += "&default_query_exec_mode=simple_protocol" },
		"pooler":          func(c *config.Config) { c.Pooler = config.PoolerPgBouncer },
	} {
		for what, call := range map[string]wireCall{
			"ping": ping, "new query": query, "known query": known, "simple statement": exec, "prepare": prepare,
			"transaction": transaction("known"), "own connection": ownConn, "lent query": lent,
		} {
			t.Run(what+" "+mode, func(t *testing.T) {
				const size = 5
				edit := func(c *config.Config) { sized(size, 0)(c); edit(c) }
				inWire(t, edit, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
					openAll(t, p, size)
					s.kill(everyone)
					if err := call(t.Context(), p); err != nil {
						t.Error(err)
					}
					if n := p.Stats().Closed.Broken; n != size {
						t.Errorf("%d found broken", n)
					}
				})
			})
		}
	}
}

// TestStale has connections end that nobody uses; what the first to use them
// does matters not, simple statements included.
func TestStale(t *testing.T) {
	inWire(t, sized(5, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		openAll(t, p, 5)
		s.kill(everyone)
		if _, err := p.ExecContext(t.Context(), "change"); err != nil {
			t.Error(err)
		}
		if n := p.Stats().Closed.Broken; n != 5 {
			t.Errorf("%d found broken", n)
		}
	})
}

// TestCancelOvertakes has the first cancel requests come before their statement:
// they are repeated until it ends.
func TestCancelOvertakes(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		askWire(t.Context(), p, "x").want(t, 0, nil)
		s.with(func(f *wireFaults) { f.lost = 2 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a := askWire(ctx, p, "sleep 1h")
		a.want(t, time.Second+3*pgdriver.CancelAgain, context.DeadlineExceeded)
		if pgdriver.SQLState(a.err) != pgdriver.StateQueryCanceled {
			t.Errorf("%v does not hold the server's words", a.err)
		}
		if st := p.Stats(); st.OpenedCount != 1 || st.CancelCount != 1 || st.Idle != 1 {
			t.Errorf("opened %d, cancelled %d, idle %d", st.OpenedCount, st.CancelCount, st.Idle)
		}
	})
}

// TestCancelUnheard cannot tell the server: the connection is given up, and its
// slot stays taken as long as the statement runs.
func TestCancelUnheard(t *testing.T) {
	inWire(t, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.PoolTimeout = 1, 0, time.Minute }, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		askWire(t.Context(), p, "x").want(t, 0, nil)
		s.with(func(f *wireFaults) { f.lost = 1000 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		askWire(ctx, p, "sleep 20s").want(t, time.Second+pgdriver.CancelBound, context.DeadlineExceeded)
		if st := p.Stats(); st.Closing != 1 || st.Open() != 0 {
			t.Errorf("closing %d, open %d", st.Closing, st.Open())
		}
		askWire(t.Context(), p, "x").want(t, 20*time.Second-time.Second-pgdriver.CancelBound, nil)
		if _, peak, opened := s.figures(); peak != 1 || opened != 2 {
			t.Errorf("%d sessions at once, %d in all", peak, opened)
		}
	})
}

// TestCancelUnconfirmed knows not what became of a cancel request: the statement
// ended by itself, and the connection must not be used again all the same.
func TestCancelUnconfirmed(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		askWire(t.Context(), p, "x").want(t, 0, nil)
		s.deafen()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		askWire(ctx, p, "sleep 2s").want(t, time.Second+pgdriver.CancelBound, nil)
		if c := p.Stats().Closed; c.Canceled != 1 {
			t.Errorf("closed %+v", c)
		}
	})
}

// TestContextEndedBefore costs no connection: nothing was sent.
func TestContextEndedBefore(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		c := holdAll(t, p, 1)[0]
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 3 {
			if _, err := c.ExecContext(ctx, "x"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		var tx *sql.Tx
		tx, err := c.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "x"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		c.Close()
		if n := p.Stats().OpenedCount; n != 1 {
			t.Errorf("opened %d", n)
		}
	})
}

// TestContextEndsMeanwhile has the context end between the pool's look at it and
// the sending of the statement, which is cancelled, or is done before that.
func TestContextEndsMeanwhile(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		c := holdAll(t, p, 1)[0]
		if _, err := c.ExecContext(&endingContext{Context: t.Context()}, "sleep 1h"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := c.ExecContext(&endingContext{Context: t.Context()}, "x"); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		c.Close()
		if n := p.Stats().Idle; n != 1 {
			t.Errorf("%d idle, %+v", n, p.Stats().Closed)
		}
	})
}

// endingContext ends when it has been asked once.
type endingContext struct {
	context.Context
	asked bool
}

func (c *endingContext) Err() error {
	if !c.asked {
		c.asked = true
		return nil
	}
	return context.Canceled
}

func (*endingContext) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

// TestLateCancel has a cancel request arrive when its statement has ended: it
// must not hit the next one.
func TestLateCancel(t *testing.T) {
	inWire(t, sized(1, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		askWire(t.Context(), p, "x").want(t, 0, nil)
		s.with(func(f *wireFaults) {
			f.script = func(w *wireSession, m pgproto3.FrontendMessage) bool {
				if atText("hard of hearing")(m) {
					<-w.Canceled
					w.Canceled <- struct{}{}
				}
				return true
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		askWire(ctx, p, "hard of hearing").want(t, time.Second, nil)
		askWire(t.Context(), p, "sleep 1s").want(t, time.Second, nil)
		if st := p.Stats(); st.OpenedCount != 1 || st.CancelCount != 1 {
			t.Errorf("opened %d, cancelled %d", st.OpenedCount, st.CancelCount)
		}
	})
}
