package daytest

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/memconn"
	"github.com/dbpool-go/dbpool/internal/memserver"
)

// dayServer is a server in memory: "work" and a duration takes that long, "locked"
// waits while a table is locked, nothing takes longer than 30 s, and everything is
// answered without rows.
type dayServer struct {
	mu       sync.Mutex // guards all below
	down     bool
	room     int           // sessions that are admitted
	locked   chan struct{} // while a table is locked; closed with the lock's end
	sessions map[uint32]*daySession
	last     uint32
}

type daySession struct {
	*memserver.Session
	s *dayServer
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

// end ends all sessions as an administrator does.
func (s *dayServer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.sessions {
		w.HangUp(memserver.Fatal("57P01", "terminating connection due to administrator command"))
	}
	clear(s.sessions)
}

func (s *dayServer) serve(c net.Conn) {
	defer c.Close()
	w := &daySession{memserver.NewSession(c), s}
	start, err := w.Backend.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if cancel, ok := start.(*pgproto3.CancelRequest); ok {
		s.cancel(cancel.ProcessID)
		return
	}
	if refusal := s.admit(w); refusal != nil {
		w.Send(refusal)
		return
	}
	defer s.set(func(s *dayServer) { delete(s.sessions, w.PID) })
	w.Welcome()
	for {
		m, err := w.Backend.Receive()
		if err != nil || !w.Answer(w, m) {
			return
		}
	}
}

func (s *dayServer) admit(w *daySession) *pgproto3.ErrorResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down:
		return memserver.Fatal("57P03", "the database system is starting up")
	case len(s.sessions) >= s.room:
		return memserver.Fatal("53300", "sorry, too many clients already")
	}
	s.last++
	w.PID = s.last
	s.sessions[w.PID] = w
	return nil
}

func (s *dayServer) cancel(pid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.sessions[pid]; w != nil {
		w.Cancel()
	}
}

// Query implements memserver.Host.
func (w *daySession) Query(sql string) {
	if sql == dial.CheckQuery {
		w.Introduce()
		return
	}
	w.Execute(sql)
}

// Describe implements memserver.Host.
func (w *daySession) Describe(kind byte) {
	if kind == 'S' {
		w.Backend.Send(&pgproto3.ParameterDescription{})
	}
	w.Backend.Send(&pgproto3.NoData{})
}

// Settle implements memserver.Host.
func (w *daySession) Settle() { w.Send(w.Ready()) }

// Execute implements memserver.Host.
func (w *daySession) Execute(sql string) {
	switch {
	case strings.HasPrefix(sql, "--"), sql == "":
		w.Backend.Send(&pgproto3.EmptyQueryResponse{})
		return
	case strings.HasPrefix(sql, "begin"):
		w.Status = 'T'
	case sql == "commit", sql == "rollback":
		w.Status = 'I'
	default:
		if why := w.spend(sql); why != "" {
			w.fail(why)
			return
		}
	}
	w.Complete(strings.ToUpper(strings.Fields(sql)[0]))
}

func (w *daySession) fail(why string) {
	w.Failed = true
	if w.Status == 'T' {
		w.Status = 'E'
	}
	w.Backend.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "57014", Message: "canceling statement due to " + why})
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
	case <-w.Canceled:
		return "user request"
	}
	return ""
}
