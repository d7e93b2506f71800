package dbpoolprom

import (
	"sync/atomic"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
)

// fixed is a Source whose figures the test sets; it counts how often it is asked.
type fixed struct {
	stats pool.Stats
	calls atomic.Int64
}

func (f *fixed) Stats() pool.Stats {
	f.calls.Add(1)
	return f.stats
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// busy is a snapshot in which no two figures are alike.
func busy() pool.Stats {
	s := pool.Stats{
		Name: "orders", At: epoch.Add(time.Hour),
		PoolSize: 20, MaxOverflow: 12, Limit: 31,
		InUse: 11, Idle: 7, Dialing: 3, Closing: 6, Quarantined: 2, Waiting: 62,
		AcquireCount: 1001, WaitCount: 303, WaitDuration: 404500 * time.Millisecond, HoldDuration: 505 * time.Second,
		TimeoutCount: 17, ShedCount: 18, AcquireCanceledCount: 19, NestedCount: 21,
		OpenedCount: 122, Closed: pool.ClosedStats{Recycled: 31, Surplus: 32, Broken: 33, Canceled: 34, Unclean: 35, Shutdown: 36},
		Ended:       pool.EndedStats{Terminated: 1, Crashed: 2, DatabaseDropped: 3, IdleSession: 4, IdleTransaction: 5, Transaction: 6, Conflict: 7, OtherError: 8, Silent: 9, Network: 10, GivenUp: 12, ReadOnly: 13, Unknown: 14},
		CancelCount: 41, DialCount: 142, DialErrorCount: 43,
		LastDialError:    &pool.DialError{At: epoch, Reason: "role limit", Message: "too many connections for role"},
		Server:           pool.ServerState{Reason: "role limit", Since: epoch.Add(time.Minute)},
		StatementTimeout: pool.StatementTimeout{Want: 30 * time.Second, InForce: true},
		Pooler:           "pgbouncer",
		LeakWarningCount: 5, Leaking: 4,
		Pipeline: pool.PipelineStats{
			Mode: config.PipelineReads, SharedCount: 171, RunCount: 28, RunLengths: pool.RunLengths{1, 2, 3, 4, 5, 6, 7},
			Unshared: pool.UnsharedStats{Text: 61, New: 62, NotSelect: 63, Slow: 64, Large: 65, Nested: 66, Arguments: 67},
		},
		Tasks: pool.TaskStats{
			Running:      []pool.RunningTask{{Name: "reindex", Since: epoch.Add(3 * time.Minute)}, {Name: "mail", Since: epoch.Add(4 * time.Minute)}},
			StartedCount: 52, FailedCount: 53, PanicCount: 54, RefusedCount: 55,
		},
		Standby: &pool.StandbyStats{
			OK: true, Since: epoch.Add(5 * time.Minute), Behind: true, Budget: 37, Limit: 15, InUse: 71, Idle: 72, Dialing: 73, Closing: 74, Waiting: 75,
			ReadCount: 76, UnusableCount: 77, BehindCount: 78, WaitCount: 79, WaitDuration: 80 * time.Second,
		},
		Fleet: pool.FleetStats{
			Mode: config.FleetEnforce, At: epoch.Add(2 * time.Minute), Replicas: 8, Usable: 97, Need: 96, Fits: true,
			Share: 13, Tokens: 14, Headroom: 9, Arithmetic: []string{"8 x 12"}, Remedies: []string{"DB_POOL_SIZE=1"},
		},
	}
	s.Lanes = [3]pool.LaneStats{{InUse: 1, Waiting: 0}, {InUse: 8, Waiting: 51}, {InUse: 2, Waiting: 11}}
	s.Wait.Counts[3], s.Wait.Counts[10], s.Wait.Count, s.Wait.Sum = 700, 300, 1000, 60*time.Second
	s.Hold.Counts[0], s.Hold.Counts[len(s.Hold.Counts)-1], s.Hold.Count, s.Hold.Sum = 900, 90, 990, 7000*time.Second
	return s
}

// known is a server's view in which no two figures are alike.
func known() Option {
	return WithServerView(func() (serverview.View, bool) {
		return serverview.View{Usable: 27, Free: 4, UsagePercent: 85, Sessions: 23, RoleSessions: 19}, true
	})
}
