package pool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// storm does random things to a pool and to its server, and knows what must be
// true all the time.
type storm struct {
	t    *testing.T
	p    *Pool
	s    *wireServer
	most int // sessions, ever
	over chan struct{}

	mu     sync.Mutex // guards rnd and owners
	rnd    *rand.Rand
	owners map[uint32]string // of sessions, as their holders marked them
}

func TestStorm(t *testing.T) {
	for range 15 {
		edit := func(c *config.Config) {
			c.PoolSize, c.MaxOverflow = 3, 3
			c.PoolTimeout, c.ConnectTimeout, c.StatementTimeout = 5*time.Second, 2*time.Second, 10*time.Second
			c.PoolRecycle, c.OverflowLinger = 10*time.Second, time.Second
		}
		inWire(t, edit, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
			st := &storm{t: t, p: p, s: s, most: 6, over: make(chan struct{}), rnd: seeded(t), owners: map[uint32]string{}}
			s.with(func(f *wireFaults) { f.script = st.mark })
			var load, trouble sync.WaitGroup
			for i := range 10 {
				load.Go(func() { st.work(fmt.Sprintf("worker %d", i)) })
			}
			trouble.Go(st.harass)
			trouble.Go(st.watch)
			load.Wait()
			close(st.over)
			trouble.Wait()
			s.with(func(f *wireFaults) { *f = wireFaults{} })
			time.Sleep(2 * time.Minute) // until what ended late has ended
			f := p.Stats()
			t.Logf("%d served, opened %d, closed %+v, %d of %d dials failed", f.AcquireCount, f.OpenedCount, f.Closed, f.DialErrorCount, f.DialCount)
		})
	}
}

// mark has holders put their names on sessions, and finds two on one.
func (st *storm) mark(w *wireSession, msg pgproto3.FrontendMessage) bool {
	q, ok := msg.(*pgproto3.Query)
	if !ok {
		return true
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if name, ok := strings.CutPrefix(q.String, "take "); ok {
		if other := st.owners[w.PID]; other != "" {
			st.t.Errorf("session %d was given to %s while %s had it", w.PID, name, other)
		}
		st.owners[w.PID] = name
	}
	if strings.HasPrefix(q.String, "leave") {
		delete(st.owners, w.PID)
	}
	return true
}

func (st *storm) roll(n int) int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.rnd.IntN(n)
}

func (st *storm) moment(d time.Duration) time.Duration { return time.Duration(st.roll(int(d))) }

// work is one caller's life.
func (st *storm) work(name string) {
	for range 60 {
		ctx, cancel := context.WithCancel(st.t.Context())
		switch st.roll(8) {
		case 0:
			time.AfterFunc(st.moment(100*time.Millisecond), cancel)
			_, _ = st.p.ExecContext(ctx, "sleep 1s")
		case 1:
			time.AfterFunc(st.moment(time.Second), cancel)
			_, _ = st.p.ExecContext(ctx, "sleep 50ms")
		case 2:
			st.transaction(ctx)
		case 3, 4:
			st.hold(ctx, name)
		case 5:
			time.Sleep(st.moment(time.Second))
		default:
			_ = st.p.QueryRowContext(ctx, "x").Scan(new(string))
		}
		cancel()
	}
}

func (st *storm) transaction(ctx context.Context) {
	tx, err := st.p.BeginTx(ctx, nil)
	if err != nil {
		return
	}
	_, _ = tx.ExecContext(ctx, "sleep 20ms")
	if st.roll(2) == 0 {
		_ = tx.Commit()
	}
	_ = tx.Rollback()
}

// hold keeps a connection for a while, under its name.
func (st *storm) hold(ctx context.Context, name string) {
	asked := time.Now()
	c, err := st.p.Conn(ctx)
	if waited := time.Since(asked); waited > st.p.cfg.PoolTimeout+2*pgdriver.CancelBound {
		st.t.Errorf("waited %s: %v", waited, err)
	}
	if err != nil {
		return
	}
	defer c.Close()
	if _, err := c.ExecContext(ctx, "take "+name); err != nil {
		return
	}
	time.Sleep(st.moment(200 * time.Millisecond))
	_ = c.QueryRowContext(ctx, "x").Scan(new(string))
	_, _ = c.ExecContext(ctx, "leave")
}

// harass is the server's and the operator's life.
func (st *storm) harass() {
	for {
		select {
		case <-st.over:
			st.s.refuseAll("", "")
			st.hear()
			return
		case <-time.After(st.moment(500 * time.Millisecond)):
		}
		switch st.roll(10) {
		case 0:
			st.s.kill(func(uint32) bool { return st.roll(3) == 0 })
		case 1:
			st.s.kill(everyone)
		case 2:
			st.p.Recycle()
		case 3:
			if err := st.p.Resize(1+st.roll(3), st.roll(4)); err != nil {
				st.t.Error(err)
			}
		case 4:
			st.s.refuseAll(pgdriver.StateTooManyConnections, "sorry, too many clients already")
		case 5:
			st.s.deafen()
		case 6:
			st.s.with(func(f *wireFaults) { f.lost = 1 + st.roll(5) })
		case 7:
			d := st.moment(3 * time.Second)
			st.s.with(func(f *wireFaults) { f.end = d })
		default:
			st.s.refuseAll("", "")
			st.hear()
			d := st.moment(200 * time.Millisecond)
			st.s.with(func(f *wireFaults) { f.end, f.connect = 0, d })
		}
	}
}

// hear undoes deafen.
func (st *storm) hear() {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.s.deaf = false
}

// watch looks at the figures all the time.
func (st *storm) watch() {
	for {
		select {
		case <-st.over:
			return
		case <-time.After(3 * time.Millisecond):
		}
		s, live := st.p.Stats(), st.s.live()
		wantConsistent(st.t, s)
		if n := s.InUse + s.Idle + s.Dialing + s.Closing; n > st.most || live > st.most {
			st.t.Errorf("%d slots taken and %d sessions, want %d at most: %+v", n, live, st.most, s)
		}
	}
}
