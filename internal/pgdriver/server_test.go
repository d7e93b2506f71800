package pgdriver

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/memconn"
)

// server is one PostgreSQL session in memory. Each statement has one argument,
// a script of words that says what its execution does:
//
//	id=7        its identity, which every row of its answer carries
//	rows=3      how many rows it returns; 1 by default
//	pad=100     how many bytes each row has besides
//	sleep=5ms   how long it takes; it can be cancelled
//	fail=23505  it fails, with that code
//	late=40001  it fails when its transaction is committed
//	notice      it sends a notice, a parameter and a notification besides
//	stale       it is refused as stale, the first time, before it is executed
//	die=57P01   the session ends while it is executed, with that last word
//	vanish      the session ends while it is executed, without a word
type server struct {
	conn     net.Conn
	backend  *pgproto3.Backend
	prepared map[string]string
	script   script
	failed   bool
	refused  map[string]bool // ids that were refused as stale
	pending  string          // id executed in the present transaction
	late     string

	mu        sync.Mutex // guards all below
	canceled  chan struct{}
	started   map[string]int // executions that began, by id
	committed map[string]int // transactions that were committed, by id
	parses    int
	closes    int
	killed    bool
}

type script map[string]string

func parseScript(s string) script {
	out := script{}
	for word := range strings.FieldsSeq(s) {
		name, value, _ := strings.Cut(word, "=")
		out[name] = value
	}
	return out
}

func (s script) number(name string, otherwise int) int {
	if n, err := strconv.Atoi(s[name]); err == nil {
		return n
	}
	return otherwise
}

// connect opens a session on a server of its own, until the end of the test.
func connect(t *testing.T) (*server, *pgx.Conn) {
	t.Helper()
	s, cfg := newServer(t)
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, conn
}

// newServer returns a server for one session, and what it is dialed with.
func newServer(t *testing.T) (*server, *pgx.ConnConfig) {
	t.Helper()
	s := &server{prepared: map[string]string{}, refused: map[string]bool{}, canceled: make(chan struct{}, 1),
		started: map[string]int{}, committed: map[string]int{}}
	cfg, err := pgx.ParseConfig("postgres://user@127.0.0.1/db?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		client, server := memconn.Pipe(0)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.conn != nil { // for a cancel request, of which this server knows nothing
			return client, server.Close()
		}
		s.conn, s.backend = server, pgproto3.NewBackend(server, server)
		go s.serve(server)
		return client, nil
	}
	t.Cleanup(func() { s.kill(nil) })
	return s, cfg
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	if _, err := s.backend.ReceiveStartupMessage(); err != nil {
		return
	}
	s.backend.Send(&pgproto3.AuthenticationOk{})
	s.backend.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	s.backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for s.backend.Flush() == nil {
		msg, err := s.backend.Receive()
		if err != nil || !s.answer(msg) {
			return
		}
	}
}

// answer reports false when the session is over.
func (s *server) answer(msg pgproto3.FrontendMessage) bool {
	switch m := msg.(type) {
	case *pgproto3.Sync:
		s.sync()
		return true
	case *pgproto3.Terminate:
		return false
	case *pgproto3.Query:
		s.backend.Send(&pgproto3.EmptyQueryResponse{})
		s.backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		return true
	case *pgproto3.Close:
		s.forget(m.Name)
		s.backend.Send(&pgproto3.CloseComplete{})
		return true
	}
	if s.failed {
		return true
	}
	switch m := msg.(type) {
	case *pgproto3.Parse:
		s.parse(m)
	case *pgproto3.Describe:
		if m.ObjectType == 'S' {
			s.backend.Send(&pgproto3.ParameterDescription{ParameterOIDs: []uint32{25}})
		}
		s.backend.Send(&pgproto3.RowDescription{Fields: columns})
	case *pgproto3.Bind:
		s.bind(m)
	case *pgproto3.Execute:
		return s.execute()
	}
	return true
}

