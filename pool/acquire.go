package pool

import (
	"context"
	"errors"
	"time"
)

// enter gets a permit for one database/sql call on behalf of ctx, waiting in
// the caller's lane for at most pool_timeout. The returned context carries the
// permit and everything that ctx carries.
func (p *Pool) enter(ctx context.Context) (*permitContext, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pc := &permitContext{Context: ctx}
	k := &pc.permit
	k.asked = time.Now()
	k.lane, k.name, k.scope = laneOf(ctx), nameOf(ctx), scopeOf(ctx).of(p)
	k.by.capture()
	k.outer = k.scope.holding()
	p.setDeadline(ctx, k)
	pc.Context = p.observer.AcquireStart(ctx, k.lane, k.name)
	err := p.admit(ctx, k)
	p.observer.AcquireEnd(pc.Context, k.lane, k.name, time.Since(k.asked), err)
	if err != nil {
		return nil, err
	}
	return pc, nil
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
		return p.explain(k, ErrNested)
	}
	if p.gate.enter(k, k.asked) {
		return nil
	}
	if k.ready == nil {
		return p.explain(k, k.err)
	}
	p.gate.demand()
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

// leave ends the database/sql call with k.
func (p *Pool) leave(k *permit) {
	if p.gate.returned(k) {
		p.released(k)
	}
}

// released is called once for each permit that came back.
func (p *Pool) released(k *permit) {
	p.observer.Released(k.lane, k.name, time.Since(k.granted))
	if k.warned {
		p.keeper.allClear(k)
	}
	p.gate.demand() // a smaller number of holders may leave room for a dial
}

// maxLooks bounds how often one call goes back to database/sql because every
// connection it was given turned out dead: after a server restart, all of them.
const maxLooks = 100

// look runs one database/sql call under the permit of pc, and again while
// database/sql reports driver.ErrBadConn: by contract that means that nothing
// was done, and here that the connections it tried have been removed.
func look[T any](p *Pool, pc *permitContext, call func() (T, error)) (T, error) {
	defer p.leave(&pc.permit)
	for i := 0; ; i++ {
		result, err := call()
		if err == nil || !isBadConn(err) || i == maxLooks || pc.Err() != nil {
			return result, p.translate(&pc.permit, err)
		}
	}
}

// translate gives errors of the driver seam the form that callers branch on.
func (p *Pool) translate(k *permit, err error) error {
	if err == ErrPoolTimeout || err == ErrClosed {
		return p.explain(k, err)
	}
	return err
}
