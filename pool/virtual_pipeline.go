package pool

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// sharing says whether single statements of a virtual connection may share a real one.
type sharing uint8

const (
	sharesNever    sharing = iota // of a session
	sharesWhenTold                // of DB: with ContextWithPipelining
	sharesAlways                  // of the pool's own methods
)

func (s sharing) allows(ctx context.Context) bool {
	return s == sharesAlways || s == sharesWhenTold && ctx.Value(pipeliningKey{}) != nil
}

type pipeliningKey struct{}

// ContextWithPipelining returns a context whose statements, run on the *sql.DB
// that [Pool.DB] returns, may share a connection with those of other callers
// while callers wait, as the pool's own methods do by themselves. Which
// statements do is decided by Config.Pipeline and by what the pool has learned
// of each.
//
// It is for code that runs single statements on the *sql.DB: statements of a
// *sql.Tx or a *sql.Conn share nothing in any case. Such a statement must not
// rely on session state that an earlier one left behind, which a *sql.DB does
// not promise anyway.
func ContextWithPipelining(ctx context.Context) context.Context {
	return context.WithValue(ctx, pipeliningKey{}, true)
}

// tableFor returns the table of statements for a mode; nil for off.
func tableFor(mode config.PipelineMode) *pgdriver.Table {
	switch mode {
	case config.PipelineReads:
		return pgdriver.NewTable(pgdriver.ShareReads)
	case config.PipelineAll:
		return pgdriver.NewTable(pgdriver.ShareAll)
	}
	return nil
}

// offers notes what a statement of database/sql's offers, and reports false when it
// may not share a connection: because its session is the caller's own, or because it
// is to be run in pgx's other modes.
func (v *virtual) offers(ctx context.Context, query string, args []driver.NamedValue) bool {
	if v.p.table == nil || v.pinned || v.real != nil || !v.shares.allows(ctx) || pgdriver.HasNamedOptions(args) {
		return false
	}
	return v.offersAs(query, offer{face: pgdriver.SQLFace, named: args})
}

// offersAs is offers of o, for whatever face.
func (v *virtual) offersAs(sql string, o offer) bool {
	if o.statement = v.p.table.Lookup(sql); o.statement == nil {
		return false
	}
	v.offer = o
	return true
}

// onShared is onReal for a statement that may share a connection, as it offers:
// instead of a connection, its answer may come. A waiting caller's stack is mostly
// what is below here, so that nothing large is passed on.
func onShared[T any](ctx context.Context, v *virtual, answer func(*pgdriver.Call) (T, error), call func(backend) (T, error)) (T, error) {
	st := v.offer.statement
	v.permit.Owner = v
	defer v.forget()
	err := v.take(ctx, gate.WantStatement)
	if err == nil {
		var c *pgdriver.Call
		if c, err = v.together(ctx); c != nil {
			return answer(c)
		}
	}
	return tries(ctx, v, gate.WantStatement, err, func(b backend) (T, error) {
		c, ok := b.(*conn)
		if !ok || !c.Pipelines() {
			return call(b)
		}
		began := time.Now()
		if st.IsUnlearned(began) {
			c.Learn(ctx, st, v.p.table)
			began = time.Now()
		}
		known := c.Knows(st)
		result, err := call(b)
		if err == nil && known {
			now := time.Now()
			st.RanAlone(pgdriver.Execution{Took: now.Sub(began)}, now)
		}
		return result, err
	})
}

// forget lets go of what was shared.
func (v *virtual) forget() {
	v.offer, v.permit.Owner = offer{}, nil
	v.permit.Forget()
}

