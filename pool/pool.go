// Package pool wraps database/sql's pool for PostgreSQL so that a service can
// never exhaust the server's connections.
//
// A [Pool] has one limit and one path to a connection. Callers have virtual
// connections, which cost nothing. The gate decides who may hold a real one: first
// come, first served, with deadlines and lanes. The slots count how many sessions
// the server has for this pool, those being opened and closed included. A *sql.DB
// owns the real connections and keeps the limits that are configured.
//
//	p, err := pool.Open(cfg)                 // validates; no network
//	err = p.Ready(ctx)                       // the first connection
//	rows, err := p.QueryContext(ctx, "…")    // database/sql's own types
//	err = p.WithSession(ctx, func(ctx context.Context, s *pool.Session) error { … })
//	p.Background(ctx, "reindex", func(ctx context.Context, s *pool.Session) error { … })
//	http.Handle("/orders", p.Middleware(orders))
//	defer p.Close()
package pool

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/stack"
)

// Pool is a pool of connections to one PostgreSQL database. All its methods may
// be called concurrently. Open or New makes one; Close ends it.
type Pool struct {
	cfg        config.Config
	log        *slog.Logger
	observer   Observer        // nil when nobody observes
	routes     *routes         // by all parts of the pool
	statements *statementTable // likewise
	defaults   []SessionOption
	retries    retryBudget
	plumbing   plumbing // the service's own, never named as a caller
	callers    stack.Sites

	table    *pgdriver.Table // of statements that may share connections; nil when none may
	unshared [pgdriver.ReasonCount]atomic.Uint64

	natives sync.Pool // of *virtual, for Pgx

	gate        *gate.Gate
	front       *sql.DB // of virtual connections, for the pool's methods
	sessions    *sql.DB // the same for sessions
	lent        lentDB  // the same for DB
	sites       checkoutSites
	db          *sql.DB // owns the real connections; nil for New
	foreign     *sql.DB // the caller's, for New; else nil
	dialer      *dialer
	recycler    *recycler
	housekeeper *housekeeper
	fleetCheck  *fleetCheck // nil with DB_FLEET=off
	member      *member     // nil unless the fleet's budget is enforced
	standbys    *standbys   // nil without a ReadURL
	partOf      *standbys   // of which this is the pool; nil for a pool that somebody opened
	tasks       backgroundTasks
	listeners   listeners

	server   atomic.Pointer[ServerView]      // what ObserveServer was told last
	refusals atomic.Pointer[recentDiagnosis] // for callers that are refused at once

	resizing  sync.Mutex // one change of database/sql's limit at a time
	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error
}

// Open returns a pool for cfg. It validates cfg, reporting all problems at once,
// and does not touch the network: the first connection is opened by Ready or by
// the first query. The caller closes the pool.
func Open(cfg config.Config, opts ...Option) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.ApplicationName = cfg.ResolvedApplicationName()
	s := newSettings(opts)
	p := newPool(cfg, s)
	if err := p.check("DATABASE_URL"); err != nil {
		return nil, err
	}
	p.table = tableFor(cfg.Pipeline)
	if err := p.addStandbys(s); err != nil {
		p.dialer.stop()
		return nil, err
	}
	p.warn()
	p.open()
	p.standbys.start()
	return p, nil
}

// check reads the connection string in variable, and ends the pool where that
// cannot be used.
func (p *Pool) check(variable string) error {
	err := p.dialer.opener.Check()
	if err == nil {
		return nil
	}
	p.dialer.stop()
	return fmt.Errorf("config: %s: %w", variable, err)
}

// open has a pool that opens its own connections begin.
func (p *Pool) open() {
	p.openOwner()
	p.dialer.dial = p.dialOwn
	p.join()
	p.checkFleet()
	p.start()
}

// warn logs what config noticed and could not say, for it has no log.
func (p *Pool) warn() {
	for _, w := range p.cfg.Warnings() {
		p.log.Warn("a setting is probably not what was meant", "pool", p.cfg.Name, "variable", w.Variable, "setting", w.Rule, "remedy", w.Remedy)
	}
}

// newPool puts the parts together.
func newPool(cfg config.Config, s *settings) *Pool {
	p := &Pool{cfg: cfg, log: s.log, plumbing: s.plumbing, defaults: s.session, routes: &routes{}, statements: &statementTable{}}
	if s.observer != (nobody{}) {
		p.observer = s.observer // nil costs a query less than being told
	}
	p.gate = gate.New(gate.Options{
		PoolSize: cfg.PoolSize, MinIdle: cfg.MinIdle, MaxOpen: cfg.MaxOpen(), MaxWaiters: cfg.MaxWaiters, Linger: cfg.OverflowLinger, Demand: p.demand,
	})
	p.dialer = newDialer(p.gate, cfg, s)
	p.recycler = &recycler{g: p.gate, lifetime: cfg.PoolRecycle, generation: &p.dialer.generation}
	p.housekeeper = &housekeeper{p: p, silent: map[gate.Grant]silence{}, before: map[gate.Grant]silence{}, done: make(chan struct{})}
	return p
}

// demand opens the connections that the gate wants, once the pool is open for business.
func (p *Pool) demand() {
	if p.dialer.dial != nil {
		p.dialer.demand()
	}
}

