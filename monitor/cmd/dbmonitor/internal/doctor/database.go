package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
)

// Order is what to examine and how, as the command line says it.
type Order struct {
	Config      config.Config // the service's, from its environment
	Application string        // the fleet's application_name; empty: see chooseApplication
	Sized       string        // where Config's pool size comes from
	Timeout     time.Duration // for all of it
	SQL         bool          // show SQL texts, without literals
}

// Refused says why nothing could be examined.
type Refused struct {
	Level report.Level // Critical when that is a finding in itself: no slot is left; else Unreachable
	Text  string       // one line, the remedy included
}

// Error is the line.
func (r *Refused) Error() string { return r.Text }

func unreachable(text string) *Refused { return &Refused{report.Unreachable, text} }

// ExamineDatabase asks the database, on one connection and without changing
// anything. The error is a *Refused, fit to be printed.
func ExamineDatabase(ctx context.Context, o Order) (Case, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	waiting, giveUp := context.WithCancel(ctx)
	defer giveUp()
	patience := &earlyAbort{giveUp: giveUp}
	defer patience.stop()
	p, err := pool.Open(visitor(o), pool.WithLogger(slog.New(slog.DiscardHandler)), pool.WithObserver(patience))
	if err != nil {
		return Case{}, unreachable(source.Sanitize(err.Error(), 400))
	}
	defer p.Close()
	if err := p.Ready(waiting); err != nil {
		return Case{}, refusal(p, o.Timeout)
	}
	patience.stop()
	c := Case{Target: source.Sanitize(o.Config.DatabaseURL.Redacted(), 200), Self: 1, Thresholds: thresholds(o.Config)}
	if err := c.look(ctx, p, o.SQL); err != nil {
		return Case{}, unreachable("the server was reached, but not asked: " + source.Sanitize(err.Error(), 300))
	}
	c.Pooler = p.Stats().Pooler != ""
	c.name(o)
	c.count(o)
	source.SanitizeAll(&c)
	return c, nil
}

// visitor is the service's configuration made one for a single short visit.
func visitor(o Order) config.Config {
	cfg := o.Config
	cfg.Name, cfg.ApplicationName = ownName, ownName
	cfg.PoolSize, cfg.MaxOverflow = 1, 0
	cfg.Fleet, cfg.PoolMonitoring = config.FleetOff, false
	cfg.PoolTimeout, cfg.ConnectTimeout, cfg.StatementTimeout = o.Timeout, o.Timeout, o.Timeout
	return cfg
}

func thresholds(cfg config.Config) Thresholds {
	t := Thresholds{Idle: cfg.LeakThreshold, Slow: cfg.StatementTimeout, Lock: time.Second, Usage: cfg.MaxConnectionWarnings}
	if t.Idle == 0 {
		t.Idle = time.Minute
	}
	if t.Slow == 0 {
		t.Slow = 30 * time.Second
	}
	return t
}

// refusal explains why there was no connection.
func refusal(p *pool.Pool, waited time.Duration) *Refused {
	dial := p.Stats().LastDialError
	if dial == nil {
		return unreachable(fmt.Sprintf("no answer within %s; check the address and firewalls; --timeout waits longer", waited))
	}
	r := unreachable(source.Sanitize(fmt.Sprintf("%s: %s", dial.Reason, dial.Message), 300))
	if dial.Reason.NoCapacity() {
		r.Level = report.Critical
		r.Text += "; dbmonitor doctor http://YOUR-SERVICE needs no slot: it asks a service that has connections"
	}
	if dial.Remedy != "" {
		r.Text += "; " + dial.Remedy
	}
	return r
}

// look asks everything in one read-only transaction, so that the answers are
// of one moment.
func (c *Case) look(ctx context.Context, p *pool.Pool, text bool) error {
	tx, err := p.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it only reads
	view, err := serverview.Read(ctx, tx)
	if err != nil {
		return err
	}
	c.View = &view
	if c.Queries, err = serverview.LongestQueries(ctx, tx, serverview.QueryOptions{Limit: 50, Text: text}); err != nil {
		return err
	}
	if c.takers, err = takers(ctx, tx); err != nil {
		return err
	}
	c.fleetLocks, err = fleetLocks(ctx, tx)
	return err
}

// name settles which sessions are the fleet's.
func (c *Case) name(o Order) {
	c.Application, c.Chosen = o.Application, "as given"
	if c.Application != "" {
		return
	}
	resolved := o.Config.ResolvedApplicationName()
	if sessionsOf(c.View, resolved) > 0 {
		c.Application, c.Chosen = resolved, "as the environment says"
		return
	}
	c.Application, c.Chosen = chooseApplication(c.View)
}

// count settles how many replicas there are: as declared, or the live ones by
// their locks, or at least as many as the sessions take.
func (c *Case) count(o Order) {
	cfg := o.Config
	c.Ask = fleet.Ask{
		Replicas: cfg.FleetReplicas, Surge: cfg.FleetSurge, PoolSize: cfg.PoolSize, MaxOverflow: cfg.MaxOverflow,
		Budget: cfg.FleetBudget, Enforced: cfg.Fleet == config.FleetEnforce,
	}
	c.Sized = o.Sized
	live := c.liveReplicas(cfg.Name)
	switch seen := atLeast(c.ours(), cfg.MaxOpen()); {
	case c.Ask.Replicas > 0 && c.Ask.Replicas >= live:
		c.Counted = "as declared"
	case live > 0 && live >= seen:
		c.Ask.Replicas, c.Counted = live, "counted live"
	default:
		c.Ask.Replicas, c.Counted = seen, "at least, by the sessions there are; --replicas says how many run"
	}
}
