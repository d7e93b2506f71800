package pool

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
)

// TestPoolModel runs the model in virtual time, seed by seed, in half of them with
// sessions that are killed. DBPOOL_MODEL_SEEDS says how many.
func TestPoolModel(t *testing.T) {
	seeds := 12
	if n, err := strconv.Atoi(os.Getenv("DBPOOL_MODEL_SEEDS")); err == nil {
		seeds = n
	}
	var shared uint64
	for seed := range uint64(seeds) {
		edit := func(c *config.Config) {
			c.PoolSize, c.MaxOverflow = 1+int(seed%4), 0
			c.Pipeline = []config.PipelineMode{config.PipelineAll, config.PipelineReads}[seed/2%2]
		}
		inWire(t, edit, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
			m := &poolModel{t: t, p: p, seed: seed, kills: seed%2 == 1, virtual: true,
				texts: modelTexts{read: "select $1", slow: "select $1 sleep $2", fail: "select fail $1", write: "insert $1"}}
			s.with(func(f *wireFaults) { f.lag = 200 * time.Microsecond; f.script = m.disturb() })
			if m.kills {
				rng := rand.New(rand.NewPCG(seed, 998))
				s.with(func(f *wireFaults) { f.vanishes = func() bool { return rng.IntN(60) == 0 } })
			}
			stop := m.kill(s)
			m.run(24, 40)
			stop()
			time.Sleep(time.Minute) // what nobody waits for has ended
			m.check(s.wrote())
			if _, peak, _ := s.figures(); peak > int(1+seed%4) {
				t.Errorf("seed %d: %d sessions at a time", seed, peak)
			}
			shared += p.Stats().Pipeline.SharedCount
			t.Logf("seed %d: %d answered, %d failed, %d left, %d shared", seed, m.answered.Load(), m.failed.Load(), m.left.Load(), p.Stats().Pipeline.SharedCount)
		})
	}
	if shared == 0 {
		t.Error("no statement shared a connection")
	}
}

// disturb has the server be slow now and then.
func (m *poolModel) disturb() func(*wireSession, pgproto3.FrontendMessage) bool {
	rngs := map[uint32]*rand.Rand{}
	return func(w *wireSession, _ pgproto3.FrontendMessage) bool {
		m.mu.Lock()
		rng := rngs[w.PID]
		if rng == nil {
			rng = rand.New(rand.NewPCG(m.seed, 1000+uint64(w.PID)))
			rngs[w.PID] = rng
		}
		m.mu.Unlock()
		switch n := rng.IntN(1000); {
		case n == 0:
			time.Sleep(time.Duration(rng.IntN(100_000_000)))
		case n < 300:
			time.Sleep(time.Duration(rng.IntN(100_000)))
		}
		return true
	}
}

// kill kills sessions at random times, until stop is called.
func (m *poolModel) kill(s *wireServer) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		rng := rand.New(rand.NewPCG(m.seed, 999))
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(rng.IntN(50_000_000))):
				if m.kills {
					doomed := rng.Uint32()
					s.kill(func(pid uint32) bool { return pid%3 == doomed%3 })
				}
			}
		}
	}()
	return func() { close(over); <-ended }
}
