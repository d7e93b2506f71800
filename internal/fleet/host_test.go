package fleet

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A dialer opens sessions: on the simulated server, or on a real one.
type dialer interface {
	Dial(ctx context.Context) (conn, error)
}

// conn is one session.
type conn interface {
	Locks
	Use(ctx context.Context, d time.Duration) error // be busy for d
	Close()                                         // returns when the server has ended the session
}

// isFull reports whether a server, simulated or not, had no room.
func isFull(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, errFull) || errors.As(err, &pg) && pg.Code == "53300"
}

// errWait is a caller's wait for a connection that took too long.
var errWait = errors.New("no connection in time")

// replica is a pool reduced to what the fleet needs: a queue, sessions, dials.
type replica struct {
	fleet *Fleet
	dial  dialer
	max   int
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu      sync.Mutex
	share   int
	total   int // sessions, dialing and closing counted
	dialing int
	closing int
	idle    []*place
	waiting []*caller
	busy    int
	lent    int // to the fleet itself
	peak    int // of wanted
	closed  bool

	served, failed int
	held           time.Duration // by callers, all connections together
	maxWait        time.Duration
}

// place is a session in the pool.
type place struct {
	conn
	session *Session
	out     bool // held by somebody
	counted bool // … who is a caller, not the fleet
}

type caller struct {
	got   chan *place
	fleet bool // the fleet itself, for a look
}

func newReplica(d dialer, max int, opts Options) *replica {
	r := &replica{dial: d, max: max}
	opts.Log = slog.New(slog.DiscardHandler)
	r.fleet = New(r, opts)
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	r.done.Go(func() { r.fleet.Run(ctx) })
	return r
}

func (r *replica) Load() Load {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := Load{Wanted: max(r.peak, r.wanted()), Max: r.max}
	r.peak = r.wanted()
	return l
}

// wanted is the callers that hold a connection or wait for one, but for those that
// wait only because the fleet has one.
func (r *replica) wanted() int {
	callers := 0
	for _, c := range r.waiting {
		if !c.fleet {
			callers++
		}
	}
	return r.busy + max(0, callers-r.lent)
}

func (r *replica) SetShare(n int) {
	r.mu.Lock()
	r.share = min(n, r.max)
	var surplus []*place
	for r.total-r.closing > r.share && len(r.idle) > 0 {
		r.closing++
		surplus, r.idle = append(surplus, r.idle[0]), r.idle[1:]
	}
	r.grow()
	r.mu.Unlock()
	for _, p := range surplus {
		r.end(p)
	}
}

func (r *replica) Borrow(ctx context.Context, use func(*Session, Locks) error) error {
	p, err := r.acquire(ctx, true)
	if err != nil {
		return err
	}
	err = use(p.session, p.conn)
	r.release(p, err)
	return err
}

// do is one request: wait at most timeout for a connection, hold it for d.
func (r *replica) do(ctx context.Context, timeout, d time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	p, err := r.acquire(waiting, false)
	r.mu.Lock()
	r.maxWait = max(r.maxWait, time.Since(began))
	if err != nil && ctx.Err() == nil {
		r.failed++
	}
	r.mu.Unlock()
	if err != nil {
		return err
	}
	err = p.Use(ctx, d)
	r.release(p, err)
	if err == nil {
		r.mu.Lock()
		r.served++
		r.held += d
		r.mu.Unlock()
	}
	return err
}

func (r *replica) acquire(ctx context.Context, first bool) (*place, error) {
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		p := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.handOut(p, first)
		r.mu.Unlock()
		return p, nil
	}
	c := &caller{got: make(chan *place, 1), fleet: first}
	if first {
		r.waiting = slices.Insert(r.waiting, 0, c)
	} else {
		r.waiting = append(r.waiting, c)
	}
	r.peak = max(r.peak, r.wanted())
	r.grow()
	r.mu.Unlock()
	select {
	case p := <-c.got:
		return p, nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.waiting, c); i >= 0 {
		r.waiting = slices.Delete(r.waiting, i, i+1)
		return nil, errWait
	}
	return <-c.got, nil
}

func (r *replica) handOut(p *place, toFleet bool) {
	p.out = true
	if p.counted = !toFleet; p.counted {
		r.busy++
	} else {
		r.lent++
	}
	r.peak = max(r.peak, r.wanted())
}

// grow dials for the callers that wait, as far as the share allows.
func (r *replica) grow() {
	for !r.closed && r.dialing < r.wanted()-r.busy && r.total < r.max {
		if r.total >= r.share {
			r.fleet.Wake()
			return
		}
		p, ok := r.fleet.Permit()
		if !ok {
			r.fleet.Wake()
			return
		}
		r.total++
		r.dialing++
		r.done.Go(func() { r.open(p) })
	}
}

func (r *replica) open(p *Permit) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := r.dial.Dial(ctx)
	if err != nil {
		r.fleet.Refused(p, isFull(err))
		r.failedDial()
		return
	}
	s, err := r.fleet.Enter(ctx, p, c)
	if err != nil {
		c.Close()
		r.failedDial()
		return
	}
	r.mu.Lock()
	r.dialing--
	r.mu.Unlock()
	r.release(&place{conn: c, session: s}, nil)
}

func (r *replica) failedDial() {
	r.mu.Lock()
	r.total--
	r.dialing--
	r.mu.Unlock()
	r.fleet.changed()
}

// release hands a place on, or ends it.
func (r *replica) release(p *place, err error) {
	r.mu.Lock()
	switch {
	case p.counted:
		r.busy--
	case p.out:
		r.lent--
	}
	p.counted, p.out = false, false
	if r.closed || err != nil || r.total-r.closing > r.share || p.session.Surplus() {
		r.closing++
		r.mu.Unlock()
		r.end(p)
		return
	}
	if len(r.waiting) > 0 {
		c := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.handOut(p, c.fleet)
		c.got <- p
	} else {
		r.idle = append(r.idle, p)
	}
	r.mu.Unlock()
}

// end closes a place and tells the fleet when the server has confirmed it.
func (r *replica) end(p *place) {
	r.done.Go(func() {
		p.Close()
		p.session.Gone()
		r.mu.Lock()
		r.total--
		r.closing--
		r.grow()
		r.mu.Unlock()
	})
}

// close ends everything in order.
func (r *replica) close() {
	r.stop()
	r.mu.Lock()
	r.closed = true
	idle := r.idle
	r.idle, r.closing = nil, r.closing+len(r.idle)
	r.mu.Unlock()
	for _, p := range idle {
		r.end(p)
	}
	r.done.Wait()
}
