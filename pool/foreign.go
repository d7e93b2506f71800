package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// New returns a pool over db, of any driver, with the limits of cfg: over
// go-sqlmock in tests, or over a *sql.DB that something else insists on opening.
//
// Calls go the same way as with Open: the gate with its order, timeout and lanes,
// sessions, retries, leak detection and statistics work. The pool takes
// connections out of db when they are wanted and keeps them until they are closed,
// so db.Stats shows idle ones as in use. What is the work of the pool's own driver
// is left out, and New says so in the log where cfg asks for it:
//
//   - DB_STATEMENT_TIMEOUT, the application name, DB_POOLER and everything else
//     about how connections are opened: db opens them;
//   - DB_RECLAIM_AFTER: nothing shows what a holder does with the connection;
//   - DB_FLEET: the budget and the check need PostgreSQL;
//   - exact counting of the server's sessions: a connection that was closed counts
//     no more, although the server may not have noticed;
//   - a cancelled statement is ended as db's driver ends it;
//   - Stats say nothing of how a statement was cancelled, and Holder.PID is 0.
//
// The pool owns db afterwards and closes it.
func New(db *sql.DB, cfg config.Config, opts ...Option) (*Pool, error) {
	if db == nil {
		return nil, errors.New("pool: New needs a *sql.DB; use Open to connect by configuration")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := newPool(cfg, newSettings(opts))
	p.foreign = db
	p.dialer.dial = p.openForeign
	p.limitOwner(cfg.MaxOpen(), cfg.PoolSize)
	db.SetConnMaxLifetime(cfg.PoolRecycle)
	p.warnOfForeign()
	p.start()
	return p, nil
}

// warnOfForeign names the settings that New does not keep.
func (p *Pool) warnOfForeign() {
	var without []string
	if p.cfg.StatementTimeout > 0 {
		without = append(without, "DB_STATEMENT_TIMEOUT")
	}
	if p.cfg.MinIdle > 0 {
		without = append(without, "DB_MIN_IDLE")
	}
	if p.cfg.Reset == config.ResetDiscard {
		without = append(without, "DB_RESET")
	}
	if p.cfg.ReclaimAfter > 0 {
		without = append(without, "DB_RECLAIM_AFTER")
	}
	if p.cfg.ReadURL != "" {
		without = append(without, "DATABASE_READ_URL")
	}
	if p.cfg.Fleet != config.FleetOff {
		without = append(without, "DB_FLEET")
	}
	if len(without) > 0 {
		p.log.Warn("settings without effect over a *sql.DB that the pool did not open", "pool", p.cfg.Name,
			"settings", strings.Join(without, ", "), "remedy", "use pool.Open where they matter")
	}
}

// foreignConn is a connection of a *sql.DB that is not the pool's own: of
// go-sqlmock in a test, of another driver. It stays checked out of that *sql.DB
// as long as the pool has it. What the driver lacks is done as database/sql would
// do it without.
type foreignConn struct {
	*gate.Slot
	held  *sql.Conn
	inner driver.Conn
	inTx  bool
	used  bool // at least once
}

// openForeign takes a connection out of the *sql.DB given to New.
func (p *Pool) openForeign(ctx context.Context, sl *gate.Slot, _ *fleet.Permit) (backend, error) {
	held, err := p.foreign.Conn(ctx)
	if err != nil {
		return nil, err
	}
	sl.Generation, sl.RecycleAt = p.dialer.generation.Load(), time.Now().Add(dueAfter(p.cfg.PoolRecycle))
	c := &foreignConn{Slot: sl, held: held}
	err = held.Raw(func(dc any) error { c.inner = dc.(driver.Conn); return nil })
	return c, err
}

// ready resets the session if the driver does that between two uses.
func (c *foreignConn) ready(ctx context.Context, _ *gate.Permit) error {
	if c.RetiredFor() != connstate.CloseUnknown {
		return driver.ErrBadConn
	}
	if r, ok := c.inner.(driver.SessionResetter); ok && c.used {
		if err := r.ResetSession(ctx); errors.Is(err, driver.ErrBadConn) {
			return driver.ErrBadConn
		}
	}
	c.used = true
	c.Activity.Store(connstate.ActivityIdle)
	return nil
}

// verdict is why the connection cannot go on.
func (c *foreignConn) verdict(time.Time) connstate.CloseReason {
	if v, ok := c.inner.(driver.Validator); ok && !v.IsValid() {
		c.RetireFor(connstate.CloseBroken)
	}
	return c.RetiredFor()
}

func (c *foreignConn) RetireFor(r connstate.CloseReason) { c.Slot.RetireFor(r) }

// close has the *sql.DB close the connection.
func (c *foreignConn) close() {
	_ = c.held.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.held.Close()
}

// goHome is for the pool's own connections: nothing here tells one connection of
// another driver from the next.
func (c *foreignConn) goHome() { c.close() }

// TellReclaimed is never called: see Traffic.
func (c *foreignConn) TellReclaimed(error) {}

// hangUp is never called: see Traffic.
func (c *foreignConn) hangUp() {}

// Traffic says busy: nobody knows what goes over the wire, so nothing is reclaimed.
func (*foreignConn) Traffic() (uint32, bool) { return 0, true }

// doing is what was noted at the beginning and end of each call.
func (c *foreignConn) Doing() int32 { return c.Activity.Load() }

// Outlives says no: nothing is taken away from its holder, see Traffic.
func (*foreignConn) Outlives() bool { return false }

// pgx is nil: the connection is another driver's.
func (*foreignConn) Pgx() *pgx.Conn { return nil }

// run marks that a statement runs. A panic, of a driver.Valuer say, becomes an
// error and costs the connection, as in conn.shield.
func (c *foreignConn) run(call func() error) (err error) {
	c.Activity.Store(connstate.ActivityRunning)
	finished := false
	defer func() {
		if !finished {
			err = pgdriver.NewPanicError(recover())
			c.RetireFor(connstate.CloseUnclean)
		}
		after := connstate.ActivityIdle
		if c.inTx {
			after = connstate.ActivityTx
		}
		c.Activity.Store(after)
	}()
	err = call()
	finished = true
	if errors.Is(err, driver.ErrBadConn) {
		c.RetireFor(connstate.CloseBroken)
	}
	return err
}

// ExecContext is the driver's, or that of a statement prepared for it.
func (c *foreignConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	err = c.run(func() error {
		if x, ok := c.inner.(driver.ExecerContext); ok {
			values, err := convert(c.inner, args)
			if err == nil {
				result, err = x.ExecContext(ctx, query, values)
			}
			if err != driver.ErrSkip {
				return err
			}
		}
		s, err := c.prepare(ctx, query)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		result, err = s.exec(ctx, args)
		return err
	})
	return result, err
}

// QueryContext is the driver's, or that of a statement prepared for it.
func (c *foreignConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = c.run(func() error {
		if x, ok := c.inner.(driver.QueryerContext); ok {
			values, err := convert(c.inner, args)
			if err == nil {
				rows, err = x.QueryContext(ctx, query, values)
			}
			if err != driver.ErrSkip {
				return err
			}
		}
		s, err := c.prepare(ctx, query)
		if err != nil {
			return err
		}
		if rows, err = s.query(ctx, args); err != nil {
			_ = s.Close()
			return err
		}
		rows = closingRows{rows, s}
		return nil
	})
	return rows, err
}

// closingRows closes the statement that was prepared for it.
type closingRows struct {
	driver.Rows
	s driver.Stmt
}

// Close closes both.
func (r closingRows) Close() error { return errors.Join(r.Rows.Close(), r.s.Close()) }

// Ping is the driver's, if it has it.
func (c *foreignConn) Ping(ctx context.Context) error {
	p, ok := c.inner.(driver.Pinger)
	if !ok {
		return nil
	}
	return c.run(func() error { return p.Ping(ctx) })
}

// BeginTx is the driver's, if it has it; else its Begin.
func (c *foreignConn) BeginTx(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, err error) {
	err = c.run(func() error {
		inner, err := c.begin(ctx, opts)
		if err == nil {
			tx, c.inTx = foreignTx{inner, c}, true
		}
		return err
	})
	return tx, err
}

func (c *foreignConn) begin(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if b, ok := c.inner.(driver.ConnBeginTx); ok {
		return b.BeginTx(ctx, opts)
	}
	if opts.Isolation != 0 || opts.ReadOnly {
		return nil, errors.New("pool: this driver knows neither isolation levels nor read-only transactions")
	}
	return c.inner.Begin() //nolint:staticcheck // all that such a driver has
}

// foreignTx notes the end of a transaction.
type foreignTx struct {
	driver.Tx
	c *foreignConn
}

// Commit commits.
func (t foreignTx) Commit() error { return t.end(t.Tx.Commit) }

// Rollback rolls back.
func (t foreignTx) Rollback() error { return t.end(t.Tx.Rollback) }

func (t foreignTx) end(call func() error) error {
	t.c.inTx = false
	return t.c.run(call)
}
