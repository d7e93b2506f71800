// Package sample makes statuses for tests: what a service answers when it is
// well, when it is in trouble, and when it is hostile.
package sample

import (
	"time"

	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// now is the service's clock in every sample.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Healthy is a service with little to do.
func Healthy() *statusjson.Status {
	s := &statusjson.Status{
		Service: statusjson.ServiceName, Format: statusjson.Format, Name: "orders", ApplicationName: "orders", At: now,
		Monitoring: statusjson.MonitoringOn, MonitoringSince: now.Add(-time.Hour),
		Pool: statusjson.PoolFigures{
			Size: 5, CheckedIn: 3, CheckedOut: 2, Overflow: 0, MaxOverflow: 5, MaxOpen: 10, Limit: 10,
			UsagePercent: 20, ThresholdPercent: 80, ClearPercent: 70, PeakInUse: 4,
		},
		Queue: statusjson.QueueFigures{
			AcquiredCount: 12000, WaitedCount: 34, WaitTotalSeconds: 0.4, HoldTotalSeconds: 88,
			Wait: dist(12000, 0.0001), Hold: dist(12000, 0.005),
			RecentWait: dist(900, 0.0001), RecentHold: dist(900, 0.005), WindowSeconds: 300,
		},
		Lanes: []statusjson.LaneFigures{{Lane: "probe"}, {Lane: "request", InUse: 2}, {Lane: "background"}},
		Connections: statusjson.ConnectionFigures{
			OpenedCount: 14, ClosedCount: 9, Closed: statusjson.ClosedReasons{Recycled: 7, Surplus: 2}, DialCount: 14,
		},
		Leaks:            statusjson.LeakFigures{ThresholdSeconds: 60},
		Access:           statusjson.AccessState{OK: true, Since: now.Add(-time.Hour)},
		StatementTimeout: statusjson.StatementTimeoutState{WantSeconds: 30, InForce: true, How: "startup parameter"},
		Settings: statusjson.Settings{
			PoolTimeoutSeconds: 30, PoolRecycleSeconds: 300, ConnectTimeoutSeconds: 10, StatementTimeoutSeconds: 30,
			OverflowLingerSeconds: 30, LeakThresholdSeconds: 60, LogStatusIntervalSeconds: 300, Fleet: "warn", FleetSurge: 1,
		},
		Fleet:  fleet(1, 20, 20, true),
		Server: statusjson.ServerReport{At: now.Add(-5 * time.Second), AgeSeconds: 5, View: view(), ThresholdPercent: 80},
		Queries: statusjson.QueryReport{At: now, Longest: []serverview.Query{{
			PID: 4711, Role: "app", Database: "app", ApplicationName: "orders", State: "active",
			QuerySeconds: 0.02, TransactionSeconds: 0.02,
		}}},
		Holders: []statusjson.Holder{
			{Lane: "request", Name: "GET /orders", Caller: "api/list.go:41", HeldSeconds: 0.02, Activity: "running", PID: 4711},
			{Lane: "request", Name: "POST /orders", Caller: "api/create.go:17", HeldSeconds: 0.004, Activity: "idle in transaction", PID: 4712},
		},
		Routes: []statusjson.RouteFigures{
			{Name: "POST /orders", InUse: 1, AcquiredCount: 4000, RecentCount: 300, RecentHoldP95Seconds: 0.01},
			{Name: "GET /orders", InUse: 1, AcquiredCount: 8000, RecentCount: 600, RecentHoldP95Seconds: 0.005},
		},
		Statements: []statusjson.RouteFigures{
			{Name: "select id, total from orders where customer = $1", InUse: 1, AcquiredCount: 8000, RecentCount: 600, RecentHoldP95Seconds: 0.005},
			{Name: "insert into orders (customer, total) values (…)", AcquiredCount: 4000, RecentCount: 300, RecentHoldP95Seconds: 0.002},
		},
		Events: []statusjson.Event{{Seq: 1, At: now.Add(-time.Hour), Kind: statusjson.EventMonitor, Severity: statusjson.SeverityInfo, Message: "monitoring started"}},
	}
	s.Health = health(s, statusjson.Healthy, now.Add(-time.Hour))
	return s
}

// Busy is the same service a minute later: nearly full, leaking, callers waiting.
func Busy() *statusjson.Status {
	s := Healthy()
	s.At = now.Add(time.Minute)
	p := &s.Pool
	p.CheckedOut, p.CheckedIn, p.Overflow, p.Closing, p.UsagePercent = 9, 0, 4, 1, 90
	p.OverThreshold, p.OverSince, p.PeakInUse = true, now.Add(20*time.Second), 10
	q := &s.Queue
	q.Waiting, q.AcquiredCount, q.WaitedCount, q.TimedOutCount, q.ShedCount = 4, 12345, 210, 3, 1
	q.RecentWait, q.RecentHold = dist(1200, 0.01), dist(1200, 0.1)
	s.Lanes = []statusjson.LaneFigures{{Lane: "probe"}, {Lane: "request", InUse: 8, Waiting: 4}, {Lane: "background", InUse: 1}}
	s.Tasks = statusjson.TaskFigures{
		RunningCount: 2, StartedCount: 31, FailedCount: 2, PanicCount: 1,
		Running: []statusjson.RunningTask{{Name: "reindex", Since: now.Add(-664 * time.Second), RunningSeconds: 724}, {Name: "mail digest", Since: now.Add(58 * time.Second), RunningSeconds: 2}},
	}
	s.Routes = []statusjson.RouteFigures{
		{Name: "GET /orders", InUse: 8, Waiting: 4, AcquiredCount: 8300, TimedOutCount: 3, ShedCount: 1, RecentCount: 290, RecentHoldP95Seconds: 2.5},
		{AcquiredCount: 4}, // beyond the first 200
	}
	s.Statements = []statusjson.RouteFigures{{Name: "select #1f0c9a2b", InUse: 8, Waiting: 4, AcquiredCount: 8300, TimedOutCount: 3, ShedCount: 1, RecentCount: 290, RecentHoldP95Seconds: 2.5}}
	s.Connections.OpenedCount, s.Connections.DialCount, s.Connections.DialErrorCount = 18, 19, 1
	s.LastDialError = &statusjson.DialFailure{
		At: now.Add(30 * time.Second), SQLState: "53300", Reason: "server full",
		Message: "sorry, too many clients already", Remedy: "raise max_connections or lower DB_POOL_SIZE",
	}
	s.Leaks.Now, s.Leaks.WarnedCount = 1, 1
	s.Holders = append([]statusjson.Holder{{
		Lane: "background", Name: "reindex", Caller: "jobs/reindex.go:88", HeldSeconds: 723, Activity: "idle in transaction", PID: 4690, Leaking: true,
	}}, s.Holders...)
	s.Queries.Longest = append([]serverview.Query{{
		PID: 4690, Role: "app", Database: "app", ApplicationName: "orders", State: "idle in transaction",
		WaitingFor: "Client: ClientRead", QuerySeconds: 720, TransactionSeconds: 723,
	}}, s.Queries.Longest...)
	v := s.Server.View
	v.Sessions, v.RoleSessions, v.Free, v.UsagePercent = 21, 17, 3, 85
	s.Server.OverThreshold, s.Server.OverSince = true, now.Add(40*time.Second)
	s.Events = append([]statusjson.Event{
		{Seq: 3, At: now.Add(40 * time.Second), Kind: statusjson.EventLeak, Severity: statusjson.SeverityWarning, Message: "a connection is held for 12m0s by jobs/reindex.go:88 (reindex), idle in transaction"},
		{Seq: 2, At: now.Add(20 * time.Second), Kind: statusjson.EventUsageHigh, Severity: statusjson.SeverityWarning, Message: "9 of 10 connections in use (90 %, threshold 80 %)"},
	}, s.Events...)
	s.Health = health(s, statusjson.Degraded, now.Add(20*time.Second),
		statusjson.Problem{Code: statusjson.ProblemUsageHigh, Severity: statusjson.SeverityWarning, Message: "9 of 10 connections in use (90 %, threshold 80 %)", Since: now.Add(20 * time.Second)},
		statusjson.Problem{Code: statusjson.ProblemLeak, Severity: statusjson.SeverityWarning, Message: "1 connection is held longer than 1m0s", Since: now.Add(40 * time.Second)})
	return s
}

// Blind is the busy service that could not ask the server for a while, because
// others have filled it.
func Blind() *statusjson.Status {
	s := Busy()
	s.Server.Error, s.Server.AgeSeconds = "no connection was free", 42
	s.Access = statusjson.AccessState{Reason: "server full", Since: s.At.Add(-20 * time.Second)}
	s.LastDialError.At = s.At.Add(-time.Second)
	s.LastDialError.Message = "sorry, too many clients already (SQLSTATE 53300)"
	return s
}

// Crowded is the healthy service with more replicas than the server has room for.
func Crowded() *statusjson.Status {
	s := Healthy()
	s.Fleet = fleet(5, 60, 20, false)
	s.Fleet.Arithmetic = []string{
		"server: max_connections 100 - superuser_reserved_connections 3 - reserved_connections 2 - 4 sessions of others = 91",
		"role app: CONNECTION LIMIT 20 - 0 sessions of others = 20", "usable: 20",
		"fleet: (5 replicas + 1 surge) x (5 pool size + 5 overflow) = 60", "does not fit: 60 > 20",
	}
	s.Fleet.Remedies = []string{
		"DB_FLEET=enforce shares the 20 among the live replicas", "DB_POOL_SIZE=2 DB_MAX_OVERFLOW=1: 6 x 3 = 18", "run at most 1 replica",
		`ALTER ROLE "app" CONNECTION LIMIT 60;`,
	}
	s.Health = health(s, statusjson.Degraded, now.Add(-time.Minute), statusjson.Problem{
		Code: statusjson.ProblemFleetMisfit, Severity: statusjson.SeverityWarning, Since: now.Add(-time.Minute),
		Message: "the fleet does not fit: it can ask for 60 connections, and 20 are usable (5 replicas + 1 in a deploy)",
	})
	return s
}

// Shared is the healthy service where the replicas share a budget.
func Shared() *statusjson.Status {
	s := Healthy()
	s.Settings.Fleet = "enforce"
	s.Fleet = fleet(5, 6, 20, true)
	s.Fleet.Mode, s.Fleet.Share, s.Fleet.Tokens, s.Fleet.Headroom = "enforce", 4, 3, 2
	return s
}

// fleet is one that was looked at a moment ago.
func fleet(replicas, need, usable int, fits bool) *statusjson.FleetFigures {
	return &statusjson.FleetFigures{
		Mode: "warn", At: now.Add(-3 * time.Second), AgeSeconds: 3, Replicas: replicas, Surge: 1, Need: need, Usable: usable, Fits: &fits,
		Arithmetic: []string{}, Remedies: []string{},
	}
}

// Down is the same service when its database has gone.
func Down() *statusjson.Status {
	s := Busy()
	s.At = now.Add(2 * time.Minute)
	s.Pool.OverThreshold, s.Pool.Closing, s.Queue.Waiting, s.Leaks.Now = false, 0, 0, 0
	s.Lanes = nil
	s.Pool.CheckedIn, s.Pool.CheckedOut, s.Pool.Overflow, s.Pool.UsagePercent = 0, 0, -5, 0
	s.Holders, s.Queries.Longest = nil, nil
	s.Access = statusjson.AccessState{Reason: "unreachable", Since: now.Add(90 * time.Second)}
	s.LastDialError = &statusjson.DialFailure{At: now.Add(119 * time.Second), Reason: "unreachable", Message: "connection refused", Remedy: "check that the server runs"}
	s.Server = statusjson.ServerReport{Error: "the database cannot be reached", ThresholdPercent: 80}
	s.Queries = statusjson.QueryReport{Error: "the database cannot be reached"}
	s.Health = health(s, statusjson.Unhealthy, now.Add(90*time.Second),
		statusjson.Problem{Code: statusjson.ProblemUnreachable, Severity: statusjson.SeverityCritical, Message: "the database does not answer: unreachable", Since: now.Add(90 * time.Second)})
	s.Health.Probe = &statusjson.Probe{At: now.Add(119 * time.Second), AgeSeconds: 1, Outcome: statusjson.ProbeFailed, LatencySeconds: 0.001, Reason: "unreachable", ConsecutiveFailures: 6, IntervalSeconds: 5}
	return s
}

func health(s *statusjson.Status, status statusjson.HealthStatus, since time.Time, problems ...statusjson.Problem) statusjson.HealthReport {
	return statusjson.HealthReport{
		Service: s.Service, Format: s.Format, Name: s.Name, Status: status, Since: since, At: s.At,
		Problems: append([]statusjson.Problem{}, problems...), Monitoring: s.Monitoring,
		Probe: &statusjson.Probe{At: s.At.Add(-time.Second), AgeSeconds: 1, Outcome: statusjson.ProbeOK, LatencySeconds: 0.0006, LastOK: s.At.Add(-time.Second), IntervalSeconds: 5},
		InUse: s.Pool.CheckedOut, MaxOpen: s.Pool.MaxOpen, UsagePercent: s.Pool.UsagePercent, Waiting: s.Queue.Waiting,
	}
}

func view() *serverview.View {
	return &serverview.View{
		At: now, Version: "18.4", VersionNum: 180004, Role: "app", Database: "app",
		MaxConnections: 100, SuperuserReserved: 3, Reserved: 2, RoleLimit: 20, DatabaseLimit: -1,
		Usable: 20, Free: 10, UsagePercent: 50, BoundBy: serverview.BoundRole,
		Sessions: 14, RoleSessions: 10, DatabaseSessions: 12,
		States:       []serverview.StateCount{{State: "idle", Count: 10}, {State: "active", Count: 4}},
		Applications: []serverview.Application{{Name: "orders", Sessions: 10, RoleSessions: 10, Active: 2, Idle: 8}, {Name: "psql", Sessions: 2, Active: 2}, {Name: "", Sessions: 2, Idle: 2}},
	}
}

// dist is a plausible distribution around a median.
func dist(n uint64, median float64) statusjson.Distribution {
	return statusjson.Distribution{
		Count: n, MeanSeconds: 1.5 * median, P50Seconds: median, P90Seconds: 5 * median, P95Seconds: 10 * median, P99Seconds: 25 * median,
	}
}
