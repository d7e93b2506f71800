package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/fleet"
)

// FleetStats says whether all replicas of this service together fit the server.
type FleetStats struct {
	Mode     config.FleetMode // Config.Fleet
	At       time.Time        // when the fleet was looked at last; zero before the first look
	Replicas int              // live replicas, or as many as Config.FleetReplicas says if that is more
	Usable   int              // connections that the service may have, all replicas together
	Need     int              // connections that the fleet can ask for, with the surge of a rolling deploy
	Fits     bool             // Need <= Usable, and the services' budgets do not add up to more than the server has

	Share    int    // FleetEnforce: the most connections this replica may have now
	Tokens   int    // FleetEnforce: connections of the budget that this replica has
	Headroom int    // FleetEnforce: connections kept free for replicas that start
	Fallback string // FleetEnforce: why the budget is divided by number instead of shared; empty while it is shared

	Arithmetic []string // how Need and Usable come about, a step a line
	Remedies   []string // variables or SQL that would each make it fit; nil when it does
}

// fleetCheck looks at the fleet and says, once per change, whether it fits. With
// DB_FLEET=enforce the member has looked already; with DB_FLEET=warn the fleet check
// looks itself, which makes this replica known to the others.
type fleetCheck struct {
	p       *Pool
	watcher *fleet.Watcher // nil when the budget is enforced
	done    chan struct{}

	mu      sync.Mutex // guards all below
	last    FleetStats
	unknown bool   // said that nothing can be proved
	refused string // what the server said when it was asked last; empty when it answered
}

const (
	proveInterval = 15 * time.Second // between two looks
	proveRetry    = time.Second      // until the first one, which needs a connection
)

// checkFleet starts looking, unless DB_FLEET=off.
func (p *Pool) checkFleet() {
	if p.cfg.Fleet == config.FleetOff || p.db == nil {
		return
	}
	v := &fleetCheck{p: p, done: make(chan struct{})}
	if p.member == nil {
		v.watcher = fleet.NewWatcher(p.fleetOptions(), fleet.Ask{
			Replicas: p.cfg.FleetReplicas, Surge: p.cfg.FleetSurge,
			PoolSize: p.cfg.PoolSize, MaxOverflow: p.cfg.MaxOverflow, Budget: p.cfg.FleetBudget,
		})
	}
	p.fleetCheck = v
	go v.run(p.dialer.ctx) // Close waits for it
}

func (v *fleetCheck) run(ctx context.Context) {
	defer close(v.done)
	timer := time.NewTimer(proveRetry)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(v.round(ctx))
	}
}

func (v *fleetCheck) wait() {
	if v != nil {
		<-v.done
	}
}

// round looks once and returns when to look again.
func (v *fleetCheck) round(ctx context.Context) time.Duration {
	proof, ok := v.look(ctx)
	switch {
	case !ok:
		return proveRetry
	case v.isRefused():
	case proof.Known():
		v.say(v.take(proof))
	default:
		v.sayUnknown()
	}
	return proveInterval
}

// look returns the proof; ok is false while there is nothing to look with. It
// opens no connection of its own: a pool that nobody uses asks for nothing.
func (v *fleetCheck) look(ctx context.Context) (proof fleet.Proof, ok bool) {
	configured, size := v.p.most() // Resize may have changed them
	if v.watcher == nil {
		return v.p.member.f.Proof(size, configured-size)
	}
	if !v.p.gate.Lookable() {
		return fleet.Proof{}, false
	}
	v.watcher.Resize(size, configured-size)
	ctx, cancel := context.WithTimeout(ctx, v.p.cfg.ConnectTimeout)
	defer cancel()
	var said *pgconn.PgError
	err := v.p.borrow(ctx, func(c *conn) (err error) {
		proof, err = v.watcher.Look(ctx, fleet.Postgres(c.PgConn(), v.watcher.Keys()))
		if errors.As(err, &said) && !c.IsClosed() && c.PgConn().TxStatus() == 'I' {
			return nil // the question is refused, and nothing is wrong with the connection
		}
		return err
	})
	if ctx.Err() != nil {
		return proof, false // the pool closes, or the server is slow: what it says then is no refusal
	}
	v.sayRefused(said)
	return proof, err == nil
}

