package main

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/memconn"
	"github.com/dbpool-go/dbpool/internal/memserver"
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
	*memserver.Session
	w        *wire
	sleeping bool // guarded by wire.mu
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
	s := &session{Session: memserver.NewSession(c), w: w}
	w.waitWhileStopped()
	start, err := s.Backend.ReceiveStartupMessage()
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
	s.Welcome()
	for {
		msg, err := s.Backend.Receive()
		w.waitWhileStopped()
		if err != nil || !s.Answer(s, msg) {
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
		s.Cancel()
	}
}

func (w *wire) admit(s *session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		s.Send(w.refuse)
		return false
	}
	w.began++
	s.PID = 100 + w.began
	w.sessions[s.PID] = s
	return true
}

func (w *wire) leave(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sessions, s.PID)
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
		w.refuse = memserver.Fatal(code, message)
		w.endAll(left)
	})
}

func (w *wire) endAll(left int) {
	for _, s := range w.sessions {
		if left--; left < 0 {
			_ = s.Conn.Close()
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

// Describe implements memserver.Host.
func (s *session) Describe(kind byte) {
	if kind == 'S' {
		s.Backend.Send(&pgproto3.ParameterDescription{})
	}
	s.Backend.Send(memserver.Columns(1))
}

// Settle implements memserver.Host.
func (s *session) Settle() { s.Send(s.Ready()) }

// Query implements memserver.Host.
func (s *session) Query(sql string) {
	switch {
	case strings.HasPrefix(sql, "--"):
		s.Backend.Send(&pgproto3.EmptyQueryResponse{})
	case sql == dial.CheckQuery:
		s.Introduce()
	case strings.HasPrefix(sql, "begin"):
		s.Status = 'T'
		s.Complete("BEGIN")
	case sql == "commit", sql == "rollback":
		s.Status = 'I'
		s.Complete(strings.ToUpper(sql))
	default:
		s.Backend.Send(memserver.Columns(1))
		s.Execute(sql)
	}
}

// Execute implements memserver.Host.
func (s *session) Execute(sql string) {
	d, sleeps := strings.CutPrefix(sql, "sleep ")
	switch {
	case sleeps && !s.sleep(d):
		s.Backend.Send(memserver.UserCancel)
	case strings.Contains(sql, "query_seconds"):
		s.Row([]byte("[]"))
	case strings.Contains(sql, "max_connections"):
		s.Row(s.w.seen())
	default:
		s.Row([]byte("1"))
	}
}

// sleep reports false when it was cancelled.
func (s *session) sleep(duration string) bool {
	s.w.change(func(*wire) { s.sleeping = true })
	defer s.w.change(func(*wire) { s.sleeping = false })
	return s.Sleep(duration)
}
