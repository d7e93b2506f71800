package pool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/memconn"
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
	s        *wireServer
	backend  *pgproto3.Backend
	pid      uint32
	conn     net.Conn
	status   byte
	canceled chan struct{}
	prepared map[string]string // by name
	sql      string            // of the latest Parse or Bind
	failed   bool              // what follows is skipped until the next Sync
	args     []string          // of the latest Bind
	undone   []string          // what it wrote in the transaction that is open
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
	w := &wireSession{s: s, backend: pgproto3.NewBackend(c, c), conn: c, status: 'I', prepared: map[string]string{}, canceled: make(chan struct{}, 1)}
	start, err := w.backend.ReceiveStartupMessage()
	if _, ok := start.(*pgproto3.SSLRequest); ok && err == nil {
		_, _ = c.Write([]byte("N"))
		start, err = w.backend.ReceiveStartupMessage()
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
		w.send(refusal)
		return
	}
	defer s.leave(w)
	defer s.pause(func(f *wireFaults) time.Duration { return f.end })
	w.send(&pgproto3.AuthenticationOk{},
		&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"},
		&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"},
		&pgproto3.BackendKeyData{ProcessID: w.pid, SecretKey: []byte{1, 2, 3, 4}}, w.ready())
	for {
		msg, err := w.backend.Receive()
		if err != nil || !s.scripted(w, msg) || !w.answer(msg) {
			return
		}
	}
}

func (s *wireServer) admit(w *wireSession, start pgproto3.FrontendMessage) *pgproto3.ErrorResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := start.(*pgproto3.StartupMessage); ok && s.faults.unknown != "" {
		if _, asked := m.Parameters[s.faults.unknown]; asked {
			return fatal("42704", fmt.Sprintf("unrecognized configuration parameter %q", s.faults.unknown))
		}
	}
	if s.refuse != nil {
		return s.refuse
	}
	if refusal := s.full(); refusal != nil {
		return refusal
	}
	s.opened++
	w.pid = s.opened
	s.sessions[w.pid] = w
	s.peak = max(s.peak, len(s.sessions))
	return nil
}

func (s *wireServer) leave(w *wireSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, w.pid)
}

func (s *wireServer) cancel(pid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.sessions[pid]; w != nil {
		select {
		case w.canceled <- struct{}{}:
		default:
		}
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

func (w *wireSession) ready() *pgproto3.ReadyForQuery {
	return &pgproto3.ReadyForQuery{TxStatus: w.status}
}

func (w *wireSession) send(messages ...pgproto3.BackendMessage) {
	for _, m := range messages {
		w.backend.Send(m)
	}
	_ = w.backend.Flush()
}

// answer reports false when the session is over.
func (w *wireSession) answer(msg pgproto3.FrontendMessage) bool {
	if _, sync := msg.(*pgproto3.Sync); w.failed && !sync {
		return true
	}
	switch m := msg.(type) {
	case *pgproto3.Query:
		w.simple(m.String)
		w.settle()
	case *pgproto3.Parse:
		w.sql, w.prepared[m.Name] = m.Query, m.Query
		w.backend.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Describe:
		if m.ObjectType == 'S' {
			w.backend.Send(&pgproto3.ParameterDescription{ParameterOIDs: textOIDs(w.sql)})
		}
		w.backend.Send(oneColumn)
	case *pgproto3.Bind:
		w.sql, w.args = w.prepared[m.PreparedStatement], nil
		for _, value := range m.Parameters {
			w.args = append(w.args, string(value))
		}
		w.backend.Send(&pgproto3.BindComplete{})
	case *pgproto3.Close:
		w.backend.Send(&pgproto3.CloseComplete{})
	case *pgproto3.Execute:
		w.run(w.sql)
	case *pgproto3.Flush:
		w.send()
	case *pgproto3.Sync:
		w.failed = false
		w.settle()
	case *pgproto3.Terminate:
		return false
	}
	return true
}

var oneColumn = &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("n"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1}}}

// simple answers a query of the simple protocol.
func (w *wireSession) simple(sql string) {
	switch {
	case strings.HasPrefix(sql, "--") && w.hit():
		w.backend.Send(userCancel)
	case strings.HasPrefix(sql, "--"):
		w.backend.Send(&pgproto3.EmptyQueryResponse{})
	case sql == dial.CheckQuery:
		w.backend.Send(&pgproto3.RowDescription{Fields: append(oneColumn.Fields, oneColumn.Fields...)})
		w.backend.Send(&pgproto3.DataRow{Values: [][]byte{strconv.AppendUint(nil, uint64(w.pid), 10), []byte("30000")}})
		w.complete("SELECT 1")
	case strings.HasPrefix(sql, "begin"):
		w.status = 'T'
		w.complete("BEGIN")
	case sql == "commit", sql == "rollback":
		w.end(sql)
	default:
		w.backend.Send(oneColumn)
		w.run(sql)
	}
}

func (w *wireSession) complete(tag string) {
	w.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
}

func (w *wireSession) run(sql string) {
	if w.status == 'E' {
		w.fail(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "25P02", Message: "the transaction is aborted"})
		return
	}
	if strings.HasPrefix(sql, "begin") {
		if refusal := w.s.refusesBegin(); refusal != nil {
			w.failed = true
			w.backend.Send(refusal)
			return
		}
		w.status = 'T'
		w.complete("BEGIN")
		return
	}
	if d, ok := strings.CutPrefix(sql, "sleep "); ok && !w.sleep(d) {
		w.backend.Send(userCancel)
		return
	}
	if len(w.args) > 0 && strings.Contains(sql, "$1") {
		w.runWith(sql)
		return
	}
	w.backend.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("1")}})
	w.complete("SELECT 1")
}

// sleep reports false when it was cancelled.
func (w *wireSession) sleep(duration string) bool {
	d, _ := time.ParseDuration(duration)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.canceled:
		return false
	}
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
