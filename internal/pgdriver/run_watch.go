package pgdriver

import (
	"context"
	"errors"
	"os"
	"time"
)

// longAgo interrupts whoever reads, or is about to.
var longAgo = time.Unix(1, 0)

// isDeadline reports whether a deadline of ours passed. A peer that the kernel
// has given up calls itself a timeout too.
func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// watch interrupts the leader when ctx ends, until the function it returns is called.
func (r *Run) watch(ctx context.Context) (end func()) {
	r.mu.Lock()
	r.watched++
	r.interrupted = false
	watched := r.watched
	r.deadline = r.due()
	r.setDeadlineLocked()
	r.mu.Unlock()
	stop := func() bool { return true }
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, func() { r.interrupt(watched) })
	}
	return func() {
		stop()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.watched++
		_ = r.link.pg.Conn().SetReadDeadline(time.Time{})
	}
}

// interrupt ends the present read, if the leader is still the same.
func (r *Run) interrupt(watched int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watched == watched {
		r.interrupted = true
		r.setDeadlineLocked()
	}
}

func (r *Run) wasInterrupted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.interrupted
}

// expect sets the time by which the next answer should be there. When only the
// caller whose it is waits for it, the statement may take its time.
func (r *Run) expect() {
	until := r.due()
	if until.Equal(r.deadline) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = until
	r.setDeadlineLocked()
}

func (r *Run) due() time.Time {
	if r.mute != nil {
		return r.last.Add(cancelGrace)
	}
	if r.next == len(r.calls) || r.calls[r.next] == r.leader && !r.waitsBehind() {
		return time.Time{}
	}
	return r.last.Add(r.patience())
}

func (r *Run) setDeadlineLocked() {
	until := r.deadline
	if r.interrupted {
		until = longAgo
	}
	_ = r.link.pg.Conn().SetReadDeadline(until)
}

// patience is how long the answers may take that are awaited.
func (r *Run) patience() time.Duration {
	if r.overrun {
		return cancelGrace
	}
	expected := r.link.table.Floor()
	for _, c := range r.calls[r.next:r.sent] {
		expected += c.st.Cost()
	}
	return 2*expected + r.link.table.grace()
}

// waitsBehind reports whether somebody waits for an answer that comes after the next.
func (r *Run) waitsBehind() bool {
	for _, c := range r.calls[min(r.next+1, len(r.calls)):] {
		if c.isOpen() {
			return true
		}
	}
	return false
}

// overran frees those who wait behind a statement that takes too long. c is
// whose caller leads; it reports false when that one is not to lead any longer.
func (r *Run) overran(c *Call) bool {
	current := r.calls[r.next]
	if !r.overrun {
		r.overrun = true
		now := time.Now()
		current.st.Slow(now.Sub(r.last), now)
		r.release()
	} else if r.waitsBehind() {
		r.cancel() // they cannot go elsewhere; it is executed again, alone
	}
	if !current.isOpen() {
		r.cancel()
	}
	r.wake()
	if r.cancels > maxCancels {
		r.broken(ErrLost)
		return true
	}
	r.last = time.Now()
	r.expect()
	return c == nil || c.isOpen()
}

// release lets go everybody behind the statement that is executed who may be
// executed elsewhere: because nothing was sent yet, or twice does not matter.
func (r *Run) release() {
	for i := r.next + 1; i < len(r.calls); i++ {
		if i >= r.sent || r.calls[i].st.Repeatable() {
			r.calls[i].settle(Answer{Again: true})
			r.calls[i].wake()
		}
	}
	r.calls = r.calls[:max(r.sent, r.next+1)]
}

// handOn has another caller lead, or a goroutine when nobody waits any more.
func (r *Run) handOn() {
	r.wake()
	for _, c := range r.calls[r.next:] {
		if c.state.CompareAndSwap(callWaiting, callChosen) {
			r.host.HandOn(c)
			c.wake()
			return
		}
	}
	r.host.HandOn(nil)
	go r.lead(context.Background(), nil) // ends with the session at the latest; Host.Over tells when
}

// cancel has what is executed cancelled, unless it was before.
func (r *Run) cancel() {
	r.canceled = true
	if r.ended == nil {
		r.cancels = 0
		r.ended = r.host.Cancel()
	}
	r.cancels++
}

// cancelEnded waits for the end of a cancel request that is under way. The host
// may have moved the session's deadline for it.
func (r *Run) cancelEnded() {
	if r.ended == nil {
		return
	}
	r.ended()
	r.ended = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setDeadlineLocked()
}
