package fleet

import (
	"context"
	"errors"
	"slices"
	"time"
)

var errLost = errors.New("this session has lost its advisory locks; DISCARD ALL and pg_advisory_unlock_all() do that")

// probe asks whether another replica lacks something.
func (f *Fleet) probe(ctx context.Context, s *Session, l Locks) error {
	f.mu.Lock()
	f.lastProbe = f.jitteredNow()
	f.mu.Unlock()
	resp, err := l.Do(ctx, Request{Probe: true})
	if err != nil {
		return err
	}
	load := f.host.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.assess(load)
	f.alarm = resp.Alarm && time.Now().After(f.deaf)
	return nil
}

// poll looks at the fleet on one session and does what there is to do: one
// round trip, and a second when tokens change hands.
func (f *Fleet) poll(ctx context.Context, s *Session, l Locks) error {
	if f.outside() {
		return f.retry(ctx, s, l)
	}
	early, demand := f.beginLook()
	claimed, err := f.exchange(ctx, s, l)
	f.endLook(early && claimed == 0 && f.wants() <= demand, claimed)
	return err
}

// exchange is the statements of a look. It returns how many tokens were claimed.
func (f *Fleet) exchange(ctx context.Context, s *Session, l Locks) (claimed int, err error) {
	ask, err := f.begin(s)
	if err != nil {
		return 0, err
	}
	resp, err := l.Do(ctx, ask)
	if err != nil {
		return 0, err
	}
	if resp.Seen.PID != l.PID() {
		f.giveUpLocks(behindPooler)
		return 0, nil
	}
	s.alarms = append(s.alarms, resp.Raised...)
	act, err := f.decide(s, resp.Seen)
	for tries := 0; err == nil && (act.Claim > 0 || len(act.Drop) > 0); {
		if resp, err = l.Do(ctx, act); err != nil {
			break
		}
		if tries++; resp.Busy && tries < claimTries {
			act.Drop = nil // which is done
			continue
		}
		claimed += len(resp.Claimed)
		act = f.take(s, resp.Claimed)
	}
	return claimed, err
}

// claimTries is how often a claim is sent that meets another's. Each takes a
// millisecond.
const claimTries = 4

func (f *Fleet) wants() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.demand
}

// beginLook reports whether this look is an early one, and the demand before it.
func (f *Fleet) beginLook() (early bool, demand int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	early, f.woken = f.woken, false
	return early, f.demand
}

// endLook arranges when to look again. What was in vain is not repeated early,
// whoever asks for it.
func (f *Fleet) endLook(vain bool, claimed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.lastLook = f.jitteredNow()
	f.lastProbe = f.lastLook
	if vain {
		f.hush = now.Add(f.steadyInterval())
	}
	if f.alarm && f.give == 0 && claimed == 0 {
		f.deaf = now.Add(f.steadyInterval())
	}
	f.alarm = false
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
	var ask Request
	if !f.kept {
		ask = f.speak(s)
	}
	f.kept = false
	ask.Look = f.seen == nil || time.Since(f.seenAt) >= f.fullInterval() || s.server != f.server
	ask.Glance = !ask.Look
	ask.Drop = append(f.letGo(s, f.inUse), s.void...)
	s.void = nil
	f.sound(s, &ask)
	return ask, nil
}

