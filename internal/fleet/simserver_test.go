package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

var (
	errFull  = errors.New("53300")
	errBroke = errors.New("connection lost")
)

// simServer is a PostgreSQL reduced to sessions and advisory locks, in the
// virtual time of a synctest bubble: sessions count from before they can lock
// anything, and their locks go a moment before their slot does.
type simServer struct {
	keys  Keys
	delay func() time.Duration // one way through the network
	exit  func() time.Duration // from the end of a session's locks to that of its slot

	mu       sync.Mutex
	rand     *rand.Rand
	limit    int
	starts   int
	down     bool
	grace    time.Time // refusals before this are not counted: the server has just started
	sessions map[uint32]*simSession
	held     map[simKey]map[uint32]bool // by server process
	pids     uint32
	people   int

	peak, refused int
	looks         int
	dials         []time.Time
}

type simSession struct {
	pid   uint32
	locks map[simKey]int
	gone  chan struct{} // closed when the slot is free
}

type simKey struct{ class, key uint32 }

func newSimServer(keys Keys, limit int, rnd *rand.Rand) *simServer {
	s := &simServer{keys: keys, limit: limit, rand: rnd, starts: 1, sessions: map[uint32]*simSession{}, held: map[simKey]map[uint32]bool{}}
	s.delay = func() time.Duration { return s.between(50*time.Microsecond, 500*time.Microsecond) }
	s.exit = func() time.Duration { return s.between(100*time.Microsecond, 3*time.Millisecond) }
	return s
}

func (s *simServer) between(low, high time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return low + time.Duration(s.rand.Int64N(int64(high-low)))
}

// start forks a session, or refuses.
func (s *simServer) start() (*simSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = append(s.dials, time.Now())
	if s.down {
		return nil, errBroke
	}
	if len(s.sessions)+s.people >= s.limit {
		if time.Now().After(s.grace) {
			s.refused++
		}
		return nil, errFull
	}
	s.pids++
	session := &simSession{pid: s.pids, locks: map[simKey]int{}, gone: make(chan struct{})}
	s.sessions[session.pid] = session
	s.peak = max(s.peak, len(s.sessions))
	return session, nil
}

// finish ends a session as a backend exits: locks first, slot later.
func (s *simServer) finish(session *simSession) {
	s.mu.Lock()
	if s.sessions[session.pid] != session {
		s.mu.Unlock()
		return
	}
	s.unlockAll(session)
	s.mu.Unlock()
	time.Sleep(s.exit())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[session.pid] == session {
		delete(s.sessions, session.pid)
		close(session.gone)
	}
}

// halt drops everything, as a restart does.
func (s *simServer) halt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	for pid, session := range s.sessions {
		s.unlockAll(session)
		delete(s.sessions, pid)
		close(session.gone)
	}
}

// unlockAll is what DISCARD ALL does too.
func (s *simServer) unlockAll(session *simSession) {
	for k := range session.locks {
		delete(s.held[k], session.pid)
	}
	session.locks = map[simKey]int{}
}

func (s *simServer) boot(grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.grace = false, time.Now().Add(grace)
	s.starts++
}

func (s *simServer) alive(session *simSession) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[session.pid] == session
}

// do runs a request in one go.
func (s *simServer) do(session *simSession, r Request) (Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[session.pid] != session {
		return Response{}, errBroke
	}
	for _, t := range r.Drop {
		s.unshare(session, kindToken, uint32(t))
	}
	for _, v := range r.Retract {
		s.unshare(session, kindDemand, v)
	}
	for _, v := range r.Publish {
		s.share(session, kindDemand, v)
	}
	for of, v := range map[kind]uint32{kindMember: r.Join, kindWatcher: r.Watch, kindPart: uint32(r.Part)} {
		if v != 0 && session.locks[s.key(of, v)] == 0 {
			s.share(session, of, v)
		}
	}
	resp := Response{}
	if r.Bind != 0 {
		resp.Bound = s.bind(session, r)
	}
	for t := Token(1); t <= r.UpTo && len(resp.Claimed) < r.Claim; t++ {
		if len(s.held[s.key(kindToken, uint32(t))]) == 0 {
			s.share(session, kindToken, uint32(t))
			resp.Claimed = append(resp.Claimed, t)
		}
	}
	if r.Look {
		s.looks++
		resp.Seen = s.snapshot(session)
	}
	return resp, nil
}

func (s *simServer) key(of kind, v uint32) simKey { return simKey{s.keys.class(of), v} }

func (s *simServer) share(session *simSession, of kind, v uint32) {
	k := s.key(of, v)
	session.locks[k]++
	if s.held[k] == nil {
		s.held[k] = map[uint32]bool{}
	}
	s.held[k][session.pid] = true
}

func (s *simServer) unshare(session *simSession, of kind, v uint32) {
	k := s.key(of, v)
	n := session.locks[k]
	if n <= 1 {
		delete(session.locks, k)
		delete(s.held[k], session.pid)
		return
	}
	session.locks[k] = n - 1
}

