package pool

import (
	"context"
	"errors"
	"time"
)

// enter gets a permit for one database/sql call on behalf of ctx, waiting in
// the caller's lane for at most pool_timeout. The returned context carries the
// permit and everything that ctx carries. Its own caller is called by whoever
// asks for a connection.
func (p *Pool) enter(ctx context.Context) (*permitContext, error) {
	pc := &permitContext{Context: ctx}
	pc.permit.by.capture()
	return pc, p.pass(ctx, pc)
}

// enterFar is enter for callers with a library or two in between.
func (p *Pool) enterFar(ctx context.Context) (*permitContext, error) {
	pc := &permitContext{Context: ctx}
	pc.permit.by.captureFar()
	return pc, p.pass(ctx, pc)
}

// pass fills in the permit of pc and has the gate grant it.
func (p *Pool) pass(ctx context.Context, pc *permitContext) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k := &pc.permit
	k.asked = time.Now()
	k.lane, k.name, k.scope = laneOf(ctx), nameOf(ctx), scopeOf(ctx).of(p)
	k.outer = k.scope.holding()
	p.setDeadline(ctx, k)
	if p.observer == nil {
		return p.admit(ctx, k)
	}
	pc.Context = p.observer.AcquireStart(ctx, k.lane, k.name)
	err := p.admit(ctx, k)
	p.observer.AcquireEnd(pc.Context, k.lane, k.name, time.Since(k.asked), err)
	return err
}

// setDeadline ends the wait at pool_timeout or at ctx's own deadline, whichever is first.
func (p *Pool) setDeadline(ctx context.Context, k *permit) {
	k.deadline = k.asked.Add(p.cfg.PoolTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(k.deadline) {
		k.deadline, k.ownDeadline = d, true
	}
}

// admit lets k through the gate or says why not.
func (p *Pool) admit(ctx context.Context, k *permit) error {
	if p.refuseNested && k.outer != nil {
		p.gate.countNested()
		return p.explain(k, ErrNested)
	}
	if p.gate.enter(k, k.asked) {
		return nil
	}
	if k.ready == nil {
		return p.explain(k, k.err)
	}
	p.gate.demand()
	p.member.kick()
	return p.await(ctx, k)
}

// await waits in the queue.
func (p *Pool) await(ctx context.Context, k *permit) error {
	timer := time.NewTimer(time.Until(k.deadline))
	defer timer.Stop()
	select {
	case <-k.ready:
		return p.served(k)
	case <-timer.C:
		return p.giveUp(k, ErrPoolTimeout)
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return p.giveUp(k, ErrPoolTimeout)
		}
		return p.giveUp(k, ctx.Err())
	}
}

// served is the end of a wait by the gate's decision.
func (p *Pool) served(k *permit) error {
	if k.err != nil {
		return p.explain(k, k.err)
	}
	return nil
}

// giveUp leaves the queue. If the gate decided in the same moment, that counts.
func (p *Pool) giveUp(k *permit, err error) error {
	timedOut := errors.Is(err, ErrPoolTimeout)
	if !p.gate.leave(k, time.Now(), timedOut) {
		<-k.ready
		return p.served(k)
	}
	if !timedOut {
		return err
	}
	return p.explain(k, err)
}

// leave notes that the database/sql call with k has ended.
func (p *Pool) leave(k *permit) {
	if p.gate.returned(k) {
		p.released(k)
	}
}

// released is called once for each permit that came back.
func (p *Pool) released(k *permit) {
	if k.keeping {
		return
	}
	if p.observer != nil {
		p.observer.Released(k.lane, k.name, time.Since(k.granted))
	}
	if k.warned {
		p.keeper.allClear(k)
	}
	if k.hungry {
		p.gate.demand() // a background task less may leave room for a dial
	}
}

// look runs one database/sql call under the permit of pc, and again while
// database/sql reports driver.ErrBadConn: by contract that means that nothing
// was done. Either the connections it tried were dead, after a server restart
// all of them, and have been removed; or one was given back a moment ago and is
// not in database/sql's free list yet.
func look[T any](p *Pool, pc *permitContext, call func() (T, error)) (T, error) {
	defer p.leave(&pc.permit)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		result, err := call()
		if err == nil {
			return result, nil
		}
		if !lookAgain(err) {
			return result, p.translate(&pc.permit, err)
		}
		if err := pc.rest(pause); err != nil {
			return result, p.translate(&pc.permit, err)
		}
	}
}

// Between two looks: long enough in the end not to storm a server on which
// every new connection dies at once.
const (
	firstPause = time.Microsecond
	lastPause  = 50 * time.Millisecond
)

// rest waits a little; it returns why there is no time left for another look.
func (c *permitContext) rest(d time.Duration) error {
	if left := time.Until(c.permit.deadline); left <= 0 {
		return ErrPoolTimeout
	} else if d > left {
		d = left
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.Done():
		return c.Err()
	}
}

// translate gives errors of the driver seam the form that callers branch on. A
// panic goes on as such.
func (p *Pool) translate(k *permit, err error) error {
	if panicked, ok := err.(*panicError); ok {
		panic(panicked.value)
	}
	if err == ErrPoolTimeout || err == ErrClosed {
		return p.explain(k, err)
	}
	return err
}
