package dbpoolprom

import (
	"iter"
	"slices"
	"strconv"

	"github.com/dbpool-go/dbpool/pool"
)

// dbpoolMetrics are the pool's own, in the order of the table in docs/metrics.md.
func dbpoolMetrics() []metric {
	return slices.Concat(connectionMetrics(), acquireMetrics(), pipelineMetrics(), taskMetrics(), churnMetrics(), serverMetrics(), standbyMetrics(), fleetMetrics())
}

// connectionMetrics say what the pool has and may have now.
func connectionMetrics() []metric {
	return []metric{
		gaugeBy("state", "dbpool_connections", "connections",
			"Server sessions of this pool by state (in_use, idle, dialing, closing); their sum never exceeds dbpool_limit_connections.",
			func(s *snapshot, put put) {
				put("in_use", float64(s.InUse))
				put("idle", float64(s.Idle))
				put("dialing", float64(s.Dialing))
				put("closing", float64(s.Closing))
			}),
		gauge("dbpool_quarantined_connections", "connections", "Of those closing, the ones whose end the server has not confirmed in time.",
			func(s *snapshot) int { return s.Quarantined }),
		gauge("dbpool_limit_connections", "connections", "Most connections allowed now; below dbpool_max_open_connections while a fleet share or a full server says so.",
			func(s *snapshot) int { return s.Limit }),
		gauge("dbpool_max_open_connections", "connections", "Most connections the pool may ever have: pool size plus overflow.",
			func(s *snapshot) int { return s.MaxOpen() }),
		gauge("dbpool_pool_size_connections", "connections", "Connections kept when idle (DB_POOL_SIZE).",
			func(s *snapshot) int { return s.PoolSize }),
		gauge("dbpool_max_overflow_connections", "connections", "Connections allowed beyond the pool size (DB_MAX_OVERFLOW).",
			func(s *snapshot) int { return s.MaxOverflow }),
		gaugeBy("lane", "dbpool_lane_in_use_connections", "connections", "Connections held, by lane (probe, request, background).",
			byLane(func(l pool.LaneStats) int { return l.InUse })),
		gauge("dbpool_leaking_connections", "connections", "Connections held longer than DB_LEAK_THRESHOLD now.",
			func(s *snapshot) int { return s.Leaking }),
		counter("dbpool_leak_warnings_total", "warnings", "Holders warned about for passing DB_LEAK_THRESHOLD.",
			func(s *snapshot) uint64 { return s.LeakWarningCount }),
		histogram("dbpool_hold_seconds", "Time from getting a connection to giving it back.",
			func(s *snapshot) pool.Histogram { return s.Hold }),
	}
}

// acquireMetrics say how callers get on.
func acquireMetrics() []metric {
	return []metric{
		gaugeBy("lane", "dbpool_waiting_callers", "callers", "Callers queued for a connection now, by lane (probe, request, background).",
			byLane(func(l pool.LaneStats) int { return l.Waiting })),
		counterBy("result", "dbpool_acquires_total", "acquisitions",
			"Acquisitions by how they ended: ok; timeout (no connection in time); shed (refused at once); canceled (the caller left).",
			func(s *snapshot, put put) {
				put("ok", float64(s.AcquireCount))
				put("timeout", float64(s.TimeoutCount))
				put("shed", float64(s.ShedCount))
				put("canceled", float64(s.AcquireCanceledCount))
			}),
		counter("dbpool_queued_acquires_total", "acquisitions", "Acquisitions that got a connection after queueing for it.",
			func(s *snapshot) uint64 { return s.WaitCount }),
		counterBy("", "dbpool_queued_seconds_total", "seconds", "Time spent queued by all callers, however they left; its rate is the mean length of the queue.",
			func(s *snapshot, put put) { put("", s.WaitDuration.Seconds()) }),
		counter("dbpool_nested_acquires_total", "acquisitions", "Callers that had to queue for a second connection while holding one.",
			func(s *snapshot) uint64 { return s.NestedCount }),
		histogram("dbpool_wait_seconds", "Time from asking for a connection to getting it.",
			func(s *snapshot) pool.Histogram { return s.Wait }),
	}
}

// pipelineMetrics say which statements shared a connection, and why others did not.
func pipelineMetrics() []metric {
	return []metric{
		counter("dbpool_pipelined_statements_total", "statements", "Statements that were sent together with those of other callers.",
			func(s *snapshot) uint64 { return s.Pipeline.SharedCount }),
		counterBy("statements", "dbpool_pipelines_total", "pipelines", "Times that was done, by how many statements there were at most (2, 4, 8, 16, 32, 64, more).",
			func(s *snapshot, put put) {
				bounds := pool.RunLengthBounds()
				for i, n := range s.Pipeline.RunLengths {
					if i < len(bounds) {
						put(strconv.Itoa(bounds[i]), float64(n))
					} else {
						put("more", float64(n))
					}
				}
			}),
		counterBy("reason", "dbpool_unpipelined_statements_total", "statements",
			"Statements that waited for a connection of their own, by reason (text, new, not_select, slow, large, nested, arguments).",
			each(func(s *snapshot) iter.Seq2[string, uint64] { return s.Pipeline.Unshared.All() })),
	}
}

// churnMetrics say how often connections come and go.
func churnMetrics() []metric {
	return []metric{
		counter("dbpool_connections_opened_total", "connections", "Connections opened.",
			func(s *snapshot) uint64 { return s.OpenedCount }),
		counterBy("reason", "dbpool_connections_closed_total", "connections",
			"Connections closed, by reason (recycled, surplus, broken, canceled, unclean, shutdown).",
			each(func(s *snapshot) iter.Seq2[string, uint64] { return s.Closed.All() })),
		counterBy("cause", "dbpool_connections_ended_total", "connections",
			"Connections that the server or the network ended, or that were given up for what the server did, by cause (terminated, idle session, silent, …).",
			each(func(s *snapshot) iter.Seq2[string, uint64] { return s.Ended.All() })),
		counter("dbpool_dials_total", "dials", "Dials attempted.",
			func(s *snapshot) uint64 { return s.DialCount }),
		counter("dbpool_dial_errors_total", "dials", "Dials that failed.",
			func(s *snapshot) uint64 { return s.DialErrorCount }),
		gaugeBy("", "dbpool_last_dial_error_timestamp_seconds", "seconds", "When a dial last failed, in Unix time; absent when none has.",
			func(s *snapshot, put put) {
				if d := s.LastDialError; d != nil {
					put("", unix(d.At))
				}
			}),
		counter("dbpool_statement_cancels_total", "statements", "Statements cancelled on the server because their context ended.",
			func(s *snapshot) uint64 { return s.CancelCount }),
	}
}

func byLane(value func(pool.LaneStats) int) func(*snapshot, put) {
	return func(s *snapshot, put put) {
		for i, l := range s.Lanes {
			put(pool.Lane(i).String(), float64(value(l)))
		}
	}
}

// each gives every count under its name.
func each(counts func(*snapshot) iter.Seq2[string, uint64]) func(*snapshot, put) {
	return func(s *snapshot, put put) {
		for name, n := range counts(s) {
			put(name, float64(n))
		}
	}
}
