package pool

import (
	"context"
	"errors"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// take acquires a connection for ctx: the one entrance to the gate. It waits in
// the caller's lane for at most pool_timeout. The error says why there is none.
func (v *virtual) take(ctx context.Context, w want) error {
	k := &v.permit
	k.want = w
	if k.by.n == 0 {
		k.by.capture()
	}
	return v.p.acquire(ctx, k)
}

// acquire has the gate grant k.
func (p *Pool) acquire(ctx context.Context, k *permit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k.asked = time.Now()
	p.setPatience(ctx, k)
	if k.internal {
		return p.admit(ctx, k)
	}
	k.lane, k.name, k.scope = laneOf(ctx), nameOf(ctx), scopeOf(ctx).of(p)
	k.outer = p.gate.grantOf(k.scope.holding())
	if p.observer == nil {
		return p.admit(ctx, k)
	}
	ctx = p.observer.AcquireStart(ctx, k.lane, k.name)
	err := p.admit(ctx, k)
	if k.offer.shared {
		p.observer.AcquireEnd(ctx, k.lane, k.name, k.waited, nil)
		p.observer.Released(k.lane, k.name, time.Since(k.grantedAt()))
		return nil
	}
	p.observer.AcquireEnd(ctx, k.lane, k.name, time.Since(k.asked), err)
	return err
}

// setPatience ends the wait at pool_timeout or at ctx's own deadline, whichever is first.
func (p *Pool) setPatience(ctx context.Context, k *permit) {
	k.patience, k.ownDeadline = p.cfg.PoolTimeout, false
	if d, ok := ctx.Deadline(); ok {
		if left := d.Sub(k.asked); left < k.patience {
			k.patience, k.ownDeadline = left, true
		}
	}
}

// admit lets k through the gate or says why not.
func (p *Pool) admit(ctx context.Context, k *permit) error {
	if p.cfg.Nested == config.NestedRefuse && k.outer.p != nil {
		p.gate.countNested()
		return p.explain(k, ErrNested)
	}
	return p.explain(k, p.await(ctx, k, p.gate.enter(k, k.asked)))
}

// acquireAgain is acquire for a permit whose connection was dead, after a pause.
// With an error the permit has gone back.
func (p *Pool) acquireAgain(ctx context.Context, k *permit, pause time.Duration) error {
	err := k.rest(ctx, pause)
	if err == nil {
		err = p.await(ctx, k, p.gate.again(k, time.Now()))
	} else {
		p.gate.release(k, time.Now(), closeUnknown)
	}
	if err != nil {
		p.released(k)
	}
	return p.explain(k, err)
}

// await waits until the gate has decided, if it has not.
func (p *Pool) await(ctx context.Context, k *permit, d decision) error {
	switch d {
	case decidedGranted:
		return nil
	case decidedRefused:
		return k.err
	}
	if k.hungry {
		p.gate.demand()
	}
	p.member.wake()
	p.offer(k)
	return p.gate.waitTurn(ctx, k)
}

// waitTurn waits in the queue until the gate has decided about k, or k's caller
// will not wait any longer. If both happen in the same moment, the decision
// counts. A wait that takes too long ends with ErrPoolTimeout, whether by
// pool_timeout (gate.expire) or by ctx's deadline.
func (g *gate) waitTurn(ctx context.Context, k *permit) error {
	var answered <-chan struct{} // never, unless it may share
	if k.offer.call != nil {
		answered = k.offer.call.Ready()
	}
	select {
	case <-k.ready:
		return k.err
	case <-answered:
		k.offer.shared = true
		return nil
	case <-ctx.Done():
	}
	err := ctx.Err()
	switch g.leave(k, time.Now(), errors.Is(err, context.DeadlineExceeded)) {
	case leftQueue:
		if errors.Is(err, context.DeadlineExceeded) {
			return ErrPoolTimeout
		}
		return err
	case leftRun:
		return err
	case answeredBefore:
		k.offer.shared = true
		return nil
	}
	<-k.ready
	return k.err
}

// rest waits a little; it returns why there is no time left for another try.
func (p *permit) rest(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	left := time.Until(p.waitEnds())
	switch {
	case left <= 0:
		return ErrPoolTimeout
	case d == 0:
		return nil
	}
	timer := time.NewTimer(min(d, left))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// released is called once for each permit that came back.
func (p *Pool) released(k *permit) {
	if k.internal {
		return
	}
	if p.observer != nil {
		p.observer.Released(k.lane, k.name, time.Since(k.grantedAt()))
	}
	p.cleared(k)
}

// cleared is released without the observer, who was told before.
func (p *Pool) cleared(k *permit) {
	if k.warned {
		p.keeper.allClear(k)
	}
	if k.hungry {
		p.gate.demand() // a background task less may leave room for a dial
	}
}
