package pool

import (
	"context"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// take acquires a connection for ctx: the one entrance to the gate. It waits in
// the caller's lane for at most pool_timeout. The error says why there is none.
func (v *virtual) take(ctx context.Context, w gate.Want) error {
	k := &v.permit
	k.Want = w
	if len(k.Callsite.PCs()) == 0 {
		k.Callsite.Capture()
	}
	return v.p.acquire(ctx, k)
}

// acquire has the gate grant k.
func (p *Pool) acquire(ctx context.Context, k *gate.Permit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k.Asked = time.Now()
	p.setPatience(ctx, k)
	if k.Internal {
		return p.admit(ctx, k)
	}
	lane, name := laneOf(ctx), nameOf(ctx)
	k.Lane, k.Name, k.Scope = gate.Lane(lane), name, scopeOf(ctx).Of(p.gate)
	k.Outer = p.gate.GrantOf(k.Scope.Holding())
	if p.observer == nil {
		return p.admit(ctx, k)
	}
	ctx = p.observer.AcquireStart(ctx, lane, name)
	err := p.admit(ctx, k)
	if k.Shared() {
		p.observer.AcquireEnd(ctx, lane, name, k.GrantedAt().Sub(k.Asked), nil)
		p.observer.Released(lane, name, time.Since(k.GrantedAt()))
		return nil
	}
	p.observer.AcquireEnd(ctx, lane, name, time.Since(k.Asked), err)
	return err
}

// setPatience ends the wait at pool_timeout or at ctx's own deadline, whichever is first.
func (p *Pool) setPatience(ctx context.Context, k *gate.Permit) {
	k.Patience, k.OwnDeadline = p.cfg.PoolTimeout, false
	if d, ok := ctx.Deadline(); ok {
		if left := d.Sub(k.Asked); left < k.Patience {
			k.Patience, k.OwnDeadline = left, true
		}
	}
}

// admit lets k through the gate or says why not.
func (p *Pool) admit(ctx context.Context, k *gate.Permit) error {
	if p.cfg.Nested == config.NestedRefuse && k.Outer.P != nil {
		p.gate.CountNested()
		return p.explain(k, ErrNested)
	}
	return p.explain(k, p.await(ctx, k, p.gate.Enter(k, k.Asked)))
}

// acquireAgain is acquire for a permit whose connection was dead, after a pause.
// With an error the permit has gone back.
func (p *Pool) acquireAgain(ctx context.Context, k *gate.Permit, pause time.Duration) error {
	err := rest(ctx, k, pause)
	if err == nil {
		err = p.await(ctx, k, p.gate.Again(k, time.Now()))
	} else {
		p.gate.Release(k, time.Now(), gate.CloseUnknown)
	}
	if err != nil {
		p.released(k)
	}
	return p.explain(k, err)
}

// await waits until the gate has decided, if it has not.
func (p *Pool) await(ctx context.Context, k *gate.Permit, d gate.Decision) error {
	switch d {
	case gate.Granted:
		if p.cfg.MinIdle > 0 {
			p.gate.Demand() // for one in its place
		}
		return nil
	case gate.Refused:
		return k.Err
	}
	if k.WantsDial {
		p.gate.Demand()
	}
	p.member.wake()
	p.offer(k)
	return p.gate.WaitTurn(ctx, k)
}

// rest waits a little; it returns why there is no time left for another try.
func rest(ctx context.Context, k *gate.Permit, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	left := time.Until(k.WaitEnds())
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
func (p *Pool) released(k *gate.Permit) {
	if k.Internal {
		return
	}
	if p.observer != nil {
		p.observer.Released(Lane(k.Lane), k.Name, time.Since(k.GrantedAt()))
	}
	p.cleared(k)
}

// cleared is released without the observer, who was told before.
func (p *Pool) cleared(k *gate.Permit) {
	if k.Warned {
		p.keeper.allClear(k)
	}
	if k.WantsDial {
		p.gate.Demand() // a background task less may leave room for a dial
	}
}

type scopeKey struct{}

func scopeOf(ctx context.Context) *gate.Scope {
	s, _ := ctx.Value(scopeKey{}).(*gate.Scope)
	return s
}