func (s *simServer) bind(session *simSession, r Request) bool {
	holders := s.held[s.key(kindToken, uint32(r.Bind))]
	for pid := range holders {
		if !slices.Contains(r.Known, pid) {
			return false
		}
	}
	if len(holders) == 0 {
		return false
	}
	s.share(session, kindToken, uint32(r.Bind))
	return true
}

func (s *simServer) snapshot(session *simSession) *Snapshot {
	n := len(s.sessions) + s.people
	seen := &Snapshot{
		PID: session.pid, Server: fmt.Sprint(s.starts),
		Clock:    time.Since(time.Unix(0, 0)),
		Limits:   Limits{MaxConnections: s.limit + 3, SuperuserReserved: 3, RoleLimit: -1, DatabaseLimit: -1, Database: "app"},
		Sessions: Sessions{Server: n, Role: n, Database: n, Peers: len(s.sessions)},
	}
	for pid, other := range s.sessions {
		for k := range other.locks {
			seen.Locks = append(seen.Locks, Lock{Database: "app", Class: k.class, Key: k.key, PID: pid})
		}
	}
	return seen
}

// link is a replica's network to the server: it can be cut.
type link struct {
	server *simServer

	mu    sync.Mutex
	cut   chan struct{} // closed when the link is whole; nil: whole
	dead  bool          // the process was killed
	conns map[*simConn]struct{}
}

func newLink(s *simServer) *link { return &link{server: s, conns: map[*simConn]struct{}{}} }

// pass is one way through the network.
func (l *link) pass(ctx context.Context) error {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut != nil {
		select {
		case <-cut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	time.Sleep(l.server.delay())
	return ctx.Err()
}

// keepalive is when the server gives a silent client up; see guardSQL.
const keepalive = 11 * time.Second

// partition cuts the link for a while. The server drops the sessions if it
// takes too long; the client learns that at its next word.
func (l *link) partition(d time.Duration) {
	l.mu.Lock()
	if l.cut != nil {
		l.mu.Unlock()
		return
	}
	l.cut = make(chan struct{})
	l.mu.Unlock()
	conns := l.all()
	time.Sleep(min(d, keepalive))
	if d > keepalive {
		for _, c := range conns {
			go l.server.finish(c.session)
		}
		time.Sleep(d - keepalive)
	}
	l.mu.Lock()
	close(l.cut)
	l.cut = nil
	l.mu.Unlock()
}

// kill ends all sessions as the kernel does for a killed process.
func (l *link) kill() {
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
	for _, c := range l.all() {
		go l.server.finish(c.session)
	}
}

// all are the link's sessions, in no order.
func (l *link) all() []*simConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	var conns []*simConn
	for c := range l.conns {
		conns = append(conns, c)
	}
	return conns
}

// Dial connects as libpq does: fork, authentication, ready.
func (l *link) Dial(ctx context.Context) (conn, error) {
	if err := l.pass(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	dead := l.dead
	l.mu.Unlock()
	if dead {
		return nil, errBroke
	}
	session, err := l.server.start()
	if err != nil {
		l.pass(ctx)
		return nil, err
	}
	c := &simConn{l, session}
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	time.Sleep(l.server.between(2*time.Millisecond, 20*time.Millisecond))
	if err := l.pass(ctx); err != nil {
		go c.Close()
		return nil, err
	}
	return c, nil
}

type simConn struct {
	link    *link
	session *simSession
}

func (c *simConn) PID() uint32 { return c.session.pid }

func (c *simConn) Do(ctx context.Context, r Request) (Response, error) {
	if err := c.link.pass(ctx); err != nil {
		return Response{}, err
	}
	resp, err := c.link.server.do(c.session, r)
	if passErr := c.link.pass(ctx); passErr != nil {
		return Response{}, passErr
	}
	return resp, err
}

func (c *simConn) Use(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-c.session.gone:
		return errBroke
	case <-ctx.Done():
		return ctx.Err()
	}
	if !c.link.server.alive(c.session) {
		return errBroke
	}
	return nil
}

// Close says goodbye and waits for the server to have ended the session.
func (c *simConn) Close() {
	c.link.pass(context.Background())
	c.link.server.finish(c.session)
	<-c.session.gone
	c.link.mu.Lock()
	delete(c.link.conns, c)
	c.link.mu.Unlock()
}

// figures are the most sessions there were at once, how often somebody looked,
// and how many sessions there may be beside those of people.
func (s *simServer) figures() (peak, looks, usable int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak, s.looks, s.limit - s.people
}

func (s *simServer) refusals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// some sessions by chance.
func (s *simServer) some(n int) []*simSession {
	var some []*simSession
	for _, session := range s.sessions {
		if len(some) == n {
			break
		}
		some = append(some, session)
	}
	return some
}

// terminate is pg_terminate_backend for n sessions.
func (s *simServer) terminate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.some(n) {
		go s.finish(session)
	}
}

// discardAll lets n sessions lose their locks and live on.
func (s *simServer) discardAll(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.some(n) {
		s.unlockAll(session)
	}
}

// visit sets how many strangers are there.
func (s *simServer) visit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people = n
}
