package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// dialer opens connections when the gate wants them. Each dial runs in its own
// goroutine with its own deadline, whatever becomes of the callers that wait.
type dialer struct {
	g           *gate.Gate
	cfg         config.Config
	log         *slog.Logger
	observer    Observer
	base        *pgx.ConnConfig // as it was at Open; each dial reads it anew
	network     pgdriver.DialFunc
	hooks       connHooks
	hosts       hosts
	credentials *credentials // nil: the connection string's own
	shared      *pgdriver.Shared
	member      *member                                                                         // nil without a fleet
	dial        func(ctx context.Context, sl *gate.Slot, permit *fleet.Permit) (backend, error) // opens a connection, whose owner has it then
	mode        atomic.Pointer[mode]
	generation  atomic.Uint64 // raised by Recycle
	timeout     timeoutReport
	lockTimeout sync.Once // tells where lock_timeout is in force

	ctx  context.Context // ends when the pool closes
	stop context.CancelFunc
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
	took, trouble := d.g.Dialed(sl, time.Now())
	if !took {
		d.g.Abandon(sl)
		c.close()
		return
	}
	if !trouble.OK {
		d.log.Info("new connections again", "pool", d.cfg.Name, "after", time.Since(trouble.Since).Round(time.Millisecond), "reason", trouble.Reason)
	}
}

func (d *dialer) failed(sl *gate.Slot, err error) *DialError {
	e, t := newDialError(err, time.Now())
	if d.g.DialFailed(sl, t.failure(e), time.Now()) {
		attrs := []any{"pool", d.cfg.Name, "reason", e.Reason, "error", e.Message, "remedy", e.Remedy}
		if panicked := new(dialPanic); errors.As(err, &panicked) {
			attrs = append(attrs, "stack", string(panicked.stack))
		}
		d.log.Warn("no new connections", attrs...)
	}
	return e
}

// survive is open, of which a panic is a failed dial: in a function given to
// WithDialFunc, say. Nobody but the pool could recover from it.
func (d *dialer) survive(sl *gate.Slot, permit *fleet.Permit) (c backend, err error) {
	defer func() {
		if v := recover(); v != nil {
			d.member.refused(permit, false)
			if s := lastSocket(sl); s != nil && s.Conn != nil {
				s.HangUp()
			}
			c, err = nil, newDialPanic(v)
		}
	}()
	ctx, cancel := context.WithTimeout(d.ctx, d.cfg.ConnectTimeout)
	defer cancel()
	return d.dial(ctx, sl, permit)
}

// dialPanic is a panic of a function that the user gave for dials.
type dialPanic struct {
	value any
	stack []byte
}

func newDialPanic(v any) *dialPanic { return &dialPanic{v, debug.Stack()} }

func (e *dialPanic) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// maxTries bounds the tries of one dial: as configured, unguarded, as a pooler
// wants it, with fresh credentials.
const maxTries = 4

// open dials, authenticates and checks one connection within ConnectTimeout:
// all hosts and all tries together.
func (d *dialer) open(ctx context.Context, sl *gate.Slot) (*pgdriver.Conn, error) {
	try, err := d.firstTry(ctx)
	for n := 1; err == nil; n++ {
		var c *pgdriver.Conn
		if c, err = d.connect(ctx, sl, try); err == nil {
			return c, nil
		}
		if n < maxTries {
			try, err = d.nextTry(ctx, try, err)
		}
	}
	return nil, err
}

// try is what one connection attempt is made with.
type try struct {
	mode  *mode
	login *login // nil: the connection string's
}

func (d *dialer) firstTry(ctx context.Context) (t try, err error) {
	t.mode = d.mode.Load()
	if d.credentials != nil {
		t.login, err = d.credentials.get(ctx)
	}
	return t, err
}

// nextTry says how the same dial may succeed at once after all: without the
// parameters that a pooler refuses, or with a fresh password. It returns err
// when it may not.
func (d *dialer) nextTry(ctx context.Context, t try, err error) (try, error) {
	pooled := errors.Is(err, errPooled) || refusesParameters(err)
	if !t.mode.pooler && (pooled && d.adaptToPooler(err.Error()) || t.mode.refusesGuard(err) && d.unguard(t.mode)) {
		t.mode = d.mode.Load()
		return t, nil
	}
	if pooled {
		return t, err
	}
	if d.credentials == nil || !refusesPassword(err) {
		return t, err
	}
	t.login, err = d.credentials.renew(ctx, t.login)
	return t, err
}

// connect makes one connection attempt and checks what it got.
func (d *dialer) connect(ctx context.Context, sl *gate.Slot, t try) (*pgdriver.Conn, error) {
	cc, err := readConnConfig(d.cfg.DatabaseURL)
	if err != nil {
		return nil, err
	}
	d.hooks.edit(cc)
	mode := t.mode.apply(cc)
	if t.login != nil {
		t.login.apply(cc)
	}
	c := pgdriver.New(sl, d.shared, pgdriver.Settings{Pooled: mode.pooler, BeginSuffix: mode.beginSuffix, Prepared: len(d.hooks.after) > 0}, cc)
	sl.Generation, sl.RecycleAt = d.generation.Load(), c.DialedAt().Add(dueAfter(d.cfg.PoolRecycle))
	at := &attempt{slot: sl, hosts: &d.hosts, network: d.network, conn: c}
	ctx, err = at.prepare(ctx, cc, d.cfg.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	dc, err := stdlib.GetConnector(*cc).Connect(ctx)
	if err != nil {
		return nil, err
	}
	c.Connected(dc.(*stdlib.Conn), lastSocket(sl))
	sl.PID = c.PgConn().PID()
	err = d.check(ctx, c, mode, cc.RuntimeParams)
	if err == nil {
		err = d.hooks.prepare(ctx, c, mode)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// lastSocket is the one that was opened last under sl; nil before the first.
func lastSocket(sl *gate.Slot) *pgdriver.Socket {
	if s := sl.LastSocket(); s != nil {
		return s.Conn.(*pgdriver.Socket)
	}
	return nil
}
