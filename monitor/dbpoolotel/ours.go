package dbpoolotel

import (
	"iter"
	"slices"

	"github.com/dbpool-go/dbpool/pool"
)

// What the conventions have no name for.

const (
	scopeName   = "github.com/dbpool-go/dbpool/monitor/dbpoolotel"
	spanAcquire = "dbpool.acquire"

	attrLane    = "dbpool.lane"    // probe, request, background
	attrResult  = "dbpool.result"  // ok, timeout, shed, canceled
	attrReason  = "dbpool.reason"  // why closed, why refused, why not sent with others
	attrCause   = "dbpool.cause"   // what ended a connection
	attrHolder  = "dbpool.holder"  // the route or task that asks; on spans
	attrVerdict = "dbpool.verdict" // the likely cause of a failure; on spans
)

func ours() []instrument {
	return slices.Concat(connections(), acquisitions(), pipelines(), tasks(), server(), standby(), fleet())
}

func connections() []instrument {
	return []instrument{
		{"dbpool.connection.max_open", upDownCounter, "{connection}", "",
			"The most connections the pool may ever have: pool size plus overflow.",
			one(func(s *pool.Stats) int { return s.MaxOpen() })},
		{"dbpool.connection.dialing", upDownCounter, "{connection}", "", "Connections being opened.",
			one(func(s *pool.Stats) int { return s.Dialing })},
		{"dbpool.connection.closing", upDownCounter, "{connection}", "", "Connections given up whose server session has not ended yet.",
			one(func(s *pool.Stats) int { return s.Closing })},
		{"dbpool.connection.quarantined", upDownCounter, "{connection}", "", "Of those closing, the ones whose end the server has not confirmed in time.",
			one(func(s *pool.Stats) int { return s.Quarantined })},
		{"dbpool.connection.leaking", upDownCounter, "{connection}", "", "Connections held longer than DB_LEAK_THRESHOLD now.",
			one(func(s *pool.Stats) int { return s.Leaking })},
		{"dbpool.leak.warnings", counter, "{warning}", "", "Holders warned about for passing DB_LEAK_THRESHOLD.",
			one(func(s *pool.Stats) uint64 { return s.LeakWarningCount })},
		{"dbpool.connection.opened", counter, "{connection}", "", "Connections opened.",
			one(func(s *pool.Stats) uint64 { return s.OpenedCount })},
		{"dbpool.connection.closed", counter, "{connection}", attrReason,
			"Connections closed, by reason (recycled, surplus, broken, canceled, unclean, shutdown).",
			each(func(s *pool.Stats) iter.Seq2[string, uint64] { return s.Closed.All() })},
		{"dbpool.connection.ended", counter, "{connection}", attrCause,
			"Connections that the server or the network ended, or that were given up for what the server did, by cause (terminated, idle session, silent, …).",
			each(func(s *pool.Stats) iter.Seq2[string, uint64] { return s.Ended.All() })},
		{"dbpool.dial.count", counter, "{dial}", "", "Dials attempted.",
			one(func(s *pool.Stats) uint64 { return s.DialCount })},
		{"dbpool.dial.errors", counter, "{dial}", "", "Dials that failed.",
			one(func(s *pool.Stats) uint64 { return s.DialErrorCount })},
		{"dbpool.statement.cancels", counter, "{statement}", "", "Statements cancelled on the server because their context ended.",
			one(func(s *pool.Stats) uint64 { return s.CancelCount })},
	}
}

// each gives every count under its name.
func each(counts func(*pool.Stats) iter.Seq2[string, uint64]) read {
	return func(s *pool.Stats, put put) {
		for name, n := range counts(s) {
			put(name, float64(n))
		}
	}
}

