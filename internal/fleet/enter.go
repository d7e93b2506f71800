package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// NoRoomError says that a session without a token found none: it must be closed.
type NoRoomError struct {
	Members int // live replicas, this one not counted
	Plan    Plan
}

// Error tells a fleet that is too large from one that is busy.
func (e *NoRoomError) Error() string {
	if e.Members >= e.Plan.Tokens {
		return fmt.Sprintf("fleet: %s and this one do not fit into %d connections: run fewer, or raise max_connections or DB_FLEET_BUDGET",
			Count(e.Members, "live replica"), e.Plan.Tokens+e.Plan.Headroom)
	}
	return fmt.Sprintf("fleet: all %d connections of the service are taken, by %s; they make room",
		e.Plan.Tokens+e.Plan.Headroom, Count(e.Members, "replica"))
}

// Enter takes a new session into the budget, before anything else is run on it.
// It ends the permit. After an error the session must be closed.
func (f *Fleet) Enter(ctx context.Context, p *Permit, l Locks) (*Session, error) {
	defer f.changed()
	s := &Session{f: f, pid: l.PID()}
	err := f.enter(ctx, p, s, l)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.dials, p)
	if err != nil {
		f.forget(s)
		f.notEntered(p, err)
		return nil, err
	}
	if len(f.sessions) == 0 {
		f.rejoined = time.Now()
		f.waited = time.Since(f.lostAt)
	}
	if p.token == 0 {
		f.backoff = max(0, f.backoff-2)
	}
	f.failures, f.stuck, f.woken = 0, false, true
	f.sessions[s], s.born = struct{}{}, f.looks
	return s, nil
}

// notEntered arranges the next dial after a session that did not get in.
func (f *Fleet) notEntered(p *Permit, err error) {
	if p.token == 0 && errors.As(err, new(*NoRoomError)) {
		f.backOff()
		return
	}
	f.failed(p)
}

// enter takes over the permit's token. Where there is none, or the session
// that had reserved it is gone and the token with it, it looks for another.
func (f *Fleet) enter(ctx context.Context, p *Permit, s *Session, l Locks) error {
	f.mu.Lock()
	bind := Request{Join: f.memberID(), Bind: p.token, Known: f.reservers(p.token), Guard: true, Unread: f.opts.Unread}
	s.server, s.token = f.server, p.token
	outside := f.noLocks != ""
	f.mu.Unlock()
	if outside {
		return f.enterOutside(ctx, s, l)
	}
	if p.token != 0 {
		if resp, err := l.Do(ctx, bind); err != nil || resp.Bound {
			return err
		}
		f.lose(p.token)
	}
	resp, err := l.Do(ctx, Request{Look: true})
	if err != nil {
		return err
	}
	if resp.Seen.PID != l.PID() { // before any lock is taken there
		f.giveUpLocks(behindPooler)
		return nil
	}
	return f.claimFirst(ctx, s, l, resp.Seen)
}

// claimFirst makes the replica known to the others and takes a token, one of
// the headroom at worst.
func (f *Fleet) claimFirst(ctx context.Context, s *Session, l Locks, seen *Snapshot) error {
	if !f.arrive(s, seen) {
		f.giveUpLocks(severalServers)
		return nil
	}
	load := f.host.Load()
	f.mu.Lock()
	// Sessions of the fleet that are about to enter or to end, this one among
	// them, hold no token and are no strangers either.
	now := lockViewOf(seen, f.keys)
	f.roles = now.roles(seen)
	ours, _ := now.ours(f.roles)
	ours.All = max(ours.All, seen.Sessions.Peers+ours.OtherRoles)
	f.learn(seen, now, ours)
	f.assess(load)
	claim := f.speak(s)
	claim.Join, claim.Guard, claim.Unread = f.memberID(), true, f.opts.Unread
	claim.Claim, claim.UpTo = 1, Token(f.plan.Tokens+f.plan.Headroom)
	full := &NoRoomError{Members: len(f.view.Members), Plan: f.plan}
	// This session is no newcomer's if there are others. Then what it may have is what
	// it would have claimed on one of those.
	have := len(f.sessions)
	taken := have > 0 && f.guaranteed() <= have && f.free() <= 0
	f.mu.Unlock()
	if taken {
		return full
	}
	resp, err := l.Do(ctx, claim)
	switch {
	case err != nil:
		return err
	case len(resp.Claimed) == 0:
		return full
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.token = resp.Claimed[0] // of a session that others may know already; see retry
	return nil
}

// move is one from a server to another.
type move struct {
	from string
	at   time.Time
	back bool // to a server that had been left
}

// moveTime is how long a move is remembered. One move back within that time is a
// failover that was undone; a second one shows that connections go here and there.
const moveTime = time.Minute

// arrive notes where the tokens are. Sessions on another server, or on this one
// before it started, hold nothing that counts here. It is false when servers
// that were left a moment ago are met again and again: then new connections are
// spread over several, and no single one knows them all.
func (f *Fleet) arrive(s *Session, seen *Snapshot) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.server = seen.Server
	if f.server == seen.Server {
		return true
	}
	f.moves = slices.DeleteFunc(f.moves, func(m move) bool { return time.Since(m.at) > moveTime })
	back := slices.ContainsFunc(f.moves, func(m move) bool { return m.from == seen.Server })
	if back && slices.ContainsFunc(f.moves, func(m move) bool { return m.back }) {
		return false
	}
	f.moves = append(f.moves, move{f.server, time.Now(), back})
	f.settleAt(seen.Server)
	return true
}

// settleAt makes a server the one where the tokens are.
func (f *Fleet) settleAt(server string) {
	f.server, f.usable, f.known, f.arrived = server, nil, nil, nil
	for s := range f.sessions {
		s.token, s.extra = 0, nil
	}
}

// memberID is this replica's name among the members, made up when needed.
func (f *Fleet) memberID() uint32 {
	for f.id == 0 {
		f.id = f.rand.Uint32()
	}
	return f.id
}
