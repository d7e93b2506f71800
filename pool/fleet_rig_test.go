package pool

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// smallServer has 20 slots: three are the superusers', and one is this test's own.
func smallServer(t *testing.T, settings ...string) *pgtest.Server {
	t.Helper()
	all := map[string]string{"max_connections": "20"}
	for i := 0; i < len(settings); i += 2 {
		all[settings[i]] = settings[i+1]
	}
	srv := pgtest.Start(t, pgtest.Options{Settings: all})
	srv.Exec(t, "create role app login")
	return srv
}

// usableSlots is what smallServer has for the role app.
const usableSlots = 16

// replica is one pool of a service, with its clients.
type replica struct {
	*Pool
	t       *testing.T
	log     *logLines
	served  atomic.Int64
	longest atomic.Int64 // wait, of all clients since reset

	mu     sync.Mutex // guards failed
	failed []error
	quit   context.CancelFunc
	done   sync.WaitGroup
}

// inFleet are the settings of the seed's replica, 5+5, of a service that shares its budget.
func inFleet(dsn, service string) config.Config {
	cfg := settled(as(dsn, service), 5, 5)
	cfg.Name, cfg.ApplicationName = service, service
	cfg.Fleet = config.FleetEnforce
	return cfg
}

// deploy starts n replicas.
func deploy(t *testing.T, n int, cfg config.Config) []*replica {
	t.Helper()
	list := make([]*replica, n)
	for i := range list {
		log := &logLines{}
		list[i] = &replica{t: t, log: log, quit: func() {}}
		list[i].Pool = open(t, cfg, WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
		t.Cleanup(func() { list[i].rest() })
	}
	return list
}

// work sets clients to work that each hold a connection for about hold, and
// then pause for as long as pause.
func (r *replica) work(clients int, hold, pause time.Duration) {
	ctx, quit := context.WithCancel(context.Background())
	r.quit = quit
	for range clients {
		r.done.Go(func() {
			for ctx.Err() == nil {
				r.request(ctx, hold)
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
		})
	}
}

func (r *replica) request(ctx context.Context, hold time.Duration) {
	began := time.Now()
	_, err := r.ExecContext(ctx, fmt.Sprintf("select pg_sleep(%f)", hold.Seconds()*(0.5+rand.Float64())))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.mu.Lock()
		r.failed = append(r.failed, err)
		r.mu.Unlock()
	default:
		r.served.Add(1)
		r.longest.Store(max(r.longest.Load(), int64(time.Since(began))))
	}
}

// rest sends the clients home.
func (r *replica) rest() {
	r.quit()
	r.done.Wait()
}

// failures are the errors of all clients so far; they are forgotten.
func (r *replica) failures() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.failed
	r.failed = nil
	return all
}

func wantNoFailures(t *testing.T, fleet []*replica) {
	t.Helper()
	for i, r := range fleet {
		if errs := r.failures(); len(errs) > 0 {
			t.Errorf("replica %d: %d requests failed, such as %v", i, len(errs), errs[0])
		}
	}
}

// sessions are those of each replica that are open now.
func sessions(fleet []*replica) []int {
	n := make([]int, len(fleet))
	for i, r := range fleet {
		n[i] = r.Stats().Open()
	}
	return n
}

func total(numbers []int) (n int) {
	for _, k := range numbers {
		n += k
	}
	return n
}

// reach waits until each replica has at least so many sessions, and all together.
func reach(t *testing.T, what string, fleet []*replica, each, all int) {
	t.Helper()
	began := time.Now()
	for {
		now := sessions(fleet)
		if slices.Min(now) >= each && total(now) >= all {
			t.Logf("%s: %v after %v", what, now, time.Since(began).Round(10*time.Millisecond))
			return
		}
		if time.Since(began) > 30*time.Second {
			for i, r := range fleet {
				s := r.Stats()
				t.Logf("%d: %d in use, %d idle, %d dialing, %d closing, %d waiting, limit %d, %+v; last dial error %v; owed %d",
					i, s.InUse, s.Idle, s.Dialing, s.Closing, s.Waiting, s.Limit, s.Fleet, s.LastDialError, r.gate.Load().Keep-s.Open())
			}
			t.Fatalf("%s: %v after %v, want at least %d each and %d in all", what, now, time.Since(began), each, all)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// tooMany is how often the server had no slot for somebody.
func tooMany(srv *pgtest.Server) int {
	log := srv.Log()
	return strings.Count(log, "too many clients already") + strings.Count(log, "remaining connection slots") + strings.Count(log, "too many connections for")
}

func wantNeverFull(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	if n := tooMany(srv); n > 0 {
		t.Errorf("the server answered 53300 %d times", n)
	}
}
