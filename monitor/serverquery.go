package monitor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dbpool-go/dbpool/monitor/serverview"
)

const (
	// freshFor is how long an answer of the server is shown before a viewer
	// causes another query: any number of viewers cause at most one per freshFor.
	freshFor = 2 * time.Second
	// calmFor is the same after a failed one.
	calmFor = 5 * time.Second
	// askTimeout bounds one query for a viewer, its wait for a connection included.
	askTimeout = time.Second
)

// cached is the last answer to a question, and the last failure to get one.
type cached[T any] struct {
	asking sync.Mutex // held while the server is asked: others take what is there

	mu    sync.Mutex // guards everything below
	value *T         // nil before the first answer; never changed once set
	at    time.Time  // of value
	tried time.Time  // of the last attempt
	err   string     // of the last attempt, in fixed words; empty when it worked
}

// answer is a copy of what is cached.
type answer[T any] struct {
	value *T
	at    time.Time
	err   string
}

func (c *cached[T]) get() answer[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return answer[T]{c.value, c.at, c.err}
}

// due reports whether to ask again, given how long an answer is to serve.
func (c *cached[T]) due(now time.Time, keep time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != "" {
		keep = max(keep, calmFor)
	}
	return c.tried.IsZero() || now.Sub(c.tried) >= keep
}

// refresh asks unless the answer is younger than keep or somebody is asking already.
func (c *cached[T]) refresh(keep time.Duration, ask func() (T, error)) {
	if !c.due(time.Now(), keep) || !c.asking.TryLock() {
		return
	}
	defer c.asking.Unlock()
	value, err := ask()
	if errors.Is(err, context.Canceled) {
		return // the monitor is stopping: this says nothing
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried, c.err = now, ""
	if err != nil {
		c.err = reason(err)
		return
	}
	c.value, c.at = &value, now
}

// serverCache is what the server said.
type serverCache struct {
	view    cached[serverview.View]
	queries cached[[]serverview.Query]
}

// viewCounts is how old a view may be for conclusions to be drawn from it.
const viewCounts = 4 * viewInterval

// latest is the last view if it is young enough to say anything about now.
func (c *serverCache) latest(now time.Time) *serverview.View {
	a := c.view.get()
	if a.value == nil || now.Sub(a.at) > viewCounts {
		return nil
	}
	return a.value
}

// ServerView returns the server's own view as the monitor read it last, and false
// when there is none or it is more than a minute old. It asks nobody: it is made
// for dbpoolprom.WithServerView.
func (m *Monitor) ServerView() (serverview.View, bool) {
	v := m.server.latest(time.Now())
	if v == nil {
		return serverview.View{}, false
	}
	return *v, true
}

// readViewIfOld keeps the view for warnings and the history; it is part of
// probing. The answer comes a moment after its tick, so that at the tick that is
// due it is not quite viewInterval old: half a probe earlier will do.
func (m *Monitor) readViewIfOld(ctx context.Context) {
	keep := viewInterval - min(m.opts.probeInterval, viewInterval)/2
	if m.crowded() {
		keep = freshFor
	}
	m.server.view.refresh(keep, func() (serverview.View, error) { return m.askView(ctx, m.opts.probeTimeout) })
	m.tellPool()
}

// crowded reports whether callers wait and nothing is free: then what the server
// says has to be fresh.
func (m *Monitor) crowded() bool {
	s := m.pool.Stats()
	return s.Waiting > 0 && s.Idle <= s.Kept
}

// askForViewer brings both parts up to date for somebody who looks. It takes at
// most twice askTimeout, and nobody else waits meanwhile. A viewer who leaves does
// not spoil the answer for the next.
func (m *Monitor) askForViewer(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	defer m.tellPool()
	m.server.view.refresh(freshFor, func() (serverview.View, error) { return m.askView(ctx, askTimeout) })
	m.server.queries.refresh(freshFor, func() ([]serverview.Query, error) {
		ctx, cancel := m.probeContext(ctx, askTimeout)
		defer cancel()
		return serverview.LongestQueries(ctx, m.pool, m.opts.queryOptions())
	})
}

func (m *Monitor) askView(ctx context.Context, timeout time.Duration) (serverview.View, error) {
	ctx, cancel := m.probeContext(ctx, timeout)
	defer cancel()
	return serverview.Read(ctx, m.pool)
}
