package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"

	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

type standbyKey struct{}

// ContextWithStandby returns a context whose reads may go to a standby, where
// Config.ReadURL names one: queries and read-only transactions of the pool's own
// methods, of [Pool.DB] and [Pool.Pgx], and read-only sessions. What they see may
// be older than what was committed at the primary; see [ContextWithProgress] for
// callers that want to see what they have written. Everything else goes to the primary:
// ExecContext, prepared statements, Conn, WithPgx, serializable transactions. A
// query that writes gets the standby's error (25006).
//
// While no standby can be used, and without a ReadURL, the primary serves them.
func ContextWithStandby(ctx context.Context) context.Context {
	return context.WithValue(ctx, standbyKey{}, true)
}

func asksForStandby(ctx context.Context) bool { return ctx.Value(standbyKey{}) != nil }

// WithStandby makes the session read only, as WithReadOnly does, and lets it run at
// a standby: see [ContextWithStandby], which does so for the pool's methods. It
// excludes WithAutocommit and serializable isolation.
func WithStandby() SessionOption {
	return func(o *sessionOptions) { o.tx.ReadOnly, o.standby = true, true }
}

// plainContext is a context without the marks of its callers: for questions of the
// pool's own.
type plainContext struct{ context.Context }

func (c plainContext) Value(key any) any {
	if _, ok := key.(standbyKey); ok {
		return nil
	}
	if v := c.Context.Value(key); v != nil {
		if _, ok := v.(*pgdriver.Progress); !ok {
			return v
		}
	}
	return nil
}

// standbyRead is a read that a standby is to serve.
type standbyRead struct {
	home    *Pool             // the primary's
	need    pgdriver.Position // what the standby must have replayed
	checked bool              // the present connection's has
	since   time.Time         // when the wait for that began
}

// needed is what the server must have replayed: nothing for a read at the primary.
func (r *standbyRead) needed() pgdriver.Position {
	if r == nil {
		return 0
	}
	return r.need
}

// waited counts a wait that is over.
func (r *standbyRead) waited() {
	if !r.since.IsZero() {
		r.home.standbys.counts.waited(time.Since(r.since))
		r.since = time.Time{}
	}
}

// chooseForQuery lets a standby serve a query that may go there.
func (v *virtual) chooseForQuery(ctx context.Context, query string) {
	if v.p.standbys == nil || v.real != nil || v.tx.ctx != nil {
		return
	}
	v.writes.harmless = pgdriver.ProgressOf(ctx) != nil && pgdriver.Classify(query) == pgdriver.Plain
	if asksForStandby(ctx) {
		v.goToStandby(ctx)
	}
}

// chooseForTx lets a standby serve a transaction that may go there.
func (v *virtual) chooseForTx(ctx context.Context, opts driver.TxOptions, asked bool) {
	if v.p.standbys == nil || v.real != nil {
		return
	}
	v.writes.harmless = opts.ReadOnly
	if asked && opts.ReadOnly && sql.IsolationLevel(opts.Isolation) != sql.LevelSerializable {
		v.goToStandby(ctx)
	}
}

// goToStandby has what follows go to a standby, if one can be used.
func (v *virtual) goToStandby(ctx context.Context) {
	b := v.p.standbys
	b.wanted()
	need, ok := b.need(ctx)
	if !ok {
		b.counts.unusable.Add(1)
		return
	}
	v.reads = &standbyRead{home: v.p, need: need}
	v.p = b.p
}

// need returns what a standby must have replayed for a read under ctx. It reports
// false when the read is the primary's.
func (b *standbys) need(ctx context.Context) (at pgdriver.Position, ok bool) {
	if !b.use.Load().ok {
		return 0, false
	}
	progress := pgdriver.ProgressOf(ctx)
	at, touched := progress.Need()
	if touched != 0 {
		var err error
		if at, err = b.home.ask(ctx, progress, touched); err != nil {
			return 0, false // the primary will say why
		}
	}
	return at, at == 0 || !b.p.dialer.opener.Pooled()
}

