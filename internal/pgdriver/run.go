package pgdriver

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrLost is the error of a statement whose connection closed without an error
// message of the server after the statement was sent.
var ErrLost = fmt.Errorf("pool: connection lost while a statement was under way, it may have been executed: %w", io.ErrUnexpectedEOF)

// Host is whose session a run uses.
type Host interface {
	// Cancel asks the server to cancel what the session executes, in the
	// background. The function it returns is called when that has ended; it
	// returns when no request is under way any more.
	Cancel() (ended func())
	// HandOn is called when another caller leads from now on, before that one is
	// told; to is nil when it is a goroutine of the run's own.
	HandOn(to *Call)
	// Over takes the session back: its run is over. It is called once, by
	// whoever carried the run to its end, before the callers are woken. err is
	// why the session cannot go on; nil when it can.
	Over(err error)
}

// Run is a run of statements on one session: sent in one pipeline, each with a
// Sync of its own, so that each is a transaction of its own and fails alone.
//
// It has no goroutine. The caller of its first statement sends them and reads
// the answers, see Call.Lead; if that caller's context ends, another carries on. Only
// when nobody is left who could does a goroutine read the rest.
//
// All fields but those under mu are the leader's. Whoever leads next got to
// know so by being woken, or started.
type Run struct {
	link  *Link
	host  Host
	calls []*Call

	sent   int   // calls that were sent
	next   int   // the call whose answer comes next: those before it are answered
	flight []int // bytes of each request that was sent
	bytes  int   // of the requests that are sent and not answered
	tidied bool  // what was dropped from the session was deallocated
	closes bool  // the answer to that comes first
	leader *Call // whose caller leads; nil for the goroutine
	mute   error // why nothing more can be sent
	answer answer

	began    time.Time
	last     time.Time // the latest answer came, or the run began
	deadline time.Time // when what is executed has overrun; zero when nobody is kept waiting by it
	overrun  bool      // something did: those who could go elsewhere have gone
	canceled bool      // a cancel request was sent into this run
	cancels  int       // how often what is executed now was to be cancelled
	ended    func()    // of the cancel request that is under way

	mu          sync.Mutex // guards all below, and the read deadline of the session's socket
	watched     int        // how many leaders were watched
	interrupted bool       // the present leader's context has ended
}

// The time that a statement may take beyond what is expected of it before
// those behind it are freed: by being executed elsewhere, or, for those that
// may not be executed twice, by having it cancelled and executed alone.
const (
	overrunGrace = 20 * time.Millisecond // at least; see Table.grace
	cancelGrace  = time.Second
	maxCancels   = 3 // then the session is given up
)

// Begin begins a run of calls on a session that its host has lent it, and
// returns the call whose caller is to Lead it: the first that has not left. The
// host tells that caller. Nothing is sent before that. When everybody has left it
// returns nil, and the session is the host's as before.
func Begin(l *Link, h Host, calls []*Call) (leader *Call) {
	for len(calls) > 0 && !calls[0].state.CompareAndSwap(callWaiting, callLeading) {
		calls = calls[1:]
	}
	if len(calls) == 0 {
		return nil
	}
	r := &Run{link: l, host: h, calls: calls, flight: make([]int, 0, len(calls))}
	for _, c := range calls {
		c.run = r
	}
	return calls[0]
}

// Lead carries the call's run on: until the run is over, or ctx ends, or others
// need it and the call itself does not. Afterwards Answer tells what became of
// the call. It reports false when ctx ended before that was known.
func (c *Call) Lead(ctx context.Context) (answered bool) {
	if c.state.CompareAndSwap(callChosen, callLeading) {
		<-c.ready // until then the run is in the hands of the caller who led before
	}
	if ctx.Err() != nil && c.state.CompareAndSwap(callLeading, callGone) {
		c.run.handOn()
		return false
	}
	c.run.lead(ctx, c)
	return !c.isLeft()
}

// lead is Lead of c, which is nil in the goroutine that reads what nobody waits for.
func (r *Run) lead(ctx context.Context, c *Call) {
	if r.last.IsZero() {
		r.last = time.Now()
		r.began = r.last
	}
	r.leader = c
	end := r.watch(ctx)
	for r.next < len(r.calls) {
		err := r.advance()
		if err == nil {
			continue
		}
		if r.carryOn(c, err) {
			continue
		}
		end()
		r.handOn()
		return
	}
	end()
	r.finish()
}

// advance sends what may be sent and takes in one message.
func (r *Run) advance() error {
	r.send()
	if r.next == r.sent || r.next == len(r.calls) {
		return r.mute
	}
	msg, err := r.link.pg.ReceiveMessage(context.Background())
	if err != nil {
		return err
	}
	return r.receive(msg)
}

// carryOn deals with an error: a session that has ended, a leader whose context
// has, or a statement that takes too long. It reports false when c is not to
// lead any longer.
func (r *Run) carryOn(c *Call, err error) bool {
	switch {
	case !isDeadline(err) || r.link.pg.IsClosed():
		r.broken(err)
		return true
	case r.wasInterrupted():
		c.state.CompareAndSwap(callLeading, callGone)
		return false
	case r.deadline.IsZero() || time.Now().Before(r.deadline):
		return true // it was moved meanwhile
	case r.mute != nil:
		r.broken(r.mute)
		return true
	}
	return r.overran(c)
}

// finish gives the session back and wakes everybody.
func (r *Run) finish() {
	r.cancelEnded()
	r.link.table.ran(r.last.Sub(r.began))
	r.host.Over(r.failure())
	r.wake()
}

// wake wakes the callers whose answers are there.
func (r *Run) wake() {
	for _, c := range r.calls {
		if c.state.Load() == callSettled {
			c.wake()
		}
	}
}

// failure is why the session cannot go on.
func (r *Run) failure() error {
	switch {
	case r.answer.lost != nil:
		return r.answer.lost
	case r.link.pg.IsClosed():
		return ErrLost
	}
	return nil
}
