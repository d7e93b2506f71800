package gate

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// rig is a gate with callers: whoever is let in holds a connection that does not
// exist. It runs in virtual time.
type rig struct {
	*Gate
	t       *testing.T
	timeout time.Duration // pool_timeout
}

// inRig runs test on a gate of size connections, all open and idle. What it
// leaves waiting or held fails the test.
func inRig(t *testing.T, size int, test func(t *testing.T, r *rig), edit ...func(*Options, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, timeout: 30 * time.Second}
		o := Options{PoolSize: size, MaxOpen: size, Linger: time.Minute, Demand: func() {}}
		for _, e := range edit {
			e(&o, r)
		}
		r.Gate = New(o)
		r.setConns(o.MaxOpen)
		test(t, r)
		synctest.Wait()
		if s := r.figures(); s.InUse+s.Waiting != 0 {
			t.Errorf("left behind: %d in use, %d waiting", s.InUse, s.Waiting)
		}
		r.Close()
	})
}

func (r *rig) figures() Snapshot { return r.Snapshot(time.Now(), 0) }

// setConns makes n connections exist, opening some or losing some, whoever has them.
func (r *rig) setConns(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.conns < n {
		s := &Slot{g: r.Gate}
		r.dialing++
		s.openLocked()
		r.putLocked(s, time.Now())
	}
	for _, s := range slices.Clone(r.warm) {
		if r.conns > n {
			r.lostLocked(s, connstate.CloseSurplus)
		}
	}
	for s := range r.open { // the others are held
		if r.conns > n {
			r.lostLocked(s, connstate.CloseSurplus)
		}
	}
	r.dispatchLocked(time.Now())
}

type laneKey struct{}

func inLane(ctx context.Context, l Lane) context.Context { return context.WithValue(ctx, laneKey{}, l) }

// enter asks for a connection as the pool does.
func (r *rig) enter(ctx context.Context) (*Permit, error) {
	p := &Permit{Lane: Request}
	if l, ok := ctx.Value(laneKey{}).(Lane); ok {
		p.Lane = l
	}
	if err := ctx.Err(); err != nil {
		return p, err
	}
	p.Asked, p.Patience = time.Now(), r.timeout
	if d, ok := ctx.Deadline(); ok && d.Sub(p.Asked) < p.Patience {
		p.Patience, p.OwnDeadline = d.Sub(p.Asked), true
	}
	return p, r.await(ctx, p, r.Enter(p, p.Asked))
}

func (r *rig) await(ctx context.Context, p *Permit, d Decision) error {
	switch d {
	case Granted:
		return nil
	case Refused:
		return p.Err
	}
	return r.WaitTurn(ctx, p)
}

func (r *rig) leave(p *Permit) bool { return r.Release(p, time.Now(), connstate.CloseUnknown).Released }

// visit is one caller: in the queue, holding, or gone with an error.
type visit struct {
	r      *rig
	k      *Permit
	err    error
	asked  time.Time
	done   chan struct{} // closed when the gate has decided
	waited time.Duration
}

// ask asks for a connection in a goroutine of its own and lets everything that
// can happen at this moment happen.
func (r *rig) ask(ctx context.Context) *visit {
	v := &visit{r: r, asked: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(v.done)
		v.k, v.err = r.enter(ctx)
		v.waited = time.Since(v.asked)
	}()
	synctest.Wait()
	return v
}

// fill takes n connections.
func (r *rig) fill(n int) []*visit {
	r.t.Helper()
	held := make([]*visit, n)
	for i := range held {
		held[i] = r.ask(r.t.Context())
		held[i].wantServed()
	}
	return held
}

// decided reports whether the caller waits no longer.
func (v *visit) decided() bool {
	synctest.Wait()
	select {
	case <-v.done:
		return true
	default:
		return false
	}
}

func (v *visit) wantServed() {
	v.r.t.Helper()
	if !v.decided() || v.err != nil {
		v.r.t.Fatalf("not served: decided %v, %v", v.decided(), v.err)
	}
}

func (v *visit) wantWaiting() {
	v.r.t.Helper()
	if v.decided() {
		v.r.t.Fatalf("does not wait: %v", v.err)
	}
}

func (v *visit) wantError(want error) *Refusal {
	v.r.t.Helper()
	if !v.decided() || !errors.Is(v.err, want) {
		v.r.t.Fatalf("decided %v with %v, want %v", v.decided(), v.err, want)
	}
	var e *Refusal
	errors.As(v.err, &e)
	return e
}

// release gives the connection back, and lets the next one have it.
func (v *visit) release() {
	v.r.leave(v.k)
	synctest.Wait()
}

// hold takes a connection and gives it back after d, waiting for it if need be.
func (r *rig) hold(d time.Duration) {
	k, err := r.enter(r.t.Context())
	if err != nil {
		return
	}
	time.Sleep(d)
	r.leave(k)
}

func releaseAll(visits []*visit) {
	for _, v := range visits {
		if <-v.done; v.err == nil {
			v.release()
		}
	}
}
