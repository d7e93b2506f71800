package pool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/memconn"
	"github.com/dbpool-go/dbpool/internal/memserver"
)

// wireServer speaks just enough of PostgreSQL's protocol over memconn for the
// whole pool to run in virtual time. It understands begin, commit, rollback,
// sleep followed by a duration, and answers everything else with one row: 1, or the
// first argument where there is one. See wireStore for those with arguments.
type wireServer struct {
	mu       sync.Mutex
	refuse   *pgproto3.ErrorResponse // to newcomers, if set
	deaf     bool                    // dials hang
	faults   wireFaults
	store    wireStore
	sessions map[uint32]*wireSession
	peak     int
	opened   uint32
}

type wireSession struct {
	*memserver.Session
	s      *wireServer
	undone []string // what it wrote in the transaction that is open
}

func newWireServer() *wireServer { return &wireServer{sessions: make(map[uint32]*wireSession)} }

func (s *wireServer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	deaf := s.deaf
	s.faults.dials = append(s.faults.dials, time.Now())
	s.mu.Unlock()
	if deaf {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	client, server := memconn.Pipe(s.lagNow())
	go s.serve(server)
	return client, nil
}

func (s *wireServer) serve(c net.Conn) {
	defer c.Close()
	w := &wireSession{Session: memserver.NewSession(c), s: s}
	start, err := w.Backend.ReceiveStartupMessage()
	if _, ok := start.(*pgproto3.SSLRequest); ok && err == nil {
		_, _ = c.Write([]byte("N"))
		start, err = w.Backend.ReceiveStartupMessage()
	}
	if err != nil {
		return
	}
	if cancel, ok := start.(*pgproto3.CancelRequest); ok {
		if !s.loseCancel() {
			s.cancel(cancel.ProcessID)
		}
		return
	}
	s.pause(func(f *wireFaults) time.Duration { return f.connect })
	if refusal := s.admit(w, start); refusal != nil {
		w.Send(refusal)
		return
	}
	defer s.leave(w)
	defer s.pause(func(f *wireFaults) time.Duration { return f.end })
	w.Welcome()
	for {
		msg, err := w.Backend.Receive()
		if err != nil || !s.scripted(w, msg) || !w.Answer(w, msg) {
			return
		}
	}
}

func (s *wireServer) admit(w *wireSession, start pgproto3.FrontendMessage) *pgproto3.ErrorResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := start.(*pgproto3.StartupMessage); ok && s.faults.unknown != "" {
		if _, asked := m.Parameters[s.faults.unknown]; asked {
			return memserver.Fatal("42704", fmt.Sprintf("unrecognized configuration parameter %q", s.faults.unknown))
		}
	}
	if s.refuse != nil {
		return s.refuse
	}
	if refusal := s.full(); refusal != nil {
		return refusal
	}
	s.opened++
	w.PID = s.opened
	s.sessions[w.PID] = w
	s.peak = max(s.peak, len(s.sessions))
	return nil
}

func (s *wireServer) leave(w *wireSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, w.PID)
}

func (s *wireServer) cancel(pid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.sessions[pid]; w != nil {
		w.Cancel()
	}
}

// refuseAll has the server refuse newcomers; "" lets them in again.
func (s *wireServer) refuseAll(code, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = nil
	if code != "" {
		s.refuse = &pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: message}
	}
}

func (s *wireServer) figures() (open, peak, opened int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions), s.peak, int(s.opened)
}

// Describe implements memserver.Host.
func (w *wireSession) Describe(kind byte) {
	if kind == 'S' {
		w.Backend.Send(&pgproto3.ParameterDescription{ParameterOIDs: textOIDs(w.SQL)})
	}
	w.Backend.Send(oneColumn)
}

var oneColumn = memserver.Columns(1)

