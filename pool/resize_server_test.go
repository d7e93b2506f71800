package pool

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

func TestResizeUnderAShareIsUndoneByALargerShare(t *testing.T) {
	p := openShared(t, 4, 0, nil)
	defer p.Close()
	share := func(n int) { // what member.SetShare does
		if p.gate.SetShare(n) {
			p.shrink()
		}
		p.gate.Demand()
	}
	share(1)
	if err := p.Resize(4, 0); err != nil {
		t.Fatal(err)
	}
	share(4)
	c1, err := p.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c1.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c2, err := p.Conn(ctx)
	if err != nil {
		t.Errorf("second of four: %v; %v", err, p)
		return
	}
	c2.Close()
}

func TestShareOfNothingIsNotUnlimited(t *testing.T) {
	p := openShared(t, 4, 0, nil)
	defer p.Close()
	p.gate.SetShare(0)
	p.shrink()
	_ = p.Resize(4, 0)
	p.gate.SetShare(4)
	p.gate.Demand()
	for range 10 {
		if err := p.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.Stats(); s.OpenedCount > 1 {
		t.Errorf("10 pings one after the other opened %d connections; idle %d", s.OpenedCount, s.Idle)
	}
}

func TestOverflowLingersAfterTheShareGrew(t *testing.T) {
	p := openShared(t, 1, 7, nil)
	defer p.Close()
	share := func(n int) {
		if p.gate.SetShare(n) {
			p.shrink()
		}
		p.gate.Demand()
	}
	burst := func(n int) {
		var cs []*sql.Conn
		for range n {
			c, err := p.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			cs = append(cs, c)
		}
		for _, c := range cs {
			c.Close()
		}
	}
	share(2)
	burst(2) // raises the idle limit to the share: 2
	share(8)
	for range 10 {
		burst(8)
	}
	s := p.Stats()
	if s.OpenedCount > 12 {
		t.Errorf("10 bursts of 8 within linger opened %d", s.OpenedCount)
	}
}

// A holder shrinks: idle beyond the limit while holders hold.
func TestSmallerSizeClosesIdleBesideHolders(t *testing.T) {
	p := openShared(t, 6, 0, nil)
	defer p.Close()
	inParallel(6, func(int) { p.ExecContext(t.Context(), "select pg_sleep(0.2)") })
	c, _ := p.Conn(t.Context())
	d, _ := p.Conn(t.Context())
	_ = p.Resize(2, 0)
	time.Sleep(2500 * time.Millisecond)
	s := p.Stats()
	if s.InUse+s.Idle > s.Limit {
		t.Error("idle connections beyond the limit stay as long as the holders")
	}
	c.Close()
	d.Close()
}

func TestOverflowLingersFromTheEndOfItsUse(t *testing.T) {
	p := openShared(t, 1, 1, func(c *config.Config) { c.OverflowLinger = 2 * time.Second })
	defer p.Close()
	c1, _ := p.Conn(t.Context())
	c2, _ := p.Conn(t.Context())
	time.Sleep(2500 * time.Millisecond) // two in use all the time
	c1.Close()
	c2.Close()
	time.Sleep(700 * time.Millisecond)
	if s := p.Stats(); s.Idle != 2 {
		t.Errorf("0.7s after more than PoolSize were in use, linger 2s: idle %d, surplus closed %d", s.Idle, s.Closed.Surplus)
	}
}
