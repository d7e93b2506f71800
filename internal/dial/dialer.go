package dial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// Options are what a Dialer needs besides the configuration. All must be set but
// Hooks and Credentials.
type Options struct {
	Log         *slog.Logger
	Network     pgdriver.DialFunc
	Shared      *pgdriver.Shared // by all sessions
	Hooks       Hooks
	Credentials func(context.Context) (Credentials, error) // nil: the connection string's own
}

// Dialer opens connections. Its methods may be called concurrently.
type Dialer struct {
	cfg         config.Config
	log         *slog.Logger
	network     pgdriver.DialFunc
	shared      *pgdriver.Shared
	hooks       Hooks
	hosts       hosts
	credentials *credentials // nil: the connection string's own
	mode        atomic.Pointer[mode]
	deaf        atomic.Bool // see Deaf
	user        string      // the connection string's, for what is said to an administrator
	timeout     timeoutReport
	lockTimeout sync.Once // tells where lock_timeout is in force
}

// New returns a dialer for cfg, with ApplicationName resolved. What it does of its
// own accord ends with ctx.
func New(ctx context.Context, cfg config.Config, o Options) *Dialer {
	d := &Dialer{cfg: cfg, log: o.Log, network: o.Network, shared: o.Shared, hooks: o.Hooks}
	d.mode.Store(newMode(cfg, cfg.Pooler == config.PoolerPgBouncer))
	if o.Credentials != nil {
		d.credentials = &credentials{supply: o.Credentials, ctx: ctx, timeout: cfg.ConnectTimeout}
	}
	return d
}

// Check reads the connection string and the files that it names, without any
// network, and says why they cannot be used.
func (d *Dialer) Check() error {
	cc, err := readConfig(d.cfg.DatabaseURL)
	if err == nil {
		d.user = cc.User
	}
	return err
}

// Pooled reports whether connections lead to a pooler, as far as that is known.
func (d *Dialer) Pooled() bool { return d.mode.Load().pooler }

// Deaf reports whether connections tell their notifications to a handler that the
// user's hooks set, and so to nobody else, as far as that is known.
func (d *Dialer) Deaf() bool { return d.deaf.Load() }

// maxTries bounds the tries of one dial: as configured, unguarded, as a pooler
// wants it, with fresh credentials.
const maxTries = 4

// Open dials, authenticates and checks one connection within ConnectTimeout:
// all hosts and all tries together. sl is the slot of all its sockets.
func (d *Dialer) Open(ctx context.Context, sl *gate.Slot) (*pgdriver.Conn, error) {
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

func (d *Dialer) firstTry(ctx context.Context) (t try, err error) {
	t.mode = d.mode.Load()
	if d.credentials != nil {
		t.login, err = d.credentials.get(ctx)
	}
	return t, err
}

// nextTry says how the same dial may succeed at once after all: without the
// parameters that a pooler refuses, or with a fresh password. It returns err
// when it may not.
func (d *Dialer) nextTry(ctx context.Context, t try, err error) (try, error) {
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
func (d *Dialer) connect(ctx context.Context, sl *gate.Slot, t try) (*pgdriver.Conn, error) {
	cc, err := readConfig(d.cfg.DatabaseURL)
	if err != nil {
		return nil, err
	}
	d.deaf.Store(d.hooks.edit(cc))
	mode := t.mode.apply(cc)
	if t.login != nil {
		t.login.apply(cc)
	}
	c := pgdriver.New(sl, d.shared, pgdriver.Settings{Pooled: mode.pooler, BeginSuffix: mode.beginSuffix, Reset: d.cfg.Reset == config.ResetDiscard, Prepared: len(d.hooks.After) > 0}, cc)
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
	timeout, err := d.check(ctx, c, mode, cc.RuntimeParams)
	if err == nil {
		err = d.hooks.prepare(ctx, c, mode, timeout)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// HangUp ends what a dial under sl has come to, when it panicked.
func HangUp(sl *gate.Slot) {
	if s := lastSocket(sl); s != nil && s.Conn != nil {
		s.HangUp()
	}
}

// PanicError is a panic of a function that the user gave for dials.
type PanicError struct {
	value any
	Stack []byte // where it was
}

// NewPanic returns the error of a panic, where it is recovered.
func NewPanic(v any) *PanicError { return &PanicError{v, debug.Stack()} }

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// lastSocket is the one that was opened last under sl; nil before the first.
func lastSocket(sl *gate.Slot) *pgdriver.Socket {
	if s := sl.LastSocket(); s != nil {
		return s.Conn.(*pgdriver.Socket)
	}
	return nil
}
