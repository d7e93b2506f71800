package pool

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/flap"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// dialer opens connections when the gate wants them. Each dial runs in its own
// goroutine with its own deadline, whatever becomes of the callers that wait.
type dialer struct {
	g          *gate.Gate
	cfg        config.Config
	log        *slog.Logger
	observer   Observer
	opener     *dial.Dialer
	shared     *pgdriver.Shared
	member     *member                                                                         // nil without a fleet
	dial       func(ctx context.Context, sl *gate.Slot, permit *fleet.Permit) (backend, error) // opens a connection, whose owner has it then
	failing    func()                                                                          // told of each dial that failed; may be nil
	generation atomic.Uint64                                                                   // raised by Recycle

	ctx  context.Context // ends when the pool closes
	stop context.CancelFunc

	toldMu sync.Mutex // guards told
	told   flap.Spell // of failed dials, by reason
}

// newDialer returns the dialer of a pool that does not dial yet.
func newDialer(g *gate.Gate, cfg config.Config, s *settings) *dialer {
	d := &dialer{g: g, cfg: cfg, log: s.log, observer: s.observer, shared: &pgdriver.Shared{}}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.opener = dial.New(d.ctx, cfg, dial.Options{Log: s.log, Network: s.network, Shared: d.shared, Hooks: s.hooks, Credentials: s.supply})
	return d
}

// demand starts the dials that the gate wants now, after telling whom it
// concerns which slots have come free. It never blocks.
func (d *dialer) demand() {
	for _, tell := range d.g.TakeFreed() {
		tell()
	}
	for range d.g.StartDials(time.Now()) {
		go d.run() // counted as dialing until it ends, which Pool.Close waits for
	}
}

// run makes one dial and hands its outcome to the gate.
func (d *dialer) run() {
	sl := d.g.NewSlot()
	permit, ok := d.member.permit()
	if !ok {
		d.g.Postpone(sl) // the share has just changed; it will ask again
		return
	}
	started := time.Now()
	c, err := d.survive(sl, permit)
	took := time.Since(started)
	if err == nil {
		d.observer.Dialed(took, nil)
		d.handOver(sl, c)
	} else {
		d.observer.Dialed(took, d.failed(sl, err)) // pgx's own error holds the password
	}
	d.demand()
}

// handOver gives a dialed connection to the gate; after the pool's end it is closed.
func (d *dialer) handOver(sl *gate.Slot, c backend) {
	sl.Backend, sl.Doing = c, c.Doing
	now := time.Now()
	took, trouble := d.g.Dialed(sl, now)
	if !took {
		d.g.Abandon(sl)
		c.close()
		return
	}
	if !trouble.OK {
		d.tellOver(trouble, now)
	}
}

func (d *dialer) failed(sl *gate.Slot, err error) *DialError {
	f, now := dial.Explain(err), time.Now()
	e := newDialError(f, now)
	if d.g.DialFailed(sl, failureOf(f, e), now) {
		d.tell(e, err, now)
	}
	if d.failing != nil {
		d.failing()
	}
	return e
}

// tell logs a failed dial, if the log does not have it yet: a server with no room now
// and then is not two lines each time.
func (d *dialer) tell(e *DialError, err error, now time.Time) {
	d.toldMu.Lock()
	turn := d.told.Stands(now, string(e.Reason), false)
	d.toldMu.Unlock()
	if !turn.Tell {
		return
	}
	attrs := []any{"pool", d.cfg.Name, "reason", e.Reason, "error", e.Message}
	if e.Remedy != "" {
		attrs = append(attrs, "remedy", e.Remedy)
	}
	if panicked := new(dial.PanicError); errors.As(err, &panicked) {
		attrs = append(attrs, "stack", string(panicked.Stack))
	}
	d.log.Warn("no new connections", turn.Attrs(attrs...)...)
}

// tellOver logs that connections can be opened again, if the log has that they could not.
func (d *dialer) tellOver(trouble gate.ServerState, now time.Time) {
	d.toldMu.Lock()
	turn := d.told.Over(now)
	d.toldMu.Unlock()
	if turn.Tell {
		d.log.Info("new connections again", "pool", d.cfg.Name, "lasted_seconds", logSeconds(now.Sub(trouble.Since)), "reason", trouble.Reason)
	}
}

// failureOf is what the gate has to know of a failed dial.
func failureOf(f dial.Failure, e *DialError) gate.Failure {
	return gate.Failure{Err: e, At: e.At, Reason: string(f.Reason), Full: f.Full, Permanent: f.Permanent, Paced: f.Paced}
}

// survive is open, of which a panic is a failed dial: in a function given to
// WithDialFunc, say. Nobody but the pool could recover from it.
func (d *dialer) survive(sl *gate.Slot, permit *fleet.Permit) (c backend, err error) {
	defer func() {
		if v := recover(); v != nil {
			d.member.refused(permit, false)
			dial.HangUp(sl)
			c, err = nil, dial.NewPanic(v)
		}
	}()
	ctx, cancel := context.WithTimeout(d.ctx, d.cfg.ConnectTimeout)
	defer cancel()
	return d.dial(ctx, sl, permit)
}
