// Package memserver has what servers in memory have in common that speak
// PostgreSQL's protocol over memconn, for tests in virtual time.
package memserver

import (
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// Session is a client's session: it follows the protocol, and its Host says what
// statements do. It is its server goroutine's, but for Cancel.
type Session struct {
	Conn     net.Conn
	Backend  *pgproto3.Backend
	PID      uint32
	Status   byte          // of its transaction: 'I', 'T' or 'E'
	SQL      string        // of the latest Parse or Bind
	Args     []string      // of the latest Bind
	Failed   bool          // what follows is skipped until the next Sync
	Canceled chan struct{} // receives when a cancel request has come

	prepared map[string]string // texts by name
}

// Host is the server of a session, which answers with Backend.Send or Send.
type Host interface {
	Query(sql string)   // of the simple protocol
	Describe(kind byte) // 'S' for a statement, 'P' for a portal
	Execute(sql string) // of the extended protocol
	Settle()            // the transaction's end, or not: to say Ready
}

// NewSession returns the session of a client who connects.
func NewSession(c net.Conn) *Session {
	return &Session{Conn: c, Backend: pgproto3.NewBackend(c, c), Status: 'I', Canceled: make(chan struct{}, 1), prepared: map[string]string{}}
}

// Cancel is a cancel request. It may be called concurrently.
func (s *Session) Cancel() {
	select {
	case s.Canceled <- struct{}{}:
	default:
	}
}

// Send sends messages, and what was kept until now.
func (s *Session) Send(messages ...pgproto3.BackendMessage) {
	for _, m := range messages {
		s.Backend.Send(m)
	}
	_ = s.Backend.Flush()
}

// Ready says that the session is ready.
func (s *Session) Ready() *pgproto3.ReadyForQuery {
	return &pgproto3.ReadyForQuery{TxStatus: s.Status}
}

// Welcome lets the client in.
func (s *Session) Welcome() {
	s.Send(&pgproto3.AuthenticationOk{},
		&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"},
		&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"},
		&pgproto3.BackendKeyData{ProcessID: s.PID, SecretKey: []byte{1, 2, 3, 4}}, s.Ready())
}

// Introduce answers dial.CheckQuery, by which the pool asks a new session who it is.
func (s *Session) Introduce() {
	s.Backend.Send(Columns(2))
	s.Row(strconv.AppendUint(nil, uint64(s.PID), 10), []byte("30000"))
}

// Row answers a statement with one row.
func (s *Session) Row(values ...[]byte) {
	s.Backend.Send(&pgproto3.DataRow{Values: values})
	s.Complete("SELECT 1")
}

// Complete ends the answer to a statement.
func (s *Session) Complete(tag string) {
	s.Backend.Send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
}

// Columns describes rows of n texts.
func Columns(n int) *pgproto3.RowDescription {
	d := &pgproto3.RowDescription{}
	for range n {
		d.Fields = append(d.Fields, pgproto3.FieldDescription{Name: []byte("n"), DataTypeOID: pgtype.TextOID, DataTypeSize: -1, TypeModifier: -1})
	}
	return d
}

// UserCancel is the answer to a statement that was cancelled.
var UserCancel = &pgproto3.ErrorResponse{Severity: "ERROR", Code: pgdriver.StateQueryCanceled, Message: "canceling statement due to user request"}

// Fatal is a server's last word.
func Fatal(code, message string) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message}
}

// HangUp ends the session with a last word. It may be called concurrently.
func (s *Session) HangUp(word *pgproto3.ErrorResponse) {
	b, err := word.Encode(nil)
	if err != nil {
		panic(err) // it is short
	}
	_, _ = s.Conn.Write(b)
	_ = s.Conn.Close()
}

// Sleep takes a statement's time, as time.ParseDuration reads it, and reports false
// when it was cancelled.
func (s *Session) Sleep(duration string) bool {
	d, _ := time.ParseDuration(duration)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.Canceled:
		return false
	}
}

// Answer answers a message, and reports false when the session is over.
func (s *Session) Answer(h Host, msg pgproto3.FrontendMessage) bool {
	if _, sync := msg.(*pgproto3.Sync); s.Failed && !sync {
		return true
	}
	switch m := msg.(type) {
	case *pgproto3.Query:
		h.Query(m.String)
		s.Failed = false
		h.Settle()
	case *pgproto3.Parse:
		s.SQL, s.prepared[m.Name] = m.Query, m.Query
		s.Backend.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Describe:
		h.Describe(m.ObjectType)
	case *pgproto3.Bind:
		s.bind(m)
	case *pgproto3.Close:
		s.Backend.Send(&pgproto3.CloseComplete{})
	case *pgproto3.Execute:
		h.Execute(s.SQL)
	case *pgproto3.Flush:
		s.Send()
	case *pgproto3.Sync:
		s.Failed = false
		h.Settle()
	case *pgproto3.Terminate:
		return false
	}
	return true
}

func (s *Session) bind(m *pgproto3.Bind) {
	s.SQL, s.Args = s.prepared[m.PreparedStatement], nil
	for _, value := range m.Parameters {
		s.Args = append(s.Args, string(value))
	}
	s.Backend.Send(&pgproto3.BindComplete{})
}
