package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

func minIdle(n, poolSize, overflow int) func(*config.Config) {
	return func(c *config.Config) { orders(poolSize, overflow)(c); c.MinIdle = n }
}

// TestMinIdle opens connections ahead of need: as many as are asked for when
// Ready returns, others in the place of those that callers take, none beyond
// PoolSize, and none before anybody wanted one.
func TestMinIdle(t *testing.T) {
	inWire(t, minIdle(2, 4, 2), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := p.Stats().Open(); n != 0 {
			t.Errorf("%d connections before anybody wanted one", n)
		}
		if err := p.Ready(t.Context()); err != nil || p.Stats().Idle < 2 {
			t.Errorf("%d idle after Ready, %v", p.Stats().Idle, err)
		}
		for i, idle := range []int{2, 2, 1, 0, 0} {
			held := holdAll(t, p, 1)[0]
			defer held.Close()
			synctest.Wait()
			if st := p.Stats(); st.Idle != idle || st.InUse != i+1 {
				t.Errorf("%d in use, %d idle, want %d", st.InUse, st.Idle, idle)
			}
		}
	})
}

// TestMinIdleOfADeadServer does not keep Ready, nor ask a server in trouble.
func TestMinIdleOfADeadServer(t *testing.T) {
	inWire(t, minIdle(3, 3, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
		held := holdAll(t, p, 1)
		s.refuseAll("57P03", "the database system is starting up")
		held[0].Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		started := time.Now()
		if err := p.Ready(ctx); err != nil || time.Since(started) > 5*time.Second {
			t.Errorf("after %s: %v", time.Since(started), err)
		}
		before := p.Stats().DialCount
		time.Sleep(time.Minute)
		if n := p.Stats().DialCount - before; n > 6 {
			t.Errorf("%d dials in a minute of trouble", n)
		}
		s.refuseAll("", "")
		time.Sleep(time.Minute)
		if n := p.Stats().Idle; n != 3 {
			t.Errorf("%d idle when the server was back", n)
		}
	})
}
