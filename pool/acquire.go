package pool

import (
	"context"
	"errors"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// enter gets a permit for one database/sql call on behalf of ctx, waiting in
// the caller's lane for at most pool_timeout. The permit is the context for that
// call, with everything that ctx carries. The function that calls enter is the
// one that somebody outside this library called.
func (p *Pool) enter(ctx context.Context) (*permit, error) {
	k := &permit{Context: ctx}
	k.by.capture()
	return k, p.pass(ctx, k)
}

// enterFar is enter where there are libraries in between.
func (p *Pool) enterFar(ctx context.Context) (*permit, error) {
	k := &farPermit{permit: permit{Context: ctx}}
	k.by.far = k.frames[:]
	k.by.captureFar()
	return &k.permit, p.pass(ctx, &k.permit)
}

// pass fills in k and has the gate grant it.
func (p *Pool) pass(ctx context.Context, k *permit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k.asked = time.Now()
	k.lane, k.name, k.scope = laneOf(ctx), nameOf(ctx), scopeOf(ctx).of(p)
	k.outer = k.scope.holding()
	p.setPatience(ctx, k)
	if p.observer == nil {
		return p.admit(ctx, k)
	}
	k.Context = p.observer.AcquireStart(ctx, k.lane, k.name)
	err := p.admit(ctx, k)
	p.observer.AcquireEnd(k.Context, k.lane, k.name, time.Since(k.asked), err)
	return err
}

// setPatience ends the wait at pool_timeout or at ctx's own deadline, whichever is first.
func (p *Pool) setPatience(ctx context.Context, k *permit) {
	k.patience = p.cfg.PoolTimeout
	if d, ok := ctx.Deadline(); ok {
		if left := d.Sub(k.asked); left < k.patience {
			k.patience, k.ownDeadline = left, true
		}
	}
}

// admit lets k through the gate or says why not.
func (p *Pool) admit(ctx context.Context, k *permit) error {
	if p.cfg.Nested == config.NestedRefuse && k.outer != nil {
		p.gate.countNested()
		return p.explain(k, ErrNested)
	}
	if p.gate.enter(k, k.asked) {
		return nil
	}
	if k.ready == nil {
		return p.explain(k, k.err)
	}
	if k.hungry {
		p.gate.demand()
	}
	p.member.wake()
	return p.explain(k, p.gate.waitTurn(ctx, k))
}

// waitTurn waits in the queue until the gate has decided about k, or k's caller
// will not wait any longer. If both happen in the same moment, the decision counts.
func (g *gate) waitTurn(ctx context.Context, k *permit) error {
	_, err := await(ctx, k, k.ready)
	if err != nil && g.leave(k, time.Now(), err == ErrPoolTimeout) {
		return err
	}
	<-k.ready
	return k.err
}

// await receives from got what the holder of k waits for. A wait that takes too
// long ends with ErrPoolTimeout, whether by pool_timeout or by ctx's deadline.
func await[T any](ctx context.Context, k *permit, got <-chan T) (came T, err error) {
	timer := time.NewTimer(time.Until(k.waitEnds()))
	defer timer.Stop()
	select {
	case came = <-got:
		return came, nil
	case <-timer.C:
		return came, ErrPoolTimeout
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return came, ErrPoolTimeout
	}
	return came, ctx.Err()
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
		p.observer.Released(k.lane, k.name, time.Since(k.grantedAt()))
	}
	if k.warned {
		p.keeper.allClear(k)
	}
	if k.hungry {
		p.gate.demand() // a background task less may leave room for a dial
	}
}

// look runs one database/sql call under the permit k, and again while
// database/sql reports driver.ErrBadConn: by contract that means that nothing
// was done. Either the connections it tried were dead, after a server restart
// all of them, and have been removed; or one was given back a moment ago and is
// not in database/sql's free list yet.
func look[T any](p *Pool, k *permit, call func() (T, error)) (T, error) {
	defer p.leave(k)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		result, err := call()
		if err == nil {
			return result, nil
		}
		if !lookAgain(err) {
			return result, p.translate(k, err)
		}
		if err := k.rest(pause); err != nil {
			return result, p.translate(k, err)
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
func (p *permit) rest(d time.Duration) error {
	if left := time.Until(p.waitEnds()); left <= 0 {
		return ErrPoolTimeout
	} else if d > left {
		d = left
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.Done():
		return p.Err()
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