// dialOwn opens a connection that the pool's own *sql.DB owns, and takes it into
// the fleet's budget before anything else is run on it.
func (p *Pool) dialOwn(ctx context.Context, sl *gate.Slot, permit *fleet.Permit) (backend, error) {
	sl.Generation = p.dialer.generation.Load() // what Recycle finds in the middle of a dial is replaced, too
	session, err := p.dialer.opener.Open(ctx, sl)
	if err != nil {
		p.member.refused(permit, pgdriver.SQLState(err) == pgdriver.StateTooManyConnections)
		return nil, err
	}
	sl.RecycleAt = session.DialedAt().Add(dueAfter(p.cfg.PoolRecycle))
	c := newConn(session, sl, p.recycler)
	if err = p.member.enter(ctx, permit, c); err == nil {
		err = p.adopt(ctx, c)
	}
	if err != nil {
		_ = session.Close()
		return nil, err
	}
	return c, nil
}

// start opens for business.
func (p *Pool) start() {
	p.front = p.newFront(sharesAlways)
	p.sessions = sql.OpenDB(sessionConnector{p})
	go p.housekeeper.run(p.dialer.ctx) // Close waits for it
}

// Config returns the settings the pool was opened with, ApplicationName
// resolved. Resize does not change it.
func (p *Pool) Config() config.Config { return p.cfg }

// Ready makes sure that the database can be used: it opens the first connection
// and makes a round trip. While the server is starting, full or unreachable it
// keeps trying until ctx ends; a wrong password, an unknown database or a
// certificate that is not trusted it reports at once. It then waits for the
// connections that Config.MinIdle asks for, as long as they can be had.
func (p *Pool) Ready(ctx context.Context) error {
	p.gate.TryAnew(time.Now())
	for {
		err := p.PingContext(ContextWithName(ctx, "ready"))
		if err == nil {
			p.standbys.wanted()
			p.warmUp(ctx)
		}
		if err == nil || ctx.Err() != nil || !passes(err) {
			return p.notReady(err)
		}
		pause(ctx, lastPause) // what is refused at once would be asked again at once
	}
}

// warmUp waits for the connections that MinIdle asks for, while they can be had.
func (p *Pool) warmUp(ctx context.Context) {
	if p.cfg.MinIdle == 0 || p.foreign != nil {
		return
	}
	p.gate.Demand()
	select {
	case <-p.gate.WhenWarm():
	case <-ctx.Done():
	}
}

// passes reports whether waiting longer may help.
func passes(err error) bool { return errors.Is(err, ErrPoolTimeout) || errors.Is(err, ErrOverloaded) }

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (p *Pool) notReady(err error) error {
	if err == nil {
		return nil
	}
	e := &notReadyError{pool: p.cfg.Name, err: err}
	var dial *DialError
	var acquire *AcquireError
	told := errors.As(err, &dial) || errors.As(err, &acquire) && acquire.Verdict != ""
	if s := p.Stats(); !told && !s.Server.OK && !errors.Is(err, ErrClosed) {
		e.dial = s.LastDialError
	}
	return e
}

// notReadyError says why Ready failed. The pool's name, the cause and the remedy
// are in it once.
type notReadyError struct {
	pool string
	err  error
	dial *DialError // nil when err tells of it, or when no dial failed
}

func (e *notReadyError) Error() string {
	name := fmt.Sprintf("pool %q: ", e.pool)
	text := name + "not ready: " + strings.TrimPrefix(e.err.Error(), name)
	if e.dial != nil {
		text += "; last dial error: " + e.dial.Error()
	}
	return text
}

// Unwrap is what the last attempt came to.
func (e *notReadyError) Unwrap() error { return e.err }

// Resize changes PoolSize and MaxOverflow, up or down, while the pool is in use.
// Nothing is lost: connections beyond a smaller limit are closed as they are
// given back, and until then the sum of sessions stays within the former one.
// A size below 1 or a negative overflow is refused. With a ReadURL both are
// divided as ReadShare says.
func (p *Pool) Resize(poolSize, maxOverflow int) error {
	cfg := p.cfg
	cfg.PoolSize, cfg.MaxOverflow = poolSize, maxOverflow
	if err := cfg.Validate(); err != nil {
		return err
	}
	if p.standbys != nil {
		p.standbys.resize(cfg)
		return nil
	}
	p.limit(poolSize, cfg.MaxOpen())
	return nil
}

// limit sets how many connections the pool has.
func (p *Pool) limit(poolSize, maxOpen int) {
	p.resizing.Lock()
	defer p.resizing.Unlock()
	// The owner is the first to allow more and the last to allow less.
	was, _ := p.gate.Settings()
	p.limitOwner(max(was, maxOpen), poolSize)
	p.gate.Resize(poolSize, maxOpen)
	p.limitOwner(maxOpen, poolSize)
	p.shrink()
	p.gate.Demand()
}

// limitOwner sets the limits of the *sql.DB that the connections come from.
func (p *Pool) limitOwner(maxOpen, maxIdle int) {
	db := cmp.Or(p.db, p.foreign)
	db.SetMaxOpenConns(maxOpen)
	db.SetMaxIdleConns(maxIdle)
}
