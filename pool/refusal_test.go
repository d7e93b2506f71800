package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// crowded is a pool whose only connection is held, with n background tasks and n
// requests in the queue, as many as may wait.
func crowded(t testing.TB, n int) (ctx context.Context, p *Pool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := config.Default()
	cfg.PoolSize, cfg.MaxOverflow, cfg.MaxWaiters = 1, 0, n
	cfg.PoolTimeout = 100 * 365 * 24 * time.Hour // nobody is refused for lack of time
	p = newPool(cfg, newSettings(nil))
	setConns(t, p.gate, 1)
	holder, err := p.enter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan struct{})
	for i := range 2 * n {
		go func() {
			defer func() { left <- struct{}{} }()
			own := ctx
			if i%2 == 0 {
				own = ContextWithLane(ctx, LaneBackground)
			}
			if k, err := p.enter(own); err == nil {
				p.leave(k)
			}
		}()
	}
	for range n {
		if err := p.tasks.add(&Task{name: "report"}, ErrClosed); err != nil {
			t.Fatal(err)
		}
	}
	until(t, time.Minute, "all wait", func() bool { return p.figures().Waiting == 2*n })
	t.Cleanup(func() {
		cancel()
		for range 2 * n {
			<-left
		}
		p.leave(holder)
		p.gate.Close()
	})
	return ctx, p
}

// refuse has one more caller refused.
func refuse(t testing.TB, ctx context.Context, p *Pool) *AcquireError {
	_, err := p.enter(ctx)
	var e *AcquireError
	if !errors.As(err, &e) || !errors.Is(err, ErrOverloaded) || !e.QueueFull {
		t.Fatalf("got %v, want a refusal because the queue is full", err)
	}
	return e
}

// refusalBytes is what refusing one caller allocates.
func refusalBytes(t testing.TB, ctx context.Context, p *Pool) uint64 {
	const rounds = 200
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		_ = refuse(t, ctx, p).Error()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / rounds
}

// TestRefusalDoesNotGrow refuses callers of pools in whose queues ten and ten
// thousand wait: neither the errors nor what they cost may tell which is which.
func TestRefusalDoesNotGrow(t *testing.T) {
	bytes := map[int]uint64{}
	for _, n := range []int{10, 5_000} {
		ctx, p := crowded(t, n)
		e := refuse(t, ctx, p)
		if len(e.Stats.Tasks.Running) > 0 || len(e.Holders) > explainedHolders {
			t.Errorf("%d wait: the error carries %d tasks and %d holders", 2*n, len(e.Stats.Tasks.Running), len(e.Holders))
		}
		if e.Stats.Tasks.StartedCount != uint64(n) || len(p.Stats().Tasks.Running) != n {
			t.Errorf("%d tasks were started: the error says %d, Stats list %d", n, e.Stats.Tasks.StartedCount, len(p.Stats().Tasks.Running))
		}
		if text := e.Error(); len(text) > 1_000 {
			t.Errorf("%d wait: an error of %d bytes: %s", 2*n, len(text), text)
		}
		var late *AcquireError
		if errors.As(p.failure(&gate.Permit{}, ErrPoolTimeout), &late); len(late.Stats.Tasks.Running) > 0 {
			t.Errorf("a timeout's error carries %d tasks", len(late.Stats.Tasks.Running))
		}
		bytes[n] = refusalBytes(t, ctx, p)
	}
	if bytes[5_000] > bytes[10]*3/2+256 {
		t.Errorf("a refusal allocates %d bytes with 20 in the queue and %d with 10,000", bytes[10], bytes[5_000])
	}
}

// BenchmarkRefusalOfMany refuses a caller, error included, however many wait.
func BenchmarkRefusalOfMany(b *testing.B) {
	for _, n := range []int{5, 500, 50_000} {
		b.Run(fmt.Sprintf("waiting=%d", 2*n), func(b *testing.B) {
			ctx, p := crowded(b, n)
			b.ReportAllocs()
			for b.Loop() {
				refuse(b, ctx, p)
			}
		})
	}
}
