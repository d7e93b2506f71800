package monitor

import (
	"context"
	"errors"
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// viewInterval is how often the server's own view is read in the background.
const viewInterval = 15 * time.Second

// prober is what the probes have seen. The zero value has seen nothing.
type prober struct {
	last      finding
	at        time.Time // when the last one ended; zero before the first
	latency   time.Duration
	failures  int       // in a row; busy ones neither count nor end the row
	failingAt time.Time // when the row began
	busySince time.Time // when probes began to be busy; zero when the last was not
	lastOK    time.Time
	silentAt  time.Time // since when a connected server has not answered; zero when it has
}

// finding is how a probe ended.
type finding struct {
	outcome statusjson.ProbeOutcome
	reason  string // fixed words, never the server's or the network's
	silent  bool   // there was a connection, and no answer on it
	closed  bool   // the pool is closed
}

// keepProbing probes at once and then every probeInterval, until ctx ends.
func (m *Monitor) keepProbing(ctx context.Context) {
	tick := time.NewTicker(m.opts.probeInterval)
	defer tick.Stop()
	for {
		m.probe(ctx)
		m.readViewIfOld(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-m.hurry:
		}
	}
}

// probe asks the database for an answer, in the probe lane and with a deadline
// of its own.
func (m *Monitor) probe(ctx context.Context) {
	ctx, cancel := m.probeContext(ctx, m.opts.probeTimeout)
	defer cancel()
	began := time.Now()
	err := m.pool.PingContext(ctx)
	ended := time.Now()
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the monitor is stopping: this says nothing
	}
	s := m.pool.Stats()
	m.mu.Lock()
	m.prober.record(diagnose(err, &s), ended, ended.Sub(began))
	m.mu.Unlock()
	m.check()
}

func (m *Monitor) probeContext(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(pool.ContextWithName(pool.ContextWithLane(ctx, pool.LaneProbe), "monitor"), timeout)
}

func (p *prober) record(f finding, at time.Time, latency time.Duration) {
	p.last, p.at, p.latency = f, at, latency
	switch {
	case f.outcome == statusjson.ProbeOK:
		p.silentAt = time.Time{}
	case f.silent && p.silentAt.IsZero():
		p.silentAt = at.Add(-latency)
	}
	switch f.outcome {
	case statusjson.ProbeOK:
		p.failures, p.lastOK, p.busySince = 0, at, time.Time{}
	case statusjson.ProbeBusy:
		if p.busySince.IsZero() {
			p.busySince = at
		}
	case statusjson.ProbeFailed:
		if p.failures == 0 {
			p.failingAt = at
		}
		p.failures++
		p.busySince = time.Time{}
	}
}

// diagnose tells a database that does not answer from a pool that had no
// connection to ask it with.
func diagnose(err error, s *pool.Stats) finding {
	var acquire *pool.AcquireError
	switch {
	case err == nil:
		return finding{outcome: statusjson.ProbeOK}
	case errors.Is(err, pool.ErrClosed):
		return finding{outcome: statusjson.ProbeFailed, reason: "the pool is closed", closed: true}
	case errors.As(err, &acquire):
		return diagnoseWait(acquire, s)
	default:
		return finding{outcome: statusjson.ProbeFailed, reason: reason(err), silent: errors.Is(err, context.DeadlineExceeded)}
	}
}

// diagnoseWait is about a probe that got no connection. As long as the pool has
// some, they are in use, and that says nothing against the database; when it has
// none and can open none, no caller is served.
func diagnoseWait(err *pool.AcquireError, s *pool.Stats) finding {
	switch {
	case s.Open() > 0 && !err.Verdict.NoServer():
		return finding{outcome: statusjson.ProbeBusy, reason: "no connection was free"}
	case refuses(s):
		return finding{outcome: statusjson.ProbeFailed, reason: string(s.Server.Reason)}
	case s.LastDialError != nil && !s.Server.OK && !errors.Is(err, pool.ErrOverloaded): // one of before others succeeded says nothing
		return finding{outcome: statusjson.ProbeFailed, reason: string(s.LastDialError.Reason)}
	case err.Verdict.NoServer() && s.Open() == 0:
		return finding{outcome: statusjson.ProbeFailed, reason: "no answer in time"}
	default:
		return finding{outcome: statusjson.ProbeBusy, reason: "no connection could be had in time"}
	}
}

// reason puts an error into fixed words that give nothing away: no address, no
// name, no text of the server's.
func reason(err error) string {
	var dial *pool.DialError
	var acquire *pool.AcquireError
	var coded interface{ SQLState() string }
	switch {
	case errors.Is(err, pool.ErrClosed):
		return "the pool is closed"
	case errors.As(err, &acquire): // it carries the last failed dial, however old
		return diagnoseWait(acquire, &acquire.Stats).reason
	case errors.As(err, &dial) && dial.Reason != "":
		return string(dial.Reason)
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &coded):
		return "the server answered with error " + coded.SQLState()
	default:
		return "the connection failed"
	}
}
