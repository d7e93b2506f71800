// Package fakesource is a pool for tests of the monitor: its figures, its probes
// and its server say what the test wants.
package fakesource

import (
	"context"
	"database/sql"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
)

// Source is safe for concurrent use.
type Source struct {
	*sql.DB // answers the monitor's statements

	mu                 sync.Mutex // guards everything below
	cfg                config.Config
	stats              pool.Stats
	holders            []pool.Holder
	routes, statements []pool.RouteStats
	ping               func(context.Context) error
	view               serverview.View
	queries            []serverview.Query
	wrong              pool.Diagnosis
	sampled            time.Time
	peak               int
	seen               pool.ServerView
	asked              map[string]int // statements by kind: "view", "queries"
	fail               error          // what statements answer instead
	slow               time.Duration  // how long they take
}

// New returns a healthy, idle pool of 5 + 5 over a server of 100 sessions. It is
// closed with the test.
func New(t testing.TB) *Source {
	s := &Source{cfg: config.Default(), asked: map[string]int{}}
	s.cfg.Name, s.cfg.ApplicationName = "orders", "orders-api"
	s.stats = pool.Stats{
		Name: "orders", PoolSize: 5, MaxOverflow: 5, Limit: 10, Idle: 2, OpenedCount: 2, DialCount: 2,
		Server: pool.ServerState{OK: true}, StatementTimeout: pool.StatementTimeout{Want: 30 * time.Second, InForce: true, How: "startup parameter"},
	}
	s.view = serverview.View{
		Version: "18.4", VersionNum: 180004, Role: "orders", Database: "shop", MaxConnections: 100, SuperuserReserved: 3,
		RoleLimit: -1, DatabaseLimit: -1, Sessions: 10, RoleSessions: 2, DatabaseSessions: 4,
	}
	s.DB = sql.OpenDB(connector{s})
	t.Cleanup(func() { _ = s.DB.Close() })
	return s
}

// Config is what Configure left.
func (s *Source) Config() config.Config { s.mu.Lock(); defer s.mu.Unlock(); return s.cfg }

// Configure changes the settings.
func (s *Source) Configure(change func(*config.Config)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.cfg)
}

// Stats is what Set left, taken now.
func (s *Source) Stats() pool.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.At = time.Now()
	return out
}

// Set changes the figures.
func (s *Source) Set(change func(*pool.Stats)) { s.mu.Lock(); defer s.mu.Unlock(); change(&s.stats) }

// Holders is what Hold left.
func (s *Source) Holders(n int) []pool.Holder {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n <= 0 {
		n = len(s.holders)
	}
	return append([]pool.Holder(nil), s.holders[:min(n, len(s.holders))]...)
}

// Hold sets who holds connections, longest first.
func (s *Source) Hold(holders ...pool.Holder) { s.mu.Lock(); defer s.mu.Unlock(); s.holders = holders }

// Ask sets what was done by statement.
func (s *Source) Ask(statements ...pool.RouteStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statements = statements
}

// Statements is what Ask left.
func (s *Source) Statements() []pool.RouteStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]pool.RouteStats(nil), s.statements...)
}

// Routes is what Serve left.
func (s *Source) Routes() []pool.RouteStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]pool.RouteStats(nil), s.routes...)
}

// Serve sets what was done by name.
func (s *Source) Serve(routes ...pool.RouteStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes = routes
}

// Diagnose is what Suffer left.
func (s *Source) Diagnose() pool.Diagnosis { s.mu.Lock(); defer s.mu.Unlock(); return s.wrong }

// SampleUsage is the figures of this moment, as if nothing had happened since the last.
func (s *Source) SampleUsage(threshold int) pool.UsageSample {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	out := pool.UsageSample{Span: now.Sub(s.sampled), Peak: max(s.stats.InUse, s.peak), Waiting: s.stats.Waiting}
	if s.sampled.IsZero() {
		out.Span = 0
	}
	if s.stats.Usage() >= float64(threshold) {
		out.Above = out.Span
	}
	s.sampled, s.peak = now, 0
	return out
}

// Burst is a peak that no look at the figures finds.
func (s *Source) Burst(peak int) { s.mu.Lock(); defer s.mu.Unlock(); s.peak = peak }

// Suffer sets the diagnosis.
func (s *Source) Suffer(d pool.Diagnosis) { s.mu.Lock(); defer s.mu.Unlock(); s.wrong = d }

// ObserveServer keeps what the monitor saw.
func (s *Source) ObserveServer(v pool.ServerView) { s.mu.Lock(); defer s.mu.Unlock(); s.seen = v }

// Seen is what the monitor told last.
func (s *Source) Seen() pool.ServerView { s.mu.Lock(); defer s.mu.Unlock(); return s.seen }

// PingContext does what Ping said; nothing, by default.
func (s *Source) PingContext(ctx context.Context) error {
	s.mu.Lock()
	ping := s.ping
	s.mu.Unlock()
	if ping == nil {
		return nil
	}
	return ping(ctx)
}

// Ping sets what a probe meets.
func (s *Source) Ping(ping func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ping = ping
}

// PingError makes every probe end with err; nil makes them succeed.
func (s *Source) PingError(err error) { s.Ping(func(context.Context) error { return err }) }

// See changes what the server says about itself.
func (s *Source) See(change func(*serverview.View)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.view)
}

// Run sets the statements that run on the server.
func (s *Source) Run(queries ...serverview.Query) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = queries
}

// Fail makes the server answer every statement with err; nil ends that.
func (s *Source) Fail(err error) { s.mu.Lock(); defer s.mu.Unlock(); s.fail = err }

// Slow makes every statement take d, or until its context ends.
func (s *Source) Slow(d time.Duration) { s.mu.Lock(); defer s.mu.Unlock(); s.slow = d }

// Asked is how often the server was asked for "view" or "queries".
func (s *Source) Asked(kind string) int { s.mu.Lock(); defer s.mu.Unlock(); return s.asked[kind] }

func (s *Source) answer(ctx context.Context, kind string) (string, error) {
	s.mu.Lock()
	s.asked[kind]++
	slow, fail := s.slow, s.fail
	var v any = s.view
	if kind == "queries" {
		v = append([]serverview.Query{}, s.queries...)
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(slow):
	}
	if fail != nil {
		return "", fail
	}
	doc, err := json.Marshal(v)
	return string(doc), err
}
