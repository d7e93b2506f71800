package fleet

import (
	"slices"
	"time"
)

// Session is one session of this replica on the server, in the budget by a
// token of its own.
type Session struct {
	f       *Fleet
	pid     uint32
	server  string
	born    int      // looks begun before it entered
	token   Token    // its own; 0 when the server says that it lost it
	extra   []Token  // reserved for dials, or not yet let go since
	void    []Token  // reservations that were lost, to be let go of in case they were not
	said    []uint32 // demands it published; the last is the newest
	alarms  []uint32 // alarms it raised
	leaving bool     // it is about to be closed, for others
}

// Permit allows one dial.
type Permit struct {
	token Token // 0: without one; see blind
	began time.Time
}

// Share is how many sessions the pool may have.
func (f *Fleet) Share() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.noLocks != "" {
		return f.fixed
	}
	n := f.owned()
	if f.give > 0 {
		n = max(0, n-len(f.spares())-f.give)
	}
	if f.blind() {
		n++
	}
	return n
}

// owned is how many sessions this replica has, is dialing, and may dial.
func (f *Fleet) owned() int { return len(f.sessions) + len(f.dials) + len(f.spares()) }

// Permit is asked for before each dial. False means that the dial must wait
// until the share is set again.
func (f *Fleet) Permit() (*Permit, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &Permit{began: time.Now()}
	if spares := f.spares(); len(spares) > 0 && f.give == 0 && f.noLocks == "" {
		if time.Now().Before(f.dialAt) || len(f.dials) >= f.dialsAtOnce() {
			return nil, false
		}
		p.token = spares[0]
	} else if !f.blind() && f.noLocks == "" {
		return nil, false
	}
	f.dials[p] = struct{}{}
	return p, true
}

// mostDials is how many sessions all replicas together open at once, about. A server begins
// one after the other, and replicas of a large fleet that each ask for several make all wait
// for so long that they give up.
const mostDials = 100

func (f *Fleet) dialsAtOnce() int { return max(1, mostDials/max(1, len(f.view.Members))) }

// Refused gives a permit back: the dial failed. full says that the server had
// no room for it.
func (f *Fleet) Refused(p *Permit, full bool) {
	f.mu.Lock()
	delete(f.dials, p)
	switch {
	case p.token == 0 && full:
		f.view.Free = min(f.view.Free, 0) // whatever there was is gone
		f.backOff()
	case !full:
		f.failed(p)
	}
	f.mu.Unlock()
	f.changed()
}

const (
	firstPauseAfter = 100 * time.Millisecond // a failure
	mostPauseAfter  = 2 * time.Second
	longestBackOff  = time.Minute
)

// failed arranges the next dial after one that did not fail for lack of room. The pause
// grows with the failures. In a large fleet it may also be as long as the dial has taken: if
// the server takes long to begin sessions, dials that all give up keep it from beginning any.
func (f *Fleet) failed(p *Permit) {
	large := time.Duration(max(f.size, len(f.view.Members))) * 50 * time.Millisecond
	f.wait(max(min(firstPauseAfter<<min(f.failures, 5), mostPauseAfter), min(time.Since(p.began), large)))
	f.failures++
	if p.token != 0 {
		f.dialAt = f.blindAt
	}
}

// backOff spreads the next dial without a token, with full jitter, so that
// replicas do not come in step. The pause grows with each refusal, and a dial
// that succeeds takes two refusals back (see Enter): where turns are rare because
// replicas are many, about three dials are made for each turn, however many
// replicas there are.
func (f *Fleet) backOff() {
	pause := firstPauseAfter
	for n := range f.backoff {
		if pause >= longestBackOff {
			break
		}
		if pause += pause / 2; n < 3 {
			pause += pause / 3 // doubled at first
		}
	}
	f.wait(min(pause, f.mostBackOff()))
	f.backoff++
}

// mostBackOff bounds the pause between two dials without a token by how long this replica has
// been waiting. The pauses of the lucky and the unlucky drift apart otherwise, for a dial's
// chance is the same for both, and the unlucky ones stay away for minutes. Where turns are so
// rare that it takes more than a minute to get one, replicas are many, and try less often.
func (f *Fleet) mostBackOff() time.Duration {
	waited := time.Since(f.lostAt)
	return min(longestBackOff, max(2*scarceTurn, waited/4+max(0, waited-time.Minute)/4))
}

// wait lets no dial without a token happen for a random part of most.
func (f *Fleet) wait(most time.Duration) { f.waitBetween(0, most) }

// waitBetween is wait with a least time.
func (f *Fleet) waitBetween(least, most time.Duration) {
	f.blindAt = time.Now().Add(least + time.Duration(f.rand.Float64()*float64(most-least)))
}

// blind reports whether a dial without a token is right now: by a replica that
// has no session to claim one with, or none at hand although it has less than
// its fair share. Such a session lives in the headroom until it has a token.
func (f *Fleet) blind() bool {
	if time.Now().Before(f.blindAt) {
		return false
	}
	for p := range f.dials {
		if p.token == 0 {
			return false
		}
	}
	if len(f.sessions) == 0 {
		return len(f.dials) == 0
	}
	if !f.stuck || f.give > 0 || len(f.spares()) > 0 {
		return false
	}
	return f.guaranteed() > len(f.sessions)+len(f.dials) || f.vacant() > 0 && f.lacking() > 0 && time.Since(f.viewAt) < f.steadyInterval()
}