func acquisitions() []instrument {
	return []instrument{
		{"dbpool.lane.used", upDownCounter, "{connection}", attrLane, "Connections held, by lane (probe, request, background).",
			byLane(func(l pool.LaneStats) int { return l.InUse })},
		{"dbpool.lane.pending_requests", upDownCounter, "{request}", attrLane, "Callers queued for a connection, by lane (probe, request, background).",
			byLane(func(l pool.LaneStats) int { return l.Waiting })},
		{"dbpool.acquire.count", counter, "{acquisition}", attrResult,
			"Acquisitions by how they ended: ok; timeout (no connection in time); shed (refused at once); canceled (the caller left).",
			func(s *pool.Stats, put put) {
				put("ok", float64(s.AcquireCount))
				put("timeout", float64(s.TimeoutCount))
				put("shed", float64(s.ShedCount))
				put("canceled", float64(s.AcquireCanceledCount))
			}},
		{"dbpool.acquire.queued", counter, "{acquisition}", "", "Acquisitions that got a connection after queueing for it.",
			one(func(s *pool.Stats) uint64 { return s.WaitCount })},
		{"dbpool.acquire.queued_time", counter, "s", "", "Time spent queued by all callers, however they left; its rate is the mean length of the queue.",
			one(func(s *pool.Stats) float64 { return s.WaitDuration.Seconds() })},
		{"dbpool.acquire.nested", counter, "{acquisition}", "", "Callers that had to queue for a second connection while holding one.",
			one(func(s *pool.Stats) uint64 { return s.NestedCount })},
	}
}

func pipelines() []instrument {
	return []instrument{
		{"dbpool.pipeline.statements", counter, "{statement}", "", "Statements that were sent together with those of other callers.",
			one(func(s *pool.Stats) uint64 { return s.Pipeline.SharedCount })},
		{"dbpool.pipeline.count", counter, "{pipeline}", "", "Times that was done.",
			one(func(s *pool.Stats) uint64 { return s.Pipeline.RunCount })},
		{"dbpool.pipeline.unshared", counter, "{statement}", attrReason,
			"Statements that waited for a connection of their own, by reason (text, new, not_select, slow, large, nested, arguments).",
			each(func(s *pool.Stats) iter.Seq2[string, uint64] { return s.Pipeline.Unshared.All() })},
	}
}

// tasks have no attribute: their names are the application's, and may be
// without number.
func tasks() []instrument {
	return []instrument{
		{"dbpool.background.running", upDownCounter, "{task}", "", "Background tasks that run now, with or without a connection.",
			one(func(s *pool.Stats) int { return len(s.Tasks.Running) })},
		{"dbpool.background.started", counter, "{task}", "", "Background tasks started.",
			one(func(s *pool.Stats) uint64 { return s.Tasks.StartedCount })},
		{"dbpool.background.failed", counter, "{task}", "", "Of those, tasks that ended with an error, panics included.",
			one(func(s *pool.Stats) uint64 { return s.Tasks.FailedCount })},
		{"dbpool.background.panics", counter, "{task}", "", "Of those, tasks that panicked.",
			one(func(s *pool.Stats) uint64 { return s.Tasks.PanicCount })},
		{"dbpool.background.refused", counter, "{task}", "", "Background tasks not started, because the pool was shutting down.",
			one(func(s *pool.Stats) uint64 { return s.Tasks.RefusedCount })},
	}
}

func server() []instrument {
	return []instrument{
		// Only the reason that holds now: no list of the pool's words to keep.
		{"dbpool.server.refusing", gauge, "1", attrReason,
			"1 while the server grants no new connection, with the reason; absent while it does.",
			func(s *pool.Stats, put put) {
				if !s.Server.OK && s.Server.Reason != "" {
					put(string(s.Server.Reason), 1)
				}
			}},
		{"dbpool.statement.timeout", gauge, "s", "", "Limit set for statements (DB_STATEMENT_TIMEOUT); 0 leaves the server's own.",
			one(func(s *pool.Stats) float64 { return s.StatementTimeout.Want.Seconds() })},
		{"dbpool.statement.timeout_in_force", gauge, "1", "", "1 when the server was seen to keep that limit.",
			one(func(s *pool.Stats) int { return bit(s.StatementTimeout.InForce) })},
	}
}

func byLane(value func(pool.LaneStats) int) read {
	return func(s *pool.Stats, put put) {
		for i, l := range s.Lanes {
			put(pool.Lane(i).String(), float64(value(l)))
		}
	}
}
