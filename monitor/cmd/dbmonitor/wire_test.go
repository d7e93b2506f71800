package main

import (
	"context"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/memconn"
	"github.com/dbpool-go/dbpool/monitor/serverview"
)

// wire is a server in memory that the pool and its monitor can talk to in virtual
// time: "sleep 2s" takes that long, the monitor's statements are answered with
// view, and everything else with one row.
type wire struct {
	mu       sync.Mutex // guards everything below
	down     bool       // nobody listens
	refuse   *pgproto3.ErrorResponse
	stopped  chan struct{} // closed when the server goes on; nil while it answers
	view     serverview.View
	blocker  *serverview.LockHolder // in the way of every sleeping session
	sessions map[uint32]*session
	began    uint32
}

type session struct {
	w        *wire
	conn     net.Conn
	backend  *pgproto3.Backend
	pid      uint32
	status   byte
	sql      string
	sleeping bool // guarded by wire.mu
	canceled chan struct{}
	prepared map[string]string
}

func (w *wire) dial(context.Context, string, string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	client, server := memconn.Pipe(0)
	go w.serve(server)
	return client, nil
}

func (w *wire) serve(c net.Conn) {
	defer c.Close()
	s := &session{w: w, conn: c, backend: pgproto3.NewBackend(c, c), status: 'I', canceled: make(chan struct{}, 1), prepared: map[string]string{}}
	w.waitWhileStopped()
	start, err := s.backend.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if cancel, ok := start.(*pgproto3.CancelRequest); ok {
		w.cancel(cancel.ProcessID)
		return
	}
	if !w.admit(s) {
		return
	}
	defer w.leave(s)
	s.send(&pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"},
		&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"},
		&pgproto3.BackendKeyData{ProcessID: s.pid, SecretKey: []byte{1, 2, 3, 4}}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	for {
		msg, err := s.backend.Receive()
		w.waitWhileStopped()
		if err != nil || !s.answer(msg) {
			return
		}
	}
}

func (w *wire) waitWhileStopped() {
	w.mu.Lock()
	stopped := w.stopped
	w.mu.Unlock()
	if stopped != nil {
		<-stopped
	}
}

func (w *wire) cancel(pid uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.sessions[pid]; s != nil {
		select {
		case s.canceled <- struct{}{}:
		default:
		}
	}
}

func (w *wire) admit(s *session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		s.send(w.refuse)
		return false
	}
	w.began++
	s.pid = 100 + w.began
	w.sessions[s.pid] = s
	return true
}

func (w *wire) leave(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sessions, s.pid)
}

// change changes the server.
func (w *wire) change(f func(*wire)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

// refuseAll has the server refuse newcomers, and end all sessions but so many.
func (w *wire) refuseAll(code, message string, left int) {
	w.change(func(w *wire) {
		w.refuse = &pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: message}
		w.endAll(left)
	})
}

func (w *wire) endAll(left int) {
	for _, s := range w.sessions {
		if left--; left < 0 {
			_ = s.conn.Close()
		}
	}
}

// seen is the view, with those that wait for the blocker.
func (w *wire) seen() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.view
	for pid, s := range w.sessions {
		if s.sleeping && w.blocker != nil {
			v.LockWaiting = append(v.LockWaiting, pid)
			v.LockWaits = append(v.LockWaits, serverview.LockWait{PID: pid, Role: "orders", Seconds: 5, BlockedBy: []uint32{w.blocker.PID}, HeldBy: []serverview.LockHolder{*w.blocker}})
		}
	}
	doc, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain figures
	}
	return doc
}

func (s *session) send(messages ...pgproto3.BackendMessage) {
	for _, m := range messages {
		s.backend.Send(m)
	}
	_ = s.backend.Flush()
}

// answer reports false when the session is over.
func (s *session) answer(msg pgproto3.FrontendMessage) bool {
	switch m := msg.(type) {
	case *pgproto3.Query:
		s.simple(m.String)
		s.send(&pgproto3.ReadyForQuery{TxStatus: s.status})
	case *pgproto3.Parse:
		s.sql, s.prepared[m.Name] = m.Query, m.Query
		s.backend.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Describe:
		if m.ObjectType == 'S' {
			s.backend.Send(&pgproto3.ParameterDescription{})
		}
		s.backend.Send(columns(1))
	case *pgproto3.Bind:
		s.sql = s.prepared[m.PreparedStatement]
		s.backend.Send(&pgproto3.BindComplete{})
	case *pgproto3.Close:
		s.backend.Send(&pgproto3.CloseComplete{})
	case *pgproto3.Execute:
		s.execute(s.sql)
	case *pgproto3.Sync:
		s.send(&pgproto3.ReadyForQuery{TxStatus: s.status})
	case *pgproto3.Terminate:
		return false
	}
	return true
}

func columns(n int) *pgproto3.RowDescription {
	d := &pgproto3.RowDescription{}
	for range n {
		d.Fields = append(d.Fields, pgproto3.FieldDescription{Name: []byte("n"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1})
	}
	return d
}

func (s *session) simple(sql string) {
	switch {
	case strings.HasPrefix(sql, "--"):
		s.backend.Send(&pgproto3.EmptyQueryResponse{})
	case sql == dial.CheckQuery:
		s.backend.Send(columns(2))
		s.row(strconv.AppendUint(nil, uint64(s.pid), 10), []byte("30000"))
	case strings.HasPrefix(sql, "begin"):
		s.status = 'T'
		s.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("BEGIN")})
	case sql == "commit", sql == "rollback":
		s.status = 'I'
		s.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte(strings.ToUpper(sql))})
	default:
		s.backend.Send(columns(1))
		s.execute(sql)
	}
}

func (s *session) row(values ...[]byte) {
	s.backend.Send(&pgproto3.DataRow{Values: values})
	s.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
}

func (s *session) execute(sql string) {
	d, sleeps := strings.CutPrefix(sql, "sleep ")
	switch {
	case sleeps && !s.sleep(d):
		s.backend.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "57014", Message: "canceling statement due to user request"})
	case strings.Contains(sql, "query_seconds"):
		s.row([]byte("[]"))
	case strings.Contains(sql, "max_connections"):
		s.row(s.w.seen())
	default:
		s.row([]byte("1"))
	}
}

// sleep reports false when it was cancelled.
func (s *session) sleep(duration string) bool {
	d, _ := time.ParseDuration(duration)
	s.w.change(func(*wire) { s.sleeping = true })
	defer s.w.change(func(*wire) { s.sleeping = false })
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.canceled:
		return false
	}
}