// sound raises the alarm while this replica lacks something: the others look only
// if they hear one.
func (f *Fleet) sound(s *Session, ask *Request) {
	lacks := f.lacking() > 0 || f.free() < 0
	ask.Raise = lacks && time.Since(f.raised) >= alarmTurn*3/4
	if ask.Raise {
		f.raised = time.Now()
	}
	if ask.Raise || !lacks {
		ask.Hush, s.alarms = s.alarms, nil
	}
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
	f.demand = max(min(load.Max, load.Wanted), f.demand*3/4)
	if f.most > 0 {
		f.demand = min(f.demand, f.most)
	}
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
func (f *Fleet) learn(seen *Snapshot, now lockView, ours Ours) {
	limits := seen.Limits
	if limits.bounds(ours) {
		limits = limits.shared()
	}
	allowed := f.opts.Part.Of(limits.Allowed())
	// The best of three: a session that starts or ends has no token for a moment
	// and would count as a stranger's.
	f.usable = lastThree(f.usable, min(limits.Usable(seen.Sessions, ours), allowed))
	f.plan = plan(slices.Max(f.usable), f.opts.Surge, f.opts.Part == "").pressed(f.promised(allowed))
	f.view, f.viewAt = now.view(f.plan), time.Now()
	f.view.Clock = seen.Clock
	f.learnRole(seen, ours)
	if n := len(f.view.Members); n >= f.size || time.Since(f.sizeAt) > moveTime {
		f.size, f.sizeAt = n, f.viewAt
	}
	f.reserve()
	f.discount()
	if !seen.Brief {
		f.seen, f.seenAt = seen, f.viewAt
	}
}

// promised is how many tokens the service does not give up to others: those of a
// budget in plain numbers.
func (f *Fleet) promised(allowed int) int {
	if !f.opts.Part.Absolute() {
		return 0
	}
	return allowed - headroom(allowed, f.opts.Surge)
}

// complete adds what a glance does not tell, as it was when everything was asked
// for last. How many sessions there are in all it does tell.
func (f *Fleet) complete(s *Session, seen *Snapshot) {
	if !seen.Brief {
		return
	}
	seen.Server, seen.Limits = s.server, f.seen.Limits
	more := seen.Sessions.Server - f.seen.Sessions.Server
	seen.Sessions.Role = max(0, f.seen.Sessions.Role+more)
	seen.Sessions.Database = max(0, f.seen.Sessions.Database+more)
	seen.Sessions.Peers = max(0, f.seen.Sessions.Peers+more)
}

// decide compares what was seen with the ledger, and acts.
func (f *Fleet) decide(s *Session, seen *Snapshot) (Request, error) {
	lost := 0
	defer func() { f.warnOfLost(lost) }()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.complete(s, seen)
	now := lockViewOf(seen, f.keys)
	if !seen.Brief {
		f.roles = now.roles(seen)
	}
	ours, certain := now.ours(f.roles)
	f.learn(seen, now, ours)
	if !certain && seen.Limits.RoleLimit >= 0 {
		f.seenAt = time.Time{} // ask for everything next time
	}
	lost = f.audit(seen, now)
	if s.token == 0 {
		return Request{}, errLost
	}
	move := f.move()
	if move.Give == 0 {
		f.keepOwed(now)
	}
	move.Give = max(0, move.Give-f.owing())
	act := Request{Claim: f.moderate(move), UpTo: Token(f.plan.Tokens + f.plan.Headroom), Most: f.view.Budget}
	if f.inTurn() {
		move.Give = 0
	}
	if move.Give > 0 {
		act.Drop = f.letGo(s, func(t Token) bool { move.Give--; return move.Give >= 0 })
	}
	if len(f.dials) > 0 { // what they bring is given rather than the only session that serves
		move.Give = min(move.Give, len(f.sessions)-1)
	}
	f.give = max(0, move.Give)
	s.leaving = f.give > 0
	return act, nil
}

// longestTurn bounds how long a replica keeps its only session in a fleet that is too large.
const longestTurn = 5 * time.Second

// inTurn reports whether this replica, in a fleet that has more replicas than tokens,
// has just got one after a long wait. Then many are waiting, and if each had a
// token for no more than scarceTurn they would spend their time on dialing.
func (f *Fleet) inTurn() bool {
	return len(f.view.Members) > f.plan.Tokens && len(f.sessions) == 1 && time.Since(f.rejoined) < min(f.waited/4, longestTurn)
}

// audit believes the server: a session that lost its locks has no token, and one
// that has more than the ledger says, for a step that was refused, lets go of
// them. It says how many lost theirs since the last look.
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
		for _, t := range held {
			if t != s.token && !slices.Contains(s.extra, t) && !slices.Contains(s.void, t) {
				s.void = append(s.void, t)
			}
		}
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
	vacant := f.view.Free + f.plan.People - passing - over
	if f.role != nil {
		vacant = min(vacant, f.role.Free)
	}
	return vacant
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
	return max(1<<(age/growTime), min(2, f.plan.Tokens/8))
}

// take books claimed tokens. A session whose token is beyond the plan, because that
// has become smaller, moves to one of them.
func (f *Fleet) take(s *Session, claimed []Token) Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(claimed) > 0 && f.beyond(s.token) {
		left := s.token
		s.token, claimed = claimed[0], claimed[1:]
		s.extra = append(s.extra, claimed...)
		return Request{Drop: []Token{left}}
	}
	s.extra = append(s.extra, claimed...)
	return Request{}
}