var columns = []pgproto3.FieldDescription{
	{Name: []byte("id"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1},
	{Name: []byte("pad"), DataTypeOID: 17, DataTypeSize: -1, TypeModifier: -1},
}

func (s *server) parse(m *pgproto3.Parse) {
	s.count(func() { s.parses++ })
	if strings.Contains(m.Query, "nonsense") {
		s.fail("42601")
		return
	}
	if _, twice := s.prepared[m.Name]; twice && m.Name != "" {
		s.fail("42P05")
		return
	}
	s.prepared[m.Name] = m.Query
	s.backend.Send(&pgproto3.ParseComplete{})
}

func (s *server) forget(name string) {
	delete(s.prepared, name)
	s.count(func() { s.closes++ })
}

func (s *server) bind(m *pgproto3.Bind) {
	if _, ok := s.prepared[m.PreparedStatement]; !ok {
		s.fail("26000")
		return
	}
	s.script = parseScript(string(m.Parameters[0]))
	if _, stale := s.script["stale"]; stale && !s.refused[s.script["id"]] {
		s.refused[s.script["id"]] = true
		s.fail("0A000")
		return
	}
	s.backend.Send(&pgproto3.BindComplete{})
}

// execute reports false when the session is over.
func (s *server) execute() bool {
	id := s.script["id"]
	s.count(func() { s.started[id]++ })
	if _, ok := s.script["notice"]; ok {
		s.backend.Send(&pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: "hello"})
		s.backend.Send(&pgproto3.ParameterStatus{Name: "TimeZone", Value: "UTC"})
		s.backend.Send(&pgproto3.NotificationResponse{PID: 2, Channel: "c", Payload: "p"})
	}
	if !s.sleep() {
		return false
	}
	if s.failed {
		return true
	}
	if code, ok := s.script["die"]; ok {
		s.backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "the end"})
		_ = s.backend.Flush()
		return false
	}
	if _, ok := s.script["vanish"]; ok {
		return false
	}
	if code, ok := s.script["fail"]; ok {
		s.fail(code)
		return true
	}
	rows := s.script.number("rows", 1)
	for range rows {
		s.backend.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(id), bytes.Repeat([]byte{'x'}, s.script.number("pad", 0))}})
	}
	s.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT " + strconv.Itoa(rows))})
	s.pending, s.late = id, s.script["late"]
	return true
}

// sleep reports false when the session is over. A cancel request that came
// before hits at once, as it does in PostgreSQL.
func (s *server) sleep() bool {
	d, _ := time.ParseDuration(s.script["sleep"])
	_ = s.backend.Flush()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.canceled:
		s.fail("57014")
	case <-timer.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.killed
}

func (s *server) fail(code string) {
	s.failed = true
	s.backend.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: code, Message: "no"})
}

// sync commits.
func (s *server) sync() {
	if s.late != "" && !s.failed {
		s.fail(s.late)
	}
	if s.pending != "" && !s.failed {
		s.count(func() { s.committed[s.pending]++ })
	}
	s.failed, s.pending, s.late = false, "", ""
	s.backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	_ = s.backend.Flush()
}

func (s *server) count(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
}

// cancel is a cancel request that has arrived.
func (s *server) cancel() {
	select {
	case s.canceled <- struct{}{}:
	default:
	}
}

// kill ends the session, with a last word or without, between two statements
// or, if one sleeps, with the connection's end.
func (s *server) kill(last *pgproto3.ErrorResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.killed || s.conn == nil {
		return
	}
	s.killed = true
	if last != nil {
		word, _ := last.Encode(nil)
		_, _ = s.conn.Write(word)
	}
	_ = s.conn.Close()
}

var shutdown = &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P01", Message: "terminating connection due to administrator command"}

// forgetAll drops every prepared statement, as DISCARD ALL does. Nothing runs meanwhile.
func (s *server) forgetAll() { clear(s.prepared) }

// uncancel absorbs a cancel request, as the owner of a session does before its next use.
func (s *server) uncancel() {
	select {
	case <-s.canceled:
	default:
	}
}

func (s *server) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.killed
}