// guaranteed is how many sessions this replica may have at any time: its even part of
// the budget, without what does not divide evenly, as far as it can use that; and one
// while others are expected, who are guaranteed theirs.
func (f *Fleet) guaranteed() int {
	if f.expectedMissing() > 0 {
		return 1
	}
	return min(f.demand, f.plan.Tokens/max(1, len(f.view.Members), f.opts.Replicas))
}

// lacking is how far this replica is below its fair share, by the last look at
// the others and its own present load. It keeps its place among the members, by
// which everybody decides whose turn the remainder is.
func (f *Fleet) lacking() int {
	v, at := f.present().with(f.id, f.demand)
	return v.Targets()[at] - len(f.sessions) - len(f.dials)
}

// spares are the tokens this replica has reserved and does not use, lowest first.
func (f *Fleet) spares() []Token {
	var spares []Token
	for s := range f.sessions {
		spares = append(spares, s.extra...)
	}
	slices.Sort(spares)
	spares = slices.Compact(spares)
	return slices.DeleteFunc(spares, f.inUse)
}

// lose takes a reservation off the books that did not hold when it was needed:
// the session that had made it is gone, whether the pool has noticed or not.
func (f *Fleet) lose(t Token) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.void(t)
}

// void takes all reservations of a token off the books.
func (f *Fleet) void(t Token) {
	for s := range f.sessions {
		if i := slices.Index(s.extra, t); i >= 0 {
			s.extra, s.void = slices.Delete(s.extra, i, i+1), append(s.void, t)
		}
	}
}

// inUse reports whether a token has its session, or a dial that becomes it.
func (f *Fleet) inUse(t Token) bool {
	for s := range f.sessions {
		if s.token == t {
			return true
		}
	}
	return f.dialing(t)
}

// dialing reports whether a dial relies on the reservation of a token.
func (f *Fleet) dialing(t Token) bool {
	for p := range f.dials {
		if p.token == t {
			return true
		}
	}
	return false
}

// reservers are the sessions that hold a token for a dial, by process id.
func (f *Fleet) reservers(t Token) []uint32 {
	var pids []uint32
	for s := range f.sessions {
		if slices.Contains(s.extra, t) {
			pids = append(pids, s.pid)
		}
	}
	return pids
}

// owe gives up a reservation for others: it was another session's that has just been closed
// for them, and until the session that had made it lets go the token is not free.
func (f *Fleet) owe(t Token) {
	if len(f.reservers(t)) > 0 {
		f.void(t)
		f.owedAt = time.Now()
	}
}

// owing is how many tokens come free by themselves as soon as the sessions that hold them are
// at hand. When that takes long, because they are busy, other sessions are closed.
func (f *Fleet) owing() (n int) {
	if time.Since(f.owedAt) > 4*f.interval() {
		return 0
	}
	for s := range f.sessions {
		n += len(s.void)
	}
	return n
}

// keepOwed takes reservations back that were given up for others and are still held, now that this
// replica is the one that lacks a token.
func (f *Fleet) keepOwed(now lockView) {
	lacking := f.lacking() - len(f.spares())
	for s := range f.sessions {
		for i := len(s.void) - 1; i >= 0 && lacking > 0; i-- {
			if t := s.void[i]; slices.Contains(now.tokens[s.pid], t) && !f.inUse(t) {
				s.void, s.extra = slices.Delete(s.void, i, i+1), append(s.extra, t)
				lacking--
			}
		}
	}
}

// Gone says that the server has ended the session: its connection was seen to
// close from the far end, not merely given up. Its token is then free.
func (s *Session) Gone() {
	f := s.f
	f.mu.Lock()
	if _, ours := f.sessions[s]; ours {
		f.remove(s)
		if f.give > 0 {
			f.give--
			f.owe(s.token)
		}
	}
	f.mu.Unlock()
	f.changed()
}

// remove forgets a session. Without the last one the replica is a newcomer
// again; if the others are too, as after a restart of the server, they should not
// all come at once.
func (f *Fleet) remove(s *Session) {
	f.forget(s)
	if len(f.sessions) > 0 {
		return
	}
	members := len(f.view.Members)
	if members > f.plan.Tokens {
		// Another's turn: those that had to wait have one before this replica tries again.
		f.waitBetween(scarceTurn, 3*scarceTurn)
	} else {
		f.wait(comeBack(members))
	}
	f.expected, f.give, f.lostAt = members, 0, time.Now()
}

// forget takes a session off the books.
func (f *Fleet) forget(s *Session) {
	delete(f.sessions, s)
	if f.speaker == s {
		f.speaker = nil // what it said is not heard any more
	}
}

// Surplus is asked when the session is given back, and says whether it is to be
// closed: it has lost its token (DISCARD ALL and pg_advisory_unlock_all do that), has
// one beyond the budget that can be replaced, it is the one on which this replica
// saw that another lacks one (any other may be busy for a long time), or it keeps a
// token from others that was given up for them.
func (s *Session) Surplus() bool {
	f := s.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ours := f.sessions[s]; !ours || f.noLocks != "" {
		return false
	}
	if s.token == 0 || f.beyond(s.token) && len(f.spares()) > 0 {
		return true
	}
	return s.leaving || len(s.void) > 0 && f.owing() > 0 && len(f.sessions) > 1
}

// beyond reports whether a token is none that the plan knows any more.
func (f *Fleet) beyond(t Token) bool { return int(t) > f.plan.Tokens+f.plan.Headroom }
