package pool

import (
	"context"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/gate"
)

// The fleet's looks go on all day. They are first in line, and in no figure
// that a person or an alert looks at.
func TestFleetsLookIsInNoStatistics(t *testing.T) {
	inRig(t, 2, func(t *testing.T, r *rig) {
		wants := 2
		look := func(within time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			k := &gate.Permit{Internal: true, Lane: gate.Probe}
			if err := r.acquire(ctx, k); err != nil {
				return err
			}
			if wanted := r.gate.Load().Wanted; wanted > wants {
				t.Errorf("the look itself is taken for demand: %d wanted, by %d callers", wanted, wants)
			}
			r.leave(k)
			return nil
		}
		held := r.fill(2)
		if err := look(250 * time.Millisecond); err != ErrPoolTimeout {
			t.Errorf("with all connections in use: %v", err)
		}
		waiting := r.ask(t.Context())
		wants = 3
		time.AfterFunc(time.Second, func() { r.leave(held[0].k) })
		if err := look(5 * time.Second); err != nil {
			t.Error(err)
		}
		waiting.wantServed()
		before := r.Stats()
		for range 3 {
			if err := look(time.Second); err != ErrPoolTimeout {
				t.Errorf("with all connections in use again: %v", err)
			}
		}
		held[1].release()
		waiting.release()
		if err := look(time.Second); err != nil {
			t.Error(err)
		}
		s := r.Stats()
		if s.AcquireCount != 3 || s.TimeoutCount != 0 || s.AcquireCanceledCount != 0 || s.WaitCount != 1 {
			t.Errorf("%d acquired, %d timed out, %d canceled, %d waited", s.AcquireCount, s.TimeoutCount, s.AcquireCanceledCount, s.WaitCount)
		}
		if s.WaitDuration != before.WaitDuration || s.Wait.Count != 3 || s.Hold.Count != 3 {
			t.Errorf("waits %v and %v, %d and %d in the histograms", before.WaitDuration, s.WaitDuration, s.Wait.Count, s.Hold.Count)
		}
		releaseAll(r.fill(2))
		if busy := r.gate.Load().Wanted; busy != 2 {
			t.Errorf("busy at most %d since the last look; want the 2 of the callers", busy)
		}
		if busy := r.gate.Load().Wanted; busy != 0 {
			t.Errorf("busy %d although nobody holds anything", busy)
		}
	})
}
