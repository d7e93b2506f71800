package fleet

import (
	"testing"
	"time"
)

// The fleet of the seed's complaint: 8 processes of 5 + 5 on 20 slots, of
// which an ordinary role may use 17.
const (
	smallSlots = 17
	smallPool  = 10
)

func TestEvenLoadIsSharedEvenly(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		for range 8 {
			w.join(12, 50*time.Millisecond, 0)
		}
		time.Sleep(3 * time.Second)
		w.report()
		time.Sleep(60 * time.Second)
		r := w.report()
		static := 8 * 2 * 60.0 // connection seconds of a partition by hand
		_, looks, _ := w.server.figures()
		w.Logf("served %d, Jain %.4f, %.1f%% of a static partition, longest wait %v, looks %d", r.served, jain(r.busy), 100*total(r.busy)/static, r.wait, looks)
		if jain(r.busy) < 0.95 || total(r.busy) < 0.95*static || r.failed > 0 {
			w.Errorf("uneven or slow: %+v", r)
		}
		w.noRefusals()
	})
}

func TestUnevenRemainderGoesRound(t *testing.T) {
	t.Parallel()
	simulate(t, 13, smallPool, func(w *world) { // 12 tokens for 8
		for range 8 {
			w.join(12, 50*time.Millisecond, 0)
		}
		time.Sleep(3 * time.Second)
		w.report()
		time.Sleep(80 * time.Second)
		r := w.report()
		w.Logf("Jain %.4f, %.1f%% of 12 connections", jain(r.busy), 100*total(r.busy)/(12*80))
		if jain(r.busy) < 0.95 || total(r.busy) < 0.9*12*80 || r.failed > 0 {
			w.Errorf("uneven or slow: %+v", r)
		}
		w.noRefusals()
	})
}

func TestIdleShareIsUsedAndComesBack(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		busy := w.join(20, 50*time.Millisecond, 0)
		var idle []*simReplica
		for range 7 {
			idle = append(idle, w.join(1, 20*time.Millisecond, time.Second))
		}
		time.Sleep(5 * time.Second)
		if n := busy.sessions(); n < 7 { // 16 tokens, one for each of the others, and some who just used two
			w.Errorf("the busy replica has %d sessions while the others are idle", n)
		}
		w.report()
		time.Sleep(20 * time.Second)
		r := w.report()
		w.Logf("the busy replica used %.2f connections; longest wait of the idle %v", r.busy[0]/20, idle[0].longestWait())
		if r.busy[0] < 20*7 || r.failed > 0 {
			w.Errorf("not work-conserving: %+v", r)
		}
		idle[0].clients(w.ctx, w, 20, 50*time.Millisecond, 0)
		time.Sleep(2 * time.Second)
		if n := idle[0].sessions(); n < 5 {
			w.Errorf("a replica that woke up has %d sessions 2 s later", n)
		}
		w.noRefusals()
	})
}

func TestKilledReplicasSlotsAreUsedAndANewcomerIsLetIn(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		for range 8 {
			w.join(12, 50*time.Millisecond, 0)
		}
		time.Sleep(5 * time.Second)
		for range 10 {
			w.kill(w.any())
			again := w.until(3*time.Second, func() bool { return w.held() >= 16 })
			time.Sleep(time.Second)
			r := w.join(12, 50*time.Millisecond, 0)
			in := w.until(3*time.Second, func() bool { return r.sessions() >= 2 })
			time.Sleep(time.Second)
			w.Logf("in use again after %v; the newcomer had its share after %v, its longest wait was %v", again, in, r.longestWait())
		}
		if r := w.report(); r.failed > 0 {
			w.Errorf("%d requests failed", r.failed)
		}
		w.noRefusals()
	})
}

// held is how many usable sessions all live replicas have.
func (w *world) held() (n int) {
	for _, r := range w.live {
		n += r.sessions()
	}
	return n
}

// A replica whose only session is in a long query cannot claim anything on it.
func TestLongQueryDoesNotLockAReplicaIn(t *testing.T) {
	t.Parallel()
	simulate(t, smallSlots, smallPool, func(w *world) {
		for range 7 {
			w.join(12, 50*time.Millisecond, 0)
		}
		late := w.join(0, 0, 1)
		w.wg.Go(func() { late.do(w.ctx, 5*time.Second, 20*time.Second) })
		time.Sleep(100 * time.Millisecond)
		late.clients(w.ctx, w, 5, 50*time.Millisecond, 0)
		time.Sleep(3 * time.Second)
		if n := late.sessions(); n < 2 {
			w.Errorf("%d sessions although its share is 2", n)
		}
		w.Logf("longest wait %v", late.longestWait())
		w.noRefusals()
	})
}
