package fleet

import (
	"context"
	"errors"
	"slices"
	"time"
)

var errLost = errors.New("this session has lost its advisory locks; DISCARD ALL and pg_advisory_unlock_all() do that")

// poll looks at the fleet on one session and does what there is to do: one
// round trip, a second when tokens change hands, a third when this session leaves
// the headroom.
func (f *Fleet) poll(ctx context.Context, s *Session, l Locks) error {
	ask, err := f.begin(s)
	if err != nil {
		return err
	}
	resp, err := l.Do(ctx, ask)
	if err != nil {
		return err
	}
	if resp.Seen.PID != l.PID() {
		f.giveUpLocks(behindPooler)
		return nil
	}
	act, err := f.decide(s, resp.Seen)
	for err == nil && (act.Claim > 0 || len(act.Drop) > 0) {
		if resp, err = l.Do(ctx, act); err == nil {
			act = f.take(s, resp.Claimed)
		}
	}
	return err
}

// begin is the look itself, with what this session has to let go of and to say.
// The ledger forgets a token before the server is told, never after.
func (f *Fleet) begin(s *Session) (Request, error) {
	load := f.host.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.token == 0 {
		return Request{}, errLost
	}
	f.looks++
	f.assess(load)
	ask := f.speak(s)
	ask.Look = true
	ask.Drop = append(f.letGo(s, f.inUse), s.void...)
	s.void = nil
	return ask, nil
}

// letGo takes tokens that the session reserved off the ledger.
func (f *Fleet) letGo(s *Session, drop func(Token) bool) []Token {
	var gone []Token
	s.extra = slices.DeleteFunc(s.extra, func(t Token) bool {
		if !f.dialing(t) && drop(t) {
			gone = append(gone, t)
			return true
		}
		return false
	})
	return gone
}

// assess turns load into demand. It rises at once and falls by a quarter per
// look, so that a pause between two requests does not give a connection away.
func (f *Fleet) assess(load Load) {
	f.max, f.keep = load.Max, load.Keep
	f.demand = max(min(load.Max, load.Busy+load.Waiting), f.demand*3/4)
}

// speak tells the others this replica's demand: if there is news, and again and
// again while it is not met.
func (f *Fleet) speak(s *Session) Request {
	if f.speaker != nil && f.told == f.demand && f.demand <= len(f.sessions) {
		return Request{}
	}
	f.told, f.speaker, f.serial = f.demand, s, f.serial+1
	said := Request{Retract: s.said, Publish: []uint32{demandValue(f.serial, f.told)}}
	if f.opts.Part != "" {
		said.Part = f.opts.Part.Of(f.seen.Limits.Allowed())
	}
	s.said = said.Publish
	return said
}

// learn takes in what was seen, of which so many sessions are the fleet's.
func (f *Fleet) learn(seen *Snapshot, now lockView, ours int) {
	usable := seen.Limits.Usable(seen.Sessions, ours)
	usable = min(usable, f.opts.Part.Of(seen.Limits.Allowed()))
	f.usable = append([]int{usable}, f.usable...)[:min(3, len(f.usable)+1)]
	// The best of three: a session that starts or ends has no token for a moment
	// and would count as a stranger's.
	f.plan = plan(slices.Max(f.usable), f.opts.Surge, f.opts.Part == "")
	f.view = now.view(f.plan.Tokens)
	f.view.Clock = seen.Clock
	f.reserve()
	f.discount()
	f.seen = seen
}

// decide compares what was seen with the ledger, and acts.
func (f *Fleet) decide(s *Session, seen *Snapshot) (Request, error) {
	lost := 0
	defer func() { f.warnOfLost(lost) }()
	f.mu.Lock()
	defer f.mu.Unlock()
	now := lockViewOf(seen, f.keys)
	f.learn(seen, now, now.holders())
	lost = f.audit(seen, now)
	if s.token == 0 {
		return Request{}, errLost
	}
	move := f.view.Decide(f.id)
	act := Request{Claim: f.moderate(move), UpTo: Token(f.plan.Tokens)}
	if move.Give > 0 {
		act.Drop = f.letGo(s, func(t Token) bool { move.Give--; return move.Give >= 0 })
	}
	f.give = max(0, move.Give)
	return act, nil
}

// audit believes the server: a session that lost its locks has no token. It
// says how many lost theirs since the last look.
func (f *Fleet) audit(seen *Snapshot, now lockView) (lost int) {
	for s := range f.sessions {
		if s.server != seen.Server || s.born >= f.looks || s.token == 0 {
			continue
		}
		held := now.tokens[s.pid]
		if !slices.Contains(held, s.token) {
			s.token = 0
			lost++
		}
		s.extra = slices.DeleteFunc(s.extra, func(t Token) bool { return !slices.Contains(held, t) })
	}
	return lost
}

func (f *Fleet) warnOfLost(sessions int) {
	if sessions > 0 {
		f.opts.Log.Warn("fleet: sessions have lost their place in the budget and will be closed", "service", f.opts.Service, "sessions", sessions, "err", errLost)
	}
}

// moderate tames a claim.
func (f *Fleet) moderate(move Move) int {
	v, n := f.view, len(f.view.Members)
	claim, owned := move.Claim, f.owned()
	if v.Plenty() >= 2*n && len(f.spares()) == 0 && owned < min(f.max, max(f.demand+1, f.keep)) {
		claim = max(claim, 1, min(f.keep-owned, v.Plenty()-n)) // one ahead, or to replace some, while there is plenty
	}
	claim = min(claim, f.ceiling(n)-owned, f.vacant())
	return max(0, min(claim, max(1, owned, v.Free/max(1, n))))
}

// vacant is how many free tokens have a slot on the server by this very look.
// Sessions without a token are no reason to give tokens back, for most are about
// to enter or to end, but until then they are in the way.
// So are those with tokens that are to be given back.
func (f *Fleet) vacant() int {
	passing, over := f.plan.Usable-f.usable[0], 0
	for _, m := range f.view.Members {
		over += m.Over
	}
	return f.view.Free + f.plan.People - passing - max(0, over-f.plan.Headroom)
}

const (
	// settleTime is how long replicas that are not there are expected: after
	// this one started or the server did, and in a fleet that is too large,
	// where they take turns.
	settleTime = 3 * time.Second
	// growTime is how long a newcomer takes to double at first, when it is not
	// known how many others are about to come.
	growTime = settleTime / 6
)

// ceiling is the most tokens to own for the time being, with n replicas there.
// An eighth of the budget may always be had.
func (f *Fleet) ceiling(n int) int {
	if n > f.plan.Tokens {
		f.crowded = time.Now()
	}
	age, expected := time.Since(f.rejoined), max(n, f.expected, f.opts.Replicas)
	switch {
	case time.Since(f.crowded) < settleTime:
		return 1
	case age >= settleTime:
		return f.max
	case expected > n:
		return max(1, f.plan.Tokens/expected)
	}
	return max(1<<(age/growTime), f.plan.Tokens/8)
}

// take books claimed tokens. A session of the headroom moves to one of them.
func (f *Fleet) take(s *Session, claimed []Token) Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(claimed) > 0 && int(s.token) > f.plan.Tokens {
		left := s.token
		s.token, claimed = claimed[0], claimed[1:]
		s.extra = append(s.extra, claimed...)
		return Request{Drop: []Token{left}}
	}
	s.extra = append(s.extra, claimed...)
	return Request{}
}