// leave ends what v was used for.
func (v *virtual) leave() {
	if v.reads != nil {
		v.reads.home.standbys.counts.reads.Add(1)
		v.p, v.reads = v.reads.home, nil
	} else {
		v.writes.progress.Touch()
	}
	v.writes = progressWrite{}
}

// comeHome has the primary serve a read for which there was err instead of a
// connection to a standby, if that is because no standby can be used.
func (v *virtual) comeHome(ctx context.Context, err error) error {
	if err == nil || v.reads == nil || ctx.Err() != nil || err != errGone && v.reads.home.standbys.areThere() {
		return err
	}
	v.reads.home.standbys.counts.unusable.Add(1)
	return v.takeHome(ctx)
}

// takeHome acquires a connection to the primary, with the patience that is left.
func (v *virtual) takeHome(ctx context.Context) error {
	v.p, v.reads = v.reads.home, nil
	v.offer.call = nil
	return v.p.acquireSince(ctx, &v.permit)
}

// bindCurrent is bind, which for a read at a standby includes that its server has
// replayed what the read needs.
func (v *virtual) bindCurrent(ctx context.Context) error {
	had := v.real != nil
	if err := v.bind(ctx); err != nil || v.reads == nil || had && v.reads.checked {
		return err
	}
	c := v.real.(*conn)
	ok, err := c.replayed(ctx, v.reads.need)
	if ok {
		v.reads.checked = true
		v.reads.waited()
		return nil
	}
	if err != nil {
		return driver.ErrBadConn
	}
	return errBehind
}

// replayed reports whether the server of c has replayed the log up to need. An
// error means that the connection is of no use.
func (c *conn) replayed(ctx context.Context, need pgdriver.Position) (bool, error) {
	if c.HasReplayed(need) {
		return true, nil
	}
	err := c.askReplay(ctx)
	return c.HasReplayed(need), err
}

// askReplay asks the server of c how far it has got with the log that it replays.
func (c *conn) askReplay(ctx context.Context) error {
	isStandby, err := c.AskReplay(ctx)
	if err == nil && !isStandby {
		return errPromoted
	}
	return err
}

// Between two looks at a standby that is behind.
const (
	firstReplayPause = 2 * time.Millisecond
	lastReplayPause  = 50 * time.Millisecond
)

// waitForReplay gives back a connection whose server is behind, and gets another
// one after a while, or one to the primary when DB_READ_WAIT is over.
func (v *virtual) waitForReplay(ctx context.Context) error {
	b := v.reads.home.standbys
	if v.bound != nil {
		v.bound(nil)
	}
	v.putBack(v.real)
	now := time.Now()
	var waited time.Duration
	if !v.reads.since.IsZero() {
		waited = now.Sub(v.reads.since)
	}
	left := b.home.cfg.ReadWait - waited
	if left <= 0 || b.isBehind() {
		b.missed.Store(now.UnixNano())
		b.counts.behind.Add(1)
		v.reads.waited()
		return v.takeHome(ctx)
	}
	if waited == 0 {
		v.reads.since = now
	}
	pause(ctx, min(left, max(firstReplayPause, min(waited, lastReplayPause))))
	v.reads.checked = false
	return v.comeHome(ctx, v.p.acquire(ctx, &v.permit))
}

// mayLead reports whether the server of c has replayed what the statements need
// that v's caller is to lead.
func (v *virtual) mayLead(ctx context.Context, c *conn) bool {
	if v.reads == nil {
		return true
	}
	need := v.reads.need
	for _, call := range callsOf(v.permit.Run()) {
		need = max(need, call.Needs)
	}
	ok, err := c.replayed(ctx, need)
	if err != nil {
		c.RetireFor(connstate.CloseBroken)
	}
	return ok && err == nil
}
