package pool

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/internal/sqltext"
)

// Statements returns the figures of each statement, the one for which connections
// were held for the longest in all first. The first call begins the counting: a pool
// that nobody asks does not pay for it. It may be called concurrently, and stops
// nobody.
//
// RouteStats.Name is the statement's text without values: literals become ?, comments
// go, lists of values are folded. At most 200 are kept apart; all others are one with
// an empty name. A statement that has a connection to itself holds it until its rows
// are closed. One in a transaction, a session or a sql.Conn has one already: it waits
// for none, and counts as holding it until its answer begins.
func (p *Pool) Statements() []RouteStats {
	p.statements.counting.Store(true)
	return p.statements.shapes.stats()
}

// mostTexts bounds the texts, in bytes, of which the statement is remembered.
const mostTexts = 1 << 20

// statementTable counts by statement. Its zero value is ready, and counts nothing.
type statementTable struct {
	counting atomic.Bool
	shapes   routes

	mu    sync.RWMutex // guards texts and size
	texts map[string]*route
	size  int // of the keys of texts
}

// of returns the figures of a statement; nil when nobody wants them.
func (s *statementTable) of(query string) *route {
	if !s.counting.Load() {
		return nil
	}
	s.mu.RLock()
	found := s.texts[query]
	s.mu.RUnlock()
	if found != nil {
		return found
	}
	return s.learn(query)
}

// learn finds out which statement a text is. A service that writes values into its
// texts makes new ones without end: then those that are remembered are forgotten
// together.
func (s *statementTable) learn(query string) *route {
	if len(query) > mostTexts/16 {
		return &s.shapes.rest
	}
	found := s.shapes.of(LaneRequest, sqltext.Folded(query))
	if found == nil {
		return nil // a comment
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.texts == nil || s.size+len(query) > mostTexts {
		s.texts, s.size = make(map[string]*route), 0
	}
	if s.texts[query] == nil {
		s.texts[query] = found
		s.size += len(query)
	}
	return found
}

// asks notes which statement is run next. One that is to get a connection is
// counted with its permit, which nobody may change once others see it.
func (v *virtual) asks(query string) {
	st := v.p.statements.of(query)
	if v.real == nil {
		v.permit.Statement, v.inside = st, nil
		return
	}
	if v.inside = st; st != nil {
		st.acquired.Add(1)
	}
}

// asksNone notes that what is run next is no statement of a caller's.
func (v *virtual) asksNone() {
	if v.inside = nil; v.real == nil {
		v.permit.Statement = nil
	}
}

// onIts runs a statement on v's connection and counts it, if nothing else does.
func onIts[T any](v *virtual, call func(backend) (T, error)) (T, error) {
	st := v.inside
	if st == nil {
		return call(v.real)
	}
	began := time.Now()
	st.inUse.Add(1)
	result, err := call(v.real)
	st.released(time.Since(began))
	return result, err
}
