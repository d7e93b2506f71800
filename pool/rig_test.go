package pool

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// rig is a gate with callers but without a database: whoever is let in holds a
// connection that does not exist. It runs in virtual time.
type rig struct {
	*Pool
	t *testing.T
}

// inRig runs test on a gate of size connections, all open and idle. What it
// leaves waiting or held fails the test.
func inRig(t *testing.T, size int, test func(t *testing.T, r *rig), edit ...func(*config.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := config.Default()
		cfg.PoolSize, cfg.MaxOverflow = size, 0
		for _, e := range edit {
			e(&cfg)
		}
		r := &rig{newPool(cfg, newSettings(nil)), t}
		setConns(t, r.gate, cfg.MaxOpen())
		test(t, r)
		synctest.Wait()
		if s := r.Stats(); s.InUse+s.Waiting != 0 {
			t.Errorf("left behind: %d in use, %d waiting", s.InUse, s.Waiting)
		}
		r.gate.Close()
	})
}

// setConns makes n connections exist, opening some or closing idle ones.
func setConns(t testing.TB, g *gate.Gate, n int) {
	t.Helper()
	now := time.Now()
	open := func() int { s := g.Snapshot(now, 0); return s.InUse + s.Idle }
	for open() < n {
		g.Dialed(g.Reserve(), now)
	}
	for open() > n {
		s := g.Claim(func(*gate.Slot) bool { return true })
		if s == nil {
			t.Fatalf("%d connections are in use, and %d are to be left", open(), n)
		}
		s.RetireFor(connstate.CloseSurplus)
		g.Lost(s)
	}
}

// enter asks for a connection as a virtual connection does.
func (p *Pool) enter(ctx context.Context) (*gate.Permit, error) {
	k := &gate.Permit{}
	k.Callsite = p.callers.Capture()
	return k, p.acquire(ctx, k)
}

// leave gives it back.
func (p *Pool) leave(k *gate.Permit) { p.leaveFor(k, connstate.CloseUnknown) }

// leaveFor gives it back for a reason for which it cannot go on.
func (p *Pool) leaveFor(k *gate.Permit, reason connstate.CloseReason) bool {
	f := p.gate.Release(k, time.Now(), reason)
	if f.Released {
		p.released(k)
	}
	return f.Released
}

// visit is one caller: in the queue, holding, or gone with an error.
type visit struct {
	r      *rig
	k      *gate.Permit
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

func (v *visit) wantError(want error) *AcquireError {
	v.r.t.Helper()
	if !v.decided() || !errors.Is(v.err, want) {
		v.r.t.Fatalf("decided %v with %v, want %v", v.decided(), v.err, want)
	}
	var e *AcquireError
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

// timedPool returns a pool of size connections over d, for virtual time.
func timedPool(t *testing.T, size int, d *hookDriver, edits ...func(*config.Config)) (*Pool, *logLines) {
	t.Helper()
	cfg := config.Default()
	cfg.PoolSize, cfg.MaxOverflow = size, 0
	for _, edit := range edits {
		edit(&cfg)
	}
	log := &logLines{}
	p, err := New(sql.OpenDB(d), cfg, WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	return p, log
}

// wantConsistent checks what is true of every snapshot.
func wantConsistent(t *testing.T, s Stats) {
	t.Helper()
	var lanes LaneStats
	for _, l := range s.Lanes {
		lanes.InUse += l.InUse
		lanes.Waiting += l.Waiting
	}
	switch {
	case min(s.InUse, s.Idle, s.Dialing, s.Closing, s.Waiting, s.Quarantined) < 0,
		lanes != LaneStats{s.InUse, s.Waiting},
		s.Wait.Count != s.AcquireCount, s.Hold.Sum != s.HoldDuration, s.Wait.Sum > s.WaitDuration,
		s.WaitCount > s.AcquireCount, s.Hold.Count > s.AcquireCount,
		s.Quarantined > s.Closing, s.DialErrorCount > s.DialCount, s.Limit > s.MaxOpen():
		t.Errorf("contradicts itself: %+v", s)
	}
}
