package pool

import (
	"context"
	"errors"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// member is the pool as a replica of its fleet: each dial needs a permit of the
// shared budget, each open session holds its token, and the share bounds the
// gate's limit. A nil member is a pool that belongs to no fleet; all methods
// that the engine calls allow it.
type member struct {
	p    *Pool
	f    *fleet.Fleet
	done chan struct{}
}

var _ fleet.Host = (*member)(nil)

// join makes the pool a member of its fleet, if it is to keep the fleet's budget.
func (p *Pool) join() {
	if p.cfg.Fleet != config.FleetEnforce || p.db == nil {
		return
	}
	if p.hasDefaultName() {
		p.log.Warn("every service that uses this database under the same pool name shares one budget", "pool", p.cfg.Name, "remedy", nameRemedy)
	}
	m := &member{p: p, done: make(chan struct{})}
	m.f = fleet.New(m, p.fleetOptions())
	p.member, p.dialer.member = m, m
	p.gate.SetShare(m.f.Share())
	go m.run(p.dialer.ctx) // Close waits for it
}

// nameRemedy is for a pool that did not say whose it is.
const nameRemedy = "set DB_POOL_NAME to the service's name: its pools of that name in one database are one fleet"

func (p *Pool) hasDefaultName() bool { return p.cfg.Name == config.Default().Name }

func (p *Pool) fleetOptions() fleet.Options {
	return fleet.Options{
		Service:  p.cfg.Name,
		KeySpace: byte(p.cfg.FleetKeySpace),
		Part:     p.cfg.FleetBudget,
		Surge:    p.cfg.FleetSurge,
		Replicas: p.cfg.FleetReplicas,
		Unread:   p.unreadBound(),
		Log:      p.log,
	}
}

// unreadBound is longer than any statement may take, and 0 where that has no bound.
func (p *Pool) unreadBound() time.Duration {
	if p.cfg.StatementTimeout == 0 {
		return 0
	}
	return p.cfg.StatementTimeout + pgdriver.UserTimeout
}

// run keeps the share until ctx ends.
func (m *member) run(ctx context.Context) {
	defer close(m.done)
	m.f.Run(ctx)
}

func (m *member) wait() {
	if m != nil {
		<-m.done
	}
}

// permit is asked for before each dial. False means not now: the share has
// just changed, and its next change will ask again.
func (m *member) permit() (*fleet.Permit, bool) {
	if m == nil {
		return nil, true
	}
	return m.f.Permit()
}

// refused says that the dial of permit failed; full, that the server had no room for it.
func (m *member) refused(permit *fleet.Permit, full bool) {
	if m != nil {
		m.f.Refused(permit, full)
	}
}

// enter takes a new connection into the budget before anything else is run on it.
func (m *member) enter(ctx context.Context, permit *fleet.Permit, c *conn) error {
	if m == nil {
		return nil
	}
	session, err := m.f.Enter(ctx, permit, fleet.Postgres(c.PgConn(), m.f.Keys()))
	if err != nil {
		return &fleetError{err}
	}
	c.KeepLocks()
	c.fleetSession, c.slot.OnFree, c.slot.Surplus = session, session.Gone, session.Surplus
	return nil
}

// fleetError is why a new connection was not taken into the fleet's budget: it is
// used up, or the server does not let this role keep it.
type fleetError struct{ err error }

var _ dial.Troubled = (*fleetError)(nil)

func (e *fleetError) Error() string { return "the fleet's budget: " + e.err.Error() }
func (e *fleetError) Unwrap() error { return e.err }

// Trouble is what the error means.
func (e *fleetError) Trouble() (dial.Trouble, bool) {
	if errors.As(e.err, new(*fleet.NoRoomError)) {
		return dial.Trouble{Full: true, Paced: true, Reason: dial.ReasonFleetFull}, true
	}
	return dial.Trouble{Reason: dial.ReasonFleetUnreadable, Permanent: true, Remedy: fleetRemedy + "warn"}, dial.IsWrong(pgdriver.SQLState(e.err))
}

// fleetRemedy is for a role, or a server, that cannot say who else is connected.
const fleetRemedy = "GRANT SELECT ON pg_catalog.pg_locks, pg_catalog.pg_stat_activity TO this role; else set DB_FLEET="

// wake tells the fleet that somebody waits although the pool itself has room.
func (m *member) wake() {
	if m != nil && m.p.gate.HeldBack() {
		m.f.Wake()
	}
}

// Load is what the pool is asked for.
func (m *member) Load() fleet.Load {
	return fleet.Load(m.p.gate.Load())
}

// SetShare bounds the pool's sessions, in any state.
func (m *member) SetShare(n int) {
	if m.p.gate.SetShare(n) {
		m.p.shrink()
	}
	m.p.gate.Demand() // a permit may be had now that could not be before
}

// Borrow runs use on an open session between two uses.
func (m *member) Borrow(ctx context.Context, use func(*fleet.Session, fleet.Locks) error) error {
	return m.p.borrow(ctx, func(c *conn) error {
		return use(c.fleetSession, fleet.Postgres(c.PgConn(), m.f.Keys()))
	})
}

// borrow runs use on a connection for the moment that a round trip takes. It
// is first in line, as health probes are, and in no statistics: nobody asked
// for it. A connection on which use fails is closed.
func (p *Pool) borrow(ctx context.Context, use func(*conn) error) error {
	v := &virtual{p: p}
	v.permit.Callsite = p.callers.Capture()
	v.permit.Internal, v.permit.Lane, v.permit.Name = true, gate.Probe, "fleet"
	if err := v.hold(ctx); err != nil {
		if err == ErrPoolTimeout {
			return context.DeadlineExceeded // ErrPoolTimeout is for callers, and comes with the figures
		}
		return err
	}
	defer v.giveBack(true)
	c := v.real.(*conn)
	err := use(c)
	if err != nil {
		c.RetireFor(connstate.CloseBroken)
	}
	return err
}
