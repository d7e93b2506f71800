package fleet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

var (
	errFull      = errors.New("53300")
	errBroke     = errors.New("connection lost")
	errCanceled  = errors.New("57014")
	errLockTable = fmt.Errorf("53200: %w", errKept)
)

// simServer is a PostgreSQL reduced to sessions and advisory locks, in the
// virtual time of a synctest bubble: sessions count from before they can lock
// anything, their locks go a moment before their slot does, and the steps of
// different sessions' requests interleave.
type simServer struct {
	delay func() time.Duration // one way through the network
	exit  func() time.Duration // from the end of a session's locks to that of its slot

	mu         sync.Mutex
	rand       *rand.Rand
	limit      int
	roleLimits map[string]int
	faults     int           // one in so many statements of requests is canceled, or takes longer than a replica waits; 0: none
	fork       time.Duration // what the server takes to begin a session, one after the other
	forked     time.Time     // when it has begun all that were asked for
	lockLimit  int           // locks that fit into the lock table; 0: as many as there are
	starts     int
	down       bool
	grace      time.Time // refusals before this are not counted: the server has just started, or strangers have come
	sessions   map[uint32]*simSession
	held       map[simKey]map[uint32]bool // by server process; true: exclusively
	pids       uint32
	people     int

	tally simTally
}

// simTally is what the server has been asked for.
type simTally struct {
	peak, refused          int
	looks, glances, probes int
	dials                  []time.Time
	work                   time.Duration // CPU for looks, glances and probes; see cost
}

type simSession struct {
	pid     uint32
	link    *link
	role    string
	service string
	locks   map[simKey]int
	robbed  bool          // of its locks, by the application
	leaving bool          // it is about to end
	bare    time.Time     // since when it has no token
	gone    chan struct{} // closed when the slot is free
}

type simKey struct{ class, key uint32 }

func newSimServer(limit int, rnd *rand.Rand) *simServer {
	s := &simServer{limit: limit, rand: rnd, starts: 1, sessions: map[uint32]*simSession{}, held: map[simKey]map[uint32]bool{}, roleLimits: map[string]int{}}
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
func (s *simServer) start(l *link) (*simSession, error) {
	role := l.role
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.dials = append(s.tally.dials, time.Now())
	if s.down {
		return nil, errBroke
	}
	if limit, ok := s.roleLimits[role]; len(s.sessions)+s.people >= s.limit || ok && s.ofRole(role) >= limit {
		if time.Now().After(s.grace) {
			s.tally.refused++
		}
		return nil, errFull
	}
	s.pids++
	session := &simSession{pid: s.pids, link: l, role: role, service: l.service, locks: map[simKey]int{}, bare: time.Now(), gone: make(chan struct{})}
	s.sessions[session.pid] = session
	s.tally.peak = max(s.tally.peak, len(s.sessions))
	return session, nil
}

// queue is how long a new session waits for the server to begin it. It is begun also
// when its client has given up.
func (s *simServer) queue() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fork == 0 {
		return 0
	}
	if now := time.Now(); s.forked.Before(now) {
		s.forked = now
	}
	s.forked = s.forked.Add(s.fork)
	return time.Until(s.forked)
}

func (s *simServer) ofRole(role string) (n int) {
	for _, session := range s.sessions {
		if session.role == role {
			n++
		}
	}
	return n
}

// finish ends a session as a backend exits: locks first, slot later.
func (s *simServer) finish(session *simSession) {
	s.mu.Lock()
	if s.sessions[session.pid] != session {
		s.mu.Unlock()
		return
	}
	s.unlockAll(session)
	session.leaving = true
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
		s.drop(k, session.pid)
	}
	session.locks = map[simKey]int{}
}

