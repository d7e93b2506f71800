package pool

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// Whatever units of work do, each transaction that began has ended and each
// connection was given back.
func TestSessionStress(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var begun, ended atomic.Int64
	count := func(n *atomic.Int64) func(context.Context) error {
		return func(context.Context) error { n.Add(1); return nil }
	}
	p, _ := hookPool(t, &hookDriver{begin: count(&begun), commit: count(&ended), rollback: count(&ended)})
	var wg sync.WaitGroup
	for i := range uint64(8) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, i))
			for range 200 {
				randomWork(p, r)
			}
		})
	}
	wg.Wait()
	if err := p.tasks.shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if begun.Load() != ended.Load() || p.Stats().InUse != 0 {
		t.Errorf("seed %d: %d transactions began, %d ended; %d connections in use", seed, begun.Load(), ended.Load(), p.Stats().InUse)
	}
}

// randomWork runs a few random steps in a session or a task.
func randomWork(p *Pool, r *rand.Rand) {
	defer func() { _ = recover() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	work := func(ctx context.Context, s *Session) error {
		for range r.IntN(6) {
			switch r.IntN(9) {
			case 0:
				go cancel()
			case 1:
				panic("work")
			case 2:
				return errBoom
			case 3:
				_ = s.Commit()
			case 4:
				_ = s.Rollback()
			case 5:
				if rows, err := s.QueryContext(ctx, "select"); err == nil && r.IntN(2) == 0 {
					rows.Next() // and leave them open
				}
			case 6:
				_ = s.QueryRowContext(ctx, "select") // never scanned
			default:
				_ = insert(ctx, s)
			}
		}
		return nil
	}
	var opts []SessionOption
	if r.IntN(3) == 0 {
		opts = append(opts, WithAutocommit())
	}
	if r.IntN(2) == 0 {
		_ = p.Background(ctx, "stress", work, opts...).Wait(context.Background())
		return
	}
	_ = p.WithSession(ctx, work, opts...)
}
