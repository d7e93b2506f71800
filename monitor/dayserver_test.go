package monitor

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/memconn"
)

// dayServer speaks as much of PostgreSQL's protocol as a day needs, in virtual
// time: "work" and a duration takes that long, "locked" waits while a table is
// locked, nothing takes longer than 30 s, and everything is answered without rows.
type dayServer struct {
	mu       sync.Mutex // guards all below
	down     bool
	room     int           // sessions that are admitted
	locked   chan struct{} // while a table is locked; closed with the lock's end
	sessions map[uint32]*daySession
	last     uint32
}

type daySession struct {
	s        *dayServer
	backend  *pgproto3.Backend
	conn     net.Conn
	pid      uint32
	status   byte
	canceled chan struct{}
	prepared map[string]string // texts by name
	sql      string            // of the latest Bind
	failed   bool              // what follows is skipped until the next Sync
}

func (s *dayServer) set(f func(s *dayServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *dayServer) dial(context.Context, string, string) (net.Conn, error) {
	client, server := memconn.Pipe(0)
	go s.serve(server)
	return client, nil
}

var shutdown = &pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P01", Message: "terminating connection due to administrator command"}

// end ends all sessions as an administrator does.
func (s *dayServer) end() {
	b, err := shutdown.Encode(nil)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.sessions {
		_, _ = w.conn.Write(b)
		_ = w.conn.Close()
	}
	clear(s.sessions)
}

func (s *dayServer) serve(c net.Conn) {
	defer c.Close()
	w := &daySession{s: s, backend: pgproto3.NewBackend(c, c), conn: c, status: 'I', canceled: make(chan struct{}, 1), prepared: map[string]string{}}
	start, err := w.backend.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if cancel, ok := start.(*pgproto3.CancelRequest); ok {
		s.cancel(cancel.ProcessID)
		return
	}
	if refusal := s.admit(w); refusal != nil {
		w.send(refusal)
		return
	}
	defer s.set(func(s *dayServer) { delete(s.sessions, w.pid) })
	w.send(&pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"},
		&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"}, &pgproto3.BackendKeyData{ProcessID: w.pid, SecretKey: make([]byte, 4)}, w.ready())
	for {
		m, err := w.backend.Receive()
		if err != nil || !w.answer(m) {
			return
		}
	}
}

func (s *dayServer) admit(w *daySession) *pgproto3.ErrorResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down:
		return &pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "the database system is starting up"}
	case len(s.sessions) >= s.room:
		return &pgproto3.ErrorResponse{Severity: "FATAL", Code: "53300", Message: "sorry, too many clients already"}
	}
	s.last++
	w.pid = s.last
	s.sessions[w.pid] = w
	return nil
}

func (s *dayServer) cancel(pid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.sessions[pid]; w != nil {
		select {
		case w.canceled <- struct{}{}:
		default:
		}
	}
}

func (w *daySession) ready() *pgproto3.ReadyForQuery {
	return &pgproto3.ReadyForQuery{TxStatus: w.status}
}

func (w *daySession) send(messages ...pgproto3.BackendMessage) {
	for _, m := range messages {
		w.backend.Send(m)
	}
	_ = w.backend.Flush()
}

// answer reports false when the session is over.
func (w *daySession) answer(m pgproto3.FrontendMessage) bool {
	if _, sync := m.(*pgproto3.Sync); w.failed && !sync {
		return true
	}
	switch m := m.(type) {
	case *pgproto3.Query:
		if m.String == dial.CheckQuery {
			w.introduce()
		} else {
			w.run(m.String)
		}
		w.failed = false
		w.send(w.ready())
	case *pgproto3.Parse:
		w.prepared[m.Name] = m.Query
		w.backend.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Describe:
		if m.ObjectType == 'S' {
			w.backend.Send(&pgproto3.ParameterDescription{})
		}
		w.backend.Send(&pgproto3.NoData{})
	case *pgproto3.Bind:
		w.sql = w.prepared[m.PreparedStatement]
		w.backend.Send(&pgproto3.BindComplete{})
	case *pgproto3.Close:
		w.backend.Send(&pgproto3.CloseComplete{})
	case *pgproto3.Execute:
		w.run(w.sql)
	case *pgproto3.Flush:
		w.send()
	case *pgproto3.Sync:
		w.failed = false
		w.send(w.ready())
	case *pgproto3.Terminate:
		return false
	}
	return true
}

// introduce answers what the pool asks a new session.
func (w *daySession) introduce() {
	column := pgproto3.FieldDescription{Name: []byte("?column?"), DataTypeOID: pgtype.TextOID, DataTypeSize: -1, TypeModifier: -1}
	w.backend.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{column, column}})
	w.backend.Send(&pgproto3.DataRow{Values: [][]byte{strconv.AppendUint(nil, uint64(w.pid), 10), []byte("30000")}})
	w.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
}

func (w *daySession) run(sql string) {
	switch {
	case strings.HasPrefix(sql, "--"), sql == "":
		w.backend.Send(&pgproto3.EmptyQueryResponse{})
		return
	case strings.HasPrefix(sql, "begin"):
		w.status = 'T'
	case sql == "commit", sql == "rollback":
		w.status = 'I'
	default:
		if why := w.spend(sql); why != "" {
			w.fail(why)
			return
		}
	}
	w.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte(strings.ToUpper(strings.Fields(sql)[0]))})
}

func (w *daySession) fail(why string) {
	w.failed = true
	if w.status == 'T' {
		w.status = 'E'
	}
	w.backend.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "57014", Message: "canceling statement due to " + why})
}

// spend takes the statement's time, and says why it was cancelled, if it was.
func (w *daySession) spend(sql string) (why string) {
	var lock chan struct{}
	w.s.set(func(s *dayServer) { lock = s.locked })
	takes := time.Duration(0)
	if d, ok := strings.CutPrefix(sql, "work "); ok {
		takes, _ = time.ParseDuration(d)
	} else if sql == "locked" && lock != nil {
		takes = time.Hour
	}
	work, timeout := time.NewTimer(takes), time.NewTimer(30*time.Second)
	defer work.Stop()
	defer timeout.Stop()
	select {
	case <-work.C:
	case <-lock:
	case <-timeout.C:
		return "statement timeout"
	case <-w.canceled:
		return "user request"
	}
	return ""
}