func (s *simServer) drop(k simKey, pid uint32) {
	if delete(s.held[k], pid); len(s.held[k]) == 0 {
		delete(s.held, k)
	}
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

// step is where other sessions may come in between two statements of a request.
// It reports whether the session is still there afterwards.
func (s *simServer) step(session *simSession) bool {
	pause := time.Duration(s.rand.Int64N(int64(40 * time.Microsecond)))
	if s.rand.IntN(3) == 0 {
		s.mu.Unlock()
		time.Sleep(pause)
		s.mu.Lock()
	}
	return s.sessions[session.pid] == session
}

// fault is what comes between two statements of a request when the server does badly:
// what the statements before did holds until the session ends.
func (s *simServer) fault() error {
	if s.faults == 0 || s.rand.IntN(s.faults) > 0 {
		return nil
	}
	if s.rand.IntN(10) > 0 {
		return errCanceled
	}
	s.mu.Unlock()
	time.Sleep(lookTimeout + time.Second)
	s.mu.Lock()
	return nil
}

// do runs a request, statement by statement.
func (s *simServer) do(session *simSession, keys Keys, r Request) (resp Response, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &simRequest{s, session, keys}
	defer q.commit()
	statements := []func() error{
		func() error { return q.letGo(r) },
		func() error { return q.tell(r) },
		func() error { resp.Bound, err = q.bind(r); return err },
		func() error { resp.Claimed, resp.Busy, err = q.claim(r); return err },
		func() error { resp.Raised, err = q.raise(r); return err },
		func() error { resp.Alarm = q.probe(r); return nil },
		func() error { resp.Seen, err = q.see(r); return err },
	}
	for _, run := range statements {
		if err := s.fault(); err != nil {
			return Response{}, err
		}
		if !s.step(session) {
			return Response{}, errBroke
		}
		if err := run(); err != nil {
			return Response{}, err
		}
	}
	return resp, nil
}

// simRequest is a session that runs a request, under the server's lock.
type simRequest struct {
	*simServer
	me   *simSession
	keys Keys
}

func (q *simRequest) key(of kind, v uint32) simKey { return simKey{q.keys.class(of), v} }

// lock is pg_try_advisory_lock and pg_try_advisory_lock_shared.
func (q *simRequest) lock(k simKey, exclusive bool) (bool, error) {
	for pid, theirs := range q.held[k] {
		if pid != q.me.pid && (exclusive || theirs) {
			return false, nil
		}
	}
	if q.me.locks[k] == 0 && q.lockLimit > 0 && q.allLocks() >= q.lockLimit {
		return false, errLockTable
	}
	if q.held[k] == nil {
		q.held[k] = map[uint32]bool{}
	}
	q.held[k][q.me.pid] = exclusive || q.held[k][q.me.pid]
	q.me.locks[k]++
	return true, nil
}

func (s *simServer) allLocks() (n int) {
	for _, holders := range s.held {
		n += len(holders)
	}
	return n
}

func (q *simRequest) unlock(k simKey) {
	if n := q.me.locks[k]; n > 1 {
		q.me.locks[k] = n - 1
		return
	}
	delete(q.me.locks, k)
	q.drop(k, q.me.pid)
}

func (q *simRequest) letGo(r Request) error {
	for _, t := range r.Drop {
		q.unlock(q.key(kindToken, uint32(t)))
	}
	for _, v := range r.Retract {
		q.unlock(q.key(kindDemand, v))
	}
	for _, v := range r.Hush {
		q.unlock(q.key(kindAlarm, v))
	}
	return nil
}

func (q *simRequest) tell(r Request) error {
	wanted := []simKey{}
	for _, v := range r.Publish {
		wanted = append(wanted, q.key(kindDemand, v))
	}
	for of, v := range map[kind]uint32{kindMember: r.Join, kindWatcher: r.Watch, kindPart: uint32(r.Part)} {
		if v != 0 {
			wanted = append(wanted, q.key(of, v))
		}
	}
	for _, k := range wanted {
		if q.me.locks[k] > 0 {
			continue
		}
		if _, err := q.lock(k, false); err != nil {
			return err
		}
	}
	return nil
}

func (q *simRequest) bind(r Request) (bool, error) {
	if r.Bind == 0 {
		return false, nil
	}
	k := q.key(kindToken, uint32(r.Bind))
	got, err := q.lock(k, false)
	if err != nil || !q.step(q.me) {
		return false, err
	}
	known, others := true, 0
	for pid := range q.held[k] {
		if pid != q.me.pid {
			others++
			known = known && slices.Contains(r.Known, pid)
		}
	}
	if others > 0 && known {
		return true, nil
	}
	if got {
		q.unlock(k)
	}
	return false, nil
}

// claim locks exclusively as many as are wanted, and shares them after that.
func (q *simRequest) claim(r Request) (got []Token, busy bool, err error) {
	if r.Claim > 0 && r.Most > 0 {
		if ok, err := q.lock(q.key(kindClaim, 0), true); err != nil || !ok {
			return nil, !ok, err
		}
		if !q.step(q.me) {
			return nil, false, errBroke
		}
		r.Claim = min(r.Claim, r.Most-q.taken(r.UpTo))
	}
	got, err = q.take(r)
	return got, false, err
}

// commit ends the transaction that a request is.
func (q *simRequest) commit() {
	if k := q.key(kindClaim, 0); q.me.locks[k] > 0 {
		q.unlock(k)
	}
}

// taken is how many of the tokens up to a number are held.
func (q *simRequest) taken(upTo Token) (n int) {
	for t := Token(1); t <= upTo; t++ {
		if len(q.held[q.key(kindToken, uint32(t))]) > 0 {
			n++
		}
	}
	return n
}

func (q *simRequest) take(r Request) (got []Token, err error) {
	for t := Token(1); t <= r.UpTo && len(got) < r.Claim; t++ {
		k := q.key(kindToken, uint32(t))
		if q.me.locks[k] > 0 {
			continue
		}
		ok, err := q.lock(k, true)
		if err != nil {
			return nil, err
		}
		if ok {
			got = append(got, t)
		}
		if t%8 == 0 && !q.step(q.me) {
			return nil, errBroke
		}
	}
	for _, t := range got {
		if k := q.key(kindToken, uint32(t)); q.held[k] != nil {
			q.held[k][q.me.pid] = false
		}
	}
	return got, nil
}

func (q *simRequest) turn() uint32 {
	return uint32(time.Since(time.Unix(0, 0))/alarmTurn) & 1073741823
}

func (q *simRequest) raise(r Request) (raised []uint32, err error) {
	if !r.Raise {
		return nil, nil
	}
	for t := q.turn(); t <= q.turn()+1; t++ {
		ok, err := q.lock(q.key(kindAlarm, t), true)
		if err != nil {
			return nil, err
		}
		if ok {
			raised = append(raised, t)
		}
	}
	return raised, nil
}

func (q *simRequest) probe(r Request) bool {
	if !r.Probe {
		return false
	}
	q.tally.probes++
	q.tally.work += costProbe
	for pid := range q.held[q.key(kindAlarm, q.turn())] {
		if pid != q.me.pid {
			return true
		}
	}
	return false
}

// see counts the sessions at one moment and reads the locks at another.
func (q *simRequest) see(r Request) (*Snapshot, error) {
	if !r.Look && !r.Glance {
		return nil, nil
	}
	n := len(q.sessions) + q.people
	seen := &Snapshot{Brief: r.Glance, PID: q.me.pid, Clock: time.Since(time.Unix(0, 0)), Sessions: Sessions{Server: n}}
	if r.Look {
		q.seeAll(seen)
	}
	if !q.step(q.me) {
		return nil, errBroke
	}
	for k, holders := range q.held {
		if r.Glance && k.class&^kindMask != q.keys.class(0) {
			continue
		}
		for pid := range holders {
			seen.Locks = append(seen.Locks, Lock{Database: "app", Class: k.class, Key: k.key, PID: pid})
		}
	}
	if r.Glance {
		q.tally.glances++
		q.tally.work += costGlance + time.Duration(n)*costGlanceSession
	} else {
		q.tally.looks++
		q.tally.work += costLook + time.Duration(n)*costLookSession
	}
	return seen, nil
}

func (q *simRequest) seeAll(seen *Snapshot) {
	seen.Server = fmt.Sprint(q.starts)
	seen.Limits = Limits{MaxConnections: q.limit + 3, SuperuserReserved: 3, RoleLimit: -1, DatabaseLimit: -1, Database: "app", Role: q.me.role}
	if limit, ok := q.roleLimits[q.me.role]; ok {
		seen.Limits.RoleLimit = limit
	}
	seen.Sessions.Database = seen.Sessions.Server
	seen.Sessions.Role = q.people
	for pid, other := range q.sessions {
		if other.role != q.me.role {
			continue
		}
		seen.Role = append(seen.Role, pid)
		seen.Sessions.Role++
		if other.service == q.me.service {
			seen.Sessions.Peers++
		}
	}
}

// What the requests cost a real server, as TestWhatALookCosts measures it.
const (
	costProbe         = 25 * time.Microsecond
	costGlance        = 100 * time.Microsecond
	costGlanceSession = 4 * time.Microsecond
	costLook          = 400 * time.Microsecond
	costLookSession   = 35 * time.Microsecond
)

func (s *simServer) snapshotTally() simTally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally
}

// figures are the most sessions there were at once, how often somebody looked,
// and how many sessions there may be beside those of people.
func (s *simServer) figures() (peak, looks, usable int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally.peak, s.tally.looks + s.tally.glances, s.limit - s.people
}

func (s *simServer) refusals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally.refused
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
		session.robbed = true
	}
}

// name is how a session's Snapshot.Server tells the present start of this server.
func (s *simServer) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.starts)
}

// holds reports whether a session has a lock.
func (s *simServer) holds(pid uint32, k simKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.sessions[pid]
	return session != nil && session.locks[k] > 0
}

func (s *simSession) hasToken() bool {
	for k := range s.locks {
		if kindOf(k.class) == kindToken {
			return true
		}
	}
	return false
}

// overtaken is how long strangers who come may take slots for which tokens had been reserved:
// until replicas that had one ahead have looked again.
const overtaken = 3 * time.Second

// visit sets how many strangers are there. Refusals of those whose slots they take are theirs.
func (s *simServer) visit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.people {
		s.grace = time.Now().Add(overtaken)
	}
	s.people = n
}