func (v *fleetCheck) isRefused() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.refused != ""
}

// sayRefused says once that the server does not answer the question, or that it
// does again.
func (v *fleetCheck) sayRefused(pg *pgconn.PgError) {
	refused := ""
	if pg != nil {
		refused = pg.Error()
	}
	v.mu.Lock()
	news := refused != v.refused
	v.refused = refused
	v.mu.Unlock()
	switch {
	case !news:
	case refused == "":
		v.p.log.Info("fleet: replica state can be read again", "pool", v.p.cfg.Name)
	default:
		remedy := fmt.Sprintf("it is asked again every %s; DB_FLEET=off asks no more", proveInterval)
		if dial.IsWrong(pg.Code) {
			remedy = fleetRemedy + "off"
		}
		v.p.log.Warn("fleet: cannot read replica state, so nobody proves that the fleet fits", "pool", v.p.cfg.Name, "error", refused, "remedy", remedy)
	}
}

// take keeps the proof for Stats and reports whether its verdict is news.
func (v *fleetCheck) take(proof fleet.Proof) (FleetStats, bool) {
	s := FleetStats{
		Mode: v.p.cfg.Fleet, At: time.Now(), Replicas: proof.Ask.Replicas, Usable: proof.Usable(),
		Need: proof.Need(), Fits: proof.Fits(), Arithmetic: proof.Steps(), Remedies: proof.Remedies(),
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	news := v.last.At.IsZero() || v.last.Fits != s.Fits
	v.last = s
	return s, news
}

func (v *fleetCheck) say(s FleetStats, news bool) {
	if !news {
		return
	}
	attrs := []any{"pool", v.p.cfg.Name, "replicas", s.Replicas, "need", s.Need, "usable", s.Usable, "arithmetic", strings.Join(s.Arithmetic, "; ")}
	if s.Fits {
		v.p.log.Info("the fleet fits the server", attrs...)
		return
	}
	if v.p.hasDefaultName() {
		attrs = append(attrs, "note", nameRemedy)
	}
	v.p.log.Warn("the fleet does not fit the server", append(attrs, "remedies", strings.ReplaceAll(strings.Join(s.Remedies, "; "), "remedy: ", ""))...)
}

// sayUnknown says once that nobody here knows what the pooler allows.
func (v *fleetCheck) sayUnknown() {
	v.mu.Lock()
	first := !v.unknown
	v.unknown = true
	v.mu.Unlock()
	if first {
		v.p.log.Info("whether the fleet fits is not known: a pooler stands before the server", "pool", v.p.cfg.Name,
			"remedy", "set DB_FLEET_BUDGET to the number of the pooler's clients (max_client_conn) that are this service's, and DB_FLEET_REPLICAS")
	}
}

// stats returns what is known of the fleet, with what changes from moment to
// moment as it is now.
func (v *fleetCheck) stats() FleetStats {
	if v == nil {
		return FleetStats{Mode: config.FleetOff}
	}
	v.mu.Lock()
	s := v.last
	v.mu.Unlock()
	s.Mode = v.p.cfg.Fleet
	s.Arithmetic, s.Remedies = slices.Clone(s.Arithmetic), slices.Clone(s.Remedies)
	if m := v.p.member; m != nil {
		now := m.f.Status()
		s.Share, s.Tokens, s.Headroom, s.Fallback = now.Share, now.Tokens, now.Plan.Headroom, now.NoLocks
		s.Replicas = max(s.Replicas, now.Replicas)
		if s.At.IsZero() {
			s.Usable = now.Plan.Usable
		}
	}
	return s
}