// Query implements memserver.Host.
func (w *wireSession) Query(sql string) {
	switch {
	case strings.HasPrefix(sql, "--") && w.hit():
		w.Backend.Send(memserver.UserCancel)
	case strings.HasPrefix(sql, "--"):
		w.Backend.Send(&pgproto3.EmptyQueryResponse{})
	case sql == dial.CheckQuery:
		w.Introduce()
	case strings.HasPrefix(sql, "begin"):
		w.Status = 'T'
		w.Complete("BEGIN")
	case sql == "commit", sql == "rollback":
		w.end(sql)
	default:
		w.Backend.Send(oneColumn)
		w.Execute(sql)
	}
}

// Execute implements memserver.Host.
func (w *wireSession) Execute(sql string) {
	if w.Status == 'E' {
		w.fail(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "25P02", Message: "the transaction is aborted"})
		return
	}
	if strings.HasPrefix(sql, "begin") {
		if refusal := w.s.refusesBegin(); refusal != nil {
			w.Failed = true
			w.Backend.Send(refusal)
			return
		}
		w.Status = 'T'
		w.Complete("BEGIN")
		return
	}
	if d, ok := strings.CutPrefix(sql, "sleep "); ok && !w.Sleep(d) {
		w.Backend.Send(memserver.UserCancel)
		return
	}
	if len(w.Args) > 0 && strings.Contains(sql, "$1") {
		w.runWith(sql)
		return
	}
	w.Row([]byte("1"))
}

// inWire runs test in virtual time on an opened pool whose server is s. At the
// end nothing may be held, and as many sessions have ended as began.
func inWire(t *testing.T, edit func(*config.Config), test func(t *testing.T, p *Pool, s *wireServer, log *logLines), opts ...Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, log := newWireServer(), &logLines{}
		cfg := config.Default()
		cfg.DatabaseURL = "postgres://user:hush-hush@127.0.0.1:5432/orders?sslmode=disable"
		cfg.Fleet = config.FleetOff
		if edit != nil {
			edit(&cfg)
		}
		opts = append([]Option{WithDialFunc(s.dial), WithLogger(slog.New(slog.NewJSONHandler(log, nil)))}, opts...)
		p, err := Open(cfg, opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close() // also when the test has given up
		test(t, p, s, log)
		synctest.Wait()
		if st := p.Stats(); st.InUse+st.Waiting != 0 {
			t.Errorf("left behind: %d in use, %d waiting; %v", st.InUse, st.Waiting, p.Holders(0))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		st := p.Stats()
		wantConsistent(t, st)
		open, _, opened := s.figures()
		if st.OpenedCount != st.Closed.Total() || open != 0 || st.Dialing+st.Closing+st.Open() != 0 {
			t.Errorf("opened %d (server: %d), closed %d, open %d: %+v", st.OpenedCount, opened, st.Closed.Total(), open, st)
		}
		if log.contains("hush-hush") {
			t.Error("the password is in the log")
		}
	})
}

func (l *logLines) contains(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), text)
}

// sized sets the size of the pool.
func sized(poolSize, overflow int) func(*config.Config) {
	return func(c *config.Config) { c.PoolSize, c.MaxOverflow = poolSize, overflow }
}

func TestWireServer(t *testing.T) {
	inWire(t, sized(2, 1), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		started := time.Now()
		var n string
		if err := p.QueryRowContext(t.Context(), "sleep 1s").Scan(&n); err != nil || n != "1" || time.Since(started) != time.Second {
			t.Errorf("%q, %v, after %s", n, err, time.Since(started))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.ExecContext(ctx, "sleep 1m"); err == nil || time.Since(started) != 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(started))
		}
		tx, err := p.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "update"); err != nil {
			t.Error(err)
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		if err := tx.Commit(); !errors.Is(err, sql.ErrTxDone) {
			t.Error(err)
		}
		if open, peak, opened := s.figures(); open != 1 || peak != 1 || opened != 1 {
			t.Error(open, peak, opened)
		}
		if st := p.Stats(); st.CancelCount != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// deafen has further dials hang.
func (s *wireServer) deafen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = true
}
