package pool

import (
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/memserver"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// wireFaults is how a wireServer makes life hard. Its fields are guarded by the
// server's lock; tests set them before they connect, or by with.
type wireFaults struct {
	connect time.Duration           // how long it takes to let somebody in
	end     time.Duration           // how long a session takes to end after its client has gone
	limit   int                     // how many sessions there may be; 0 is no limit
	lag     time.Duration           // on the way, in each direction, of connections that come
	lost    int                     // how many cancel requests to ignore
	unknown string                  // a startup parameter that it does not know
	begin   *pgproto3.ErrorResponse // its answer to BEGIN ahead of a statement, if set
	commit  *pgproto3.ErrorResponse // its answer to COMMIT, if set
	dials   []time.Time             // when connections were opened, cancel requests included

	// vanishes is asked after each statement, under the lock, and reports true to end
	// the session without an answer.
	vanishes func() bool

	// script is asked before each message is answered, and reports false to end
	// the session there.
	script func(w *wireSession, msg pgproto3.FrontendMessage) bool
}

// with changes what goes wrong.
func (s *wireServer) with(change func(*wireFaults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.faults)
}

func (s *wireServer) lagNow() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.lag
}

func (s *wireServer) failsCommit() *pgproto3.ErrorResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.commit
}

func (s *wireServer) refusesBegin() *pgproto3.ErrorResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.begin
}

// pause is a moment in which the server does nothing.
func (s *wireServer) pause(how func(*wireFaults) time.Duration) {
	s.mu.Lock()
	d := how(&s.faults)
	s.mu.Unlock()
	if d > 0 {
		time.Sleep(d)
	}
}

// full is the refusal of one session too many. The lock is held.
func (s *wireServer) full() *pgproto3.ErrorResponse {
	if s.faults.limit == 0 || len(s.sessions) < s.faults.limit {
		return nil
	}
	return memserver.Fatal(pgdriver.StateTooManyConnections, "sorry, too many clients already")
}

// hit reports whether a cancel request hits the statement that begins now.
func (w *wireSession) hit() bool {
	select {
	case <-w.Canceled:
		return true
	default:
		return false
	}
}

var goodbye = memserver.Fatal(pgdriver.StateAdminShutdown, "terminating connection due to administrator command")

func (s *wireServer) loseCancel() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.lost == 0 {
		return false
	}
	s.faults.lost--
	return true
}

func (s *wireServer) scripted(w *wireSession, msg pgproto3.FrontendMessage) bool {
	s.mu.Lock()
	script := s.faults.script
	s.mu.Unlock()
	return script == nil || script(w, msg)
}

// kill ends the sessions of which doomed is true, as pg_terminate_backend does.
func (s *wireServer) kill(doomed func(pid uint32) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pid, w := range s.sessions {
		if doomed(pid) {
			delete(s.sessions, pid)
			w.HangUp(goodbye)
		}
	}
}

func everyone(uint32) bool { return true }

// dialTimes is when connections were opened since a moment.
func (s *wireServer) dialTimes(since time.Time) (times []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.faults.dials {
		if at.After(since) {
			times = append(times, at)
		}
	}
	return times
}

// live is how many sessions there are.
func (s *wireServer) live() int {
	open, _, _ := s.figures()
	return open
}