// together returns the call that was answered with others; nil when the
// statement is to be executed alone. From then on it is offered no more: nobody
// would lead the run that its next connection were granted for.
func (v *virtual) together(ctx context.Context) (c *pgdriver.Call, err error) {
	permit := &v.permit
	switch {
	case permit.Run() != nil:
		c, err = v.lead(ctx)
	case permit.Shared():
		c = v.offer.call
		if c.Leads() && !c.Lead(ctx) {
			return nil, ctx.Err()
		}
	}
	if c != nil && !c.Answer().Again {
		return c, nil
	}
	v.forget()
	if c == nil {
		return nil, err
	}
	c.Discard()
	if err = v.p.await(ctx, permit, v.p.gate.Rejoin(permit, time.Now())); err == nil {
		v.p.routes.of(Lane(permit.Lane), permit.Name).holdsAgain()
		statementOf(permit.Statement).holdsAgain()
	}
	return nil, v.p.explain(permit, err)
}

// lead runs the statements that the permit was granted for.
func (v *virtual) lead(ctx context.Context) (*pgdriver.Call, error) {
	permit, g := &v.permit, v.p.gate
	if err := v.bind(ctx); err != nil {
		g.Disband(permit, time.Now())
		v.forget()
		return nil, v.replace(ctx, 0)
	}
	c, ok := v.real.(*conn)
	if !ok || !c.Pipelines() || !v.mayLead(ctx, c) || !c.BeginRun() {
		g.Disband(permit, time.Now())
		return nil, nil
	}
	own := pgdriver.Begin(c.LinkWith(v.p.table), &runHost{p: v.p, c: c, v: v, permit: permit, first: permit}, callsOf(permit.Run()))
	if !own.Lead(ctx) {
		return nil, ctx.Err()
	}
	return own, nil
}

// callsOf are the statements of a run.
func callsOf(run []gate.Rider) []*pgdriver.Call {
	calls := make([]*pgdriver.Call, len(run))
	for i, r := range run {
		calls[i] = r.Call.(*pgdriver.Call)
	}
	return calls
}

// rowsOf and resultOf give the answer to a call to database/sql.
func rowsOf(c *pgdriver.Call) (driver.Rows, error) {
	if err := c.Answer().Err; err != nil {
		return nil, err
	}
	return c.SQLRows(), nil
}

func resultOf(c *pgdriver.Call) (driver.Result, error) {
	defer c.Discard()
	if err := c.Answer().Err; err != nil {
		return nil, err
	}
	return driver.RowsAffected(c.Answer().Result.Tag.RowsAffected()), nil
}

// runHost lends a connection to a run.
type runHost struct {
	p      *Pool
	c      *conn
	v      *virtual     // whose caller leads; nil for nobody's
	permit *gate.Permit // which holds the connection
	first  *gate.Permit // of the caller who led from the start
}

var _ pgdriver.Host = (*runHost)(nil)

// Cancel cancels what the connection executes.
func (h *runHost) Cancel() (ended func()) { return h.c.CancelRunning() }

// HandOn makes another caller, or nobody, the holder of the connection.
func (h *runHost) HandOn(to *pgdriver.Call) {
	var v *virtual
	var permit *gate.Permit
	if to != nil {
		v = to.Owner.(*virtual)
		permit, v.real = &v.permit, h.c
	} else {
		permit = &gate.Permit{Name: h.permit.Name, Callsite: h.permit.Callsite, Asked: time.Now()}
	}
	if h.p.gate.PassOn(h.permit, permit) && h.permit == h.first {
		h.p.released(h.permit)
	}
	h.detach()
	h.v, h.permit = v, permit
}

// detach takes the connection from whose caller leads.
func (h *runHost) detach() {
	if h.v != nil {
		h.v.real, h.v.pinned = nil, false
	}
}

// Over gives the connection back.
func (h *runHost) Over(err error) {
	h.c.EndRun()
	if err != nil {
		h.c.RetireFor(connstate.CloseBroken)
	}
	h.detach()
	switch {
	case !h.p.putBack(h.permit, h.c):
	case h.permit == h.first:
		h.p.released(h.permit)
	default:
		h.p.cleared(h.permit)
	}
}
