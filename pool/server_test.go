package pool

import (
	"context"
	"log/slog"
	"maps"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// onServers runs a test on the machine's own PostgreSQL and on 18, whose words
// and ways differ.
func onServers(t *testing.T, settings map[string]string, test func(t *testing.T, srv *pgtest.Server)) {
	onServersWith(t, pgtest.Options{Settings: settings}, test)
}

func onServersWith(t *testing.T, opts pgtest.Options, test func(t *testing.T, srv *pgtest.Server)) {
	for _, version := range []int{0, 18} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			t.Parallel()
			opts := opts
			opts.Version = version
			test(t, pgtest.Start(t, opts))
		})
	}
}

// settled are settings for tests: small, and in no hurry to replace anything.
func settled(dsn string, size, overflow int) config.Config {
	cfg := config.Default()
	cfg.DatabaseURL = config.DSN(dsn)
	cfg.ApplicationName = "ours"
	cfg.PoolSize, cfg.MaxOverflow = size, overflow
	cfg.PoolTimeout = 10 * time.Second
	cfg.PoolRecycle = time.Hour
	return cfg
}

// quietly keeps the pool's words out of the test's.
var quietly = WithLogger(slog.New(slog.DiscardHandler))

// open opens a pool for the length of the test. At its end everything that was
// opened must have been closed.
func open(t testing.TB, cfg config.Config, opts ...Option) *Pool {
	t.Helper()
	p, err := Open(cfg, append([]Option{quietly}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		wantNothingLeft(t, p.Stats())
	})
	return p
}

func wantNothingLeft(t testing.TB, s Stats) {
	t.Helper()
	if s.InUse+s.Idle+s.Dialing+s.Closing != 0 || s.OpenedCount != s.Closed.Total() {
		t.Errorf("after Close: in use %d, idle %d, dialing %d, closing %d; opened %d, closed %+v",
			s.InUse, s.Idle, s.Dialing, s.Closing, s.OpenedCount, s.Closed)
	}
}

// with is dsn with settings added to its query.
func with(dsn string, settings map[string]string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	q := u.Query()
	for name := range maps.Keys(settings) {
		q.Set(name, settings[name])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// named is dsn with an application_name.
func as(dsn, application string) string {
	return with(dsn, map[string]string{"application_name": application})
}

// inParallel runs work n times at once and waits for all of them.
func inParallel(n int, work func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { work(i) })
	}
	wg.Wait()
}

// until waits for a condition that another party brings about.
func until(t testing.TB, within time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	started := time.Now()
	for !holds() {
		if time.Since(started) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(started)
}

// sampler counts sessions on the server, as often as the server answers, and
// remembers the most of each application.
type sampler struct {
	stop context.CancelFunc
	done chan struct{}
	most map[string]int
}

func sample(t testing.TB, srv *pgtest.Server, applications ...string) *sampler {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &sampler{stop: cancel, done: make(chan struct{}), most: map[string]int{}}
	go func() {
		defer close(s.done)
		for ctx.Err() == nil {
			for _, name := range applications {
				s.most[name] = max(s.most[name], srv.Sessions(ctx, name))
			}
		}
	}()
	t.Cleanup(func() { s.peak("") })
	return s
}

// peak ends the sampling and returns the most sessions seen at once.
func (s *sampler) peak(application string) int {
	s.stop()
	<-s.done
	return s.most[application]
}
