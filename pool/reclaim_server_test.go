package pool

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestReclaimedInTheMomentOfGivingBack has both happen at once, over and over:
// no connection may be lost, nor be used by two, nor be promised twice.
func TestReclaimedInTheMomentOfGivingBack(t *testing.T) {
	const size = 3
	cfg := settled(pgtest.Shared(t).URL, size, 0)
	cfg.ReclaimAfter = time.Hour
	p := open(t, cfg)
	ctx, stop := context.WithCancel(t.Context())
	taken := 0
	var thief, holders sync.WaitGroup
	thief.Go(func() {
		for ctx.Err() == nil {
			for _, k := range p.gate.Oldest(0) {
				if k.Slot != nil && p.takeAway(k, time.Now()) {
					taken++
				}
			}
			if st := p.Stats(); st.Open()+st.Dialing+st.Closing > size {
				t.Errorf("%d open, %d dialing, %d closing", st.Open(), st.Dialing, st.Closing)
			}
			runtime.Gosched()
		}
	})
	for range 2 * size {
		holders.Go(func() {
			for range 100 {
				c, err := p.Conn(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := c.ExecContext(t.Context(), "select 1"); err != nil && !errors.Is(err, ErrReclaimed) {
					t.Error(err)
				}
				_ = c.Close()
			}
		})
	}
	holders.Wait()
	stop()
	thief.Wait()
	for _, c := range holdAll(t, p, size) { // each is alive, and there are no more
		if err := c.PingContext(t.Context()); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	if n := p.db.Stats().OpenConnections; n != size || taken == 0 {
		t.Errorf("the owner has %d, %d taken away", n, taken)
	}
	t.Logf("%d taken away", taken)
}
