package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// standbys are the part of a pool that is at standbys: a pool of its own, with its
// own gate, which shares the limit of the one that it belongs to. Reads that ask
// for a standby go there; while none can be used they go to the primary.
//
// A nil *standbys is that of a pool without a ReadURL.
type standbys struct {
	home *Pool
	p    *Pool

	use      atomic.Pointer[standbyUse]
	isWanted atomic.Bool   // somebody has asked for a standby: before that nobody looks for one
	wake     chan struct{} // has the keeper look around
	missed   atomic.Int64  // when a standby last did not have what a reader needed, in nanoseconds since 1970
	counts   standbyCounts

	stop context.CancelFunc
	done chan struct{} // closed when the keeper has ended

	mu  sync.Mutex    // guards cfg, and the division of the limit
	cfg config.Config // with the sizes that were set last
}

// standbyUse says whether standbys can be used, and since when.
type standbyUse struct {
	ok    bool
	why   error
	since time.Time
	over  context.Context // ends when they cannot be used any more
	end   context.CancelFunc
}

var (
	// errGone has a caller in the standbys' queue go to the primary.
	errGone = errors.New("pool: no standby can be used")
	// errBehind is a standby that has not replayed what its caller has written.
	errBehind = errors.New("pool: the standby is behind")

	errPromoted = errors.New("the server is no standby: it was promoted, or DATABASE_READ_URL leads to a primary")
	errHung     = errors.New("the standby does not answer")
)

// addStandbys makes the part of p that is at standbys, if there is to be one.
func (p *Pool) addStandbys(s *settings) error {
	if p.cfg.ReadURL == "" {
		return nil
	}
	at := newPool(p.cfg.ForStandbys(), s)
	if err := at.check("DATABASE_READ_URL"); err != nil {
		return err
	}
	at.table, at.routes, at.statements = p.table, p.routes, p.statements
	b := &standbys{home: p, p: at, cfg: p.cfg, wake: make(chan struct{}, 1), done: make(chan struct{})}
	p.standbys, at.partOf, at.dialer.failing = b, b, func() { b.areThere() }
	b.use.Store(newStandbyUse(true, nil))
	p.gate.Resize(b.sizes(p, p.cfg.MaxOpen()-p.cfg.ReadPart()))
	return nil
}

func newStandbyUse(ok bool, why error) *standbyUse {
	u := &standbyUse{ok: ok, why: why, since: time.Now()}
	u.over, u.end = context.WithCancel(context.Background())
	if !ok {
		u.end()
	}
	return u
}

// start opens for business.
func (b *standbys) start() {
	if b == nil {
		return
	}
	b.p.open()
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	go b.keep(ctx) // close waits for it
}

// close ends the part at standbys. It returns what waits for the end of that,
// which takes as long as that of the rest.
func (b *standbys) close() (wait func()) {
	if b == nil {
		return func() {}
	}
	b.stop()
	<-b.done
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.p.Close() // closing a *sql.DB of our own cannot fail
	}()
	return func() { <-ended }
}

// refuse refuses everybody from now on.
func (b *standbys) refuse() {
	if b == nil {
		return
	}
	b.stop()
	<-b.done // who looks for standbys would take a closed gate for their end
	b.p.closed.Store(true)
	b.p.gate.Close()
}

// released waits until nobody holds a connection to a standby, as long as ctx lasts.
func (b *standbys) released(ctx context.Context) error {
	if b == nil {
		return nil
	}
	return released(ctx, b.p.gate)
}

// wanted notes that somebody asks for a standby.
func (b *standbys) wanted() {
	if b != nil && !b.isWanted.Load() && !b.isWanted.Swap(true) {
		b.poke()
	}
}

// poke has the keeper look around now.
func (b *standbys) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// areThere reports whether standbys can be used, and notes it when they cannot any
// more: no connection is open, and none can be opened.
func (b *standbys) areThere() bool {
	if ok, why := b.p.gate.HasServer(); !ok {
		b.fall(why)
	}
	return b.use.Load().ok
}

// fall notes that no standby can be used. Readers that wait for one leave.
func (b *standbys) fall(why error) {
	u := b.use.Load()
	if !u.ok || !b.use.CompareAndSwap(u, newStandbyUse(false, why)) {
		return
	}
	u.end()
	b.home.log.Warn("no standby can be used, reads go to the primary", "pool", b.home.cfg.Name, "error", why)
	b.poke()
}

// rise notes that a standby can be used.
func (b *standbys) rise() {
	u := b.use.Load()
	if u.ok || !b.use.CompareAndSwap(u, newStandbyUse(true, nil)) {
		return
	}
	b.home.log.Info("a standby can be used again", "pool", b.home.cfg.Name, "lasted_seconds", logSeconds(time.Since(u.since)))
}

// waitTurn waits in the standbys' queue until the gate grants permit, or no
// standby can be used.
func (b *standbys) waitTurn(ctx context.Context, permit *gate.Permit) error {
	b.areThere()
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.use.Load().over, cancel)()
	err := b.p.gate.WaitTurn(wait, permit)
	if err == context.Canceled && ctx.Err() == nil {
		return errGone
	}
	return err
}
