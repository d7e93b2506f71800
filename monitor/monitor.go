package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/flap"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// Source is what a monitor needs of a pool. *pool.Pool is one.
type Source interface {
	Config() config.Config
	Stats() pool.Stats
	Holders(n int) []pool.Holder
	Routes() []pool.RouteStats
	Statements() []pool.RouteStats
	Diagnose() pool.Diagnosis
	ObserveServer(v pool.ServerView)
	SampleUsage(threshold int) pool.UsageSample
	PingContext(ctx context.Context) error
	serverview.Querier
}

var _ Source = (*pool.Pool)(nil)

// Monitor watches one pool. All its methods may be called concurrently.
type Monitor struct {
	pool   Source
	log    *slog.Logger
	opts   options
	server serverCache
	hurry  chan struct{} // the checks want a probe and a view before they are due

	draining atomic.Bool // Drain was called

	mu      sync.Mutex // guards everything below
	state   statusjson.Monitoring
	since   time.Time // when state began
	watch   watch     // what the checks have seen
	prober  prober    // what the probes have seen
	verdict verdict   // what was judged last
	events  eventRing
	history history
	named   named

	announced flap.State // whether the verdict is unhealthy
}

// New returns a monitor of p. It starts nothing: call Run.
func New(p Source, opts ...Option) *Monitor {
	m := &Monitor{pool: p, log: slog.Default(), opts: defaultOptions(), hurry: make(chan struct{}, 1), state: statusjson.MonitoringNotRunning, history: newTimelines()}
	for _, o := range opts {
		o(&m.opts)
	}
	if m.opts.log != nil {
		m.log = m.opts.log
	}
	if !p.Config().PoolMonitoring {
		m.state = statusjson.MonitoringOff
	}
	m.log = m.log.With("pool", p.Config().Name)
	return m
}

var errRunning = errors.New("monitor: Run is already running")

// Run watches the pool until ctx ends, then returns nil; everything it started
// has ended by then. With Config.PoolMonitoring false it only waits for ctx. It
// returns an error at once when it is running already or an option is unusable.
// After it has returned it may be called again.
func (m *Monitor) Run(ctx context.Context) error {
	if err := errors.Join(m.opts.err(), intervalErr(m.pool.Config())); err != nil {
		return err
	}
	if !m.pool.Config().PoolMonitoring {
		<-ctx.Done()
		return nil
	}
	if err := m.enter(); err != nil {
		return err
	}
	defer m.leave()
	var running sync.WaitGroup
	running.Go(func() { m.keepChecking(ctx) })
	running.Go(func() { m.keepProbing(ctx) })
	running.Wait()
	return nil
}

// intervalErr is for a Config that nobody has validated.
func intervalErr(c config.Config) error {
	if c.LogPoolStatusInterval > 0 {
		return nil
	}
	return fmt.Errorf("monitor: LOG_POOL_STATUS_INTERVAL: %s: must be more than 0", c.LogPoolStatusInterval)
}

func (m *Monitor) enter() error {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == statusjson.MonitoringOn {
		return errRunning
	}
	m.state, m.since = statusjson.MonitoringOn, now
	m.watch, m.prober, m.history, m.named = watch{}, prober{}, newTimelines(), named{}
	m.events.add(now, statusjson.EventMonitor, "", statusjson.SeverityInfo, "monitoring started")
	return nil
}

func (m *Monitor) leave() {
	now := time.Now()
	defer m.tellPool() // it keeps no place any more
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.since = statusjson.MonitoringStopped, now
	m.events.add(now, statusjson.EventMonitor, "", statusjson.SeverityInfo, "monitoring stopped")
}
