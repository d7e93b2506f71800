package dbpoolprom

import "github.com/dbpool-go/dbpool/pool"

// standbyMetrics say how reads at standbys go. They are absent without DATABASE_READ_URL.
func standbyMetrics() []metric {
	return []metric{
		gaugeBy("state", "dbpool_standby_connections", "connections",
			"Sessions at standbys by state (in_use, idle, dialing, closing); with those of dbpool_connections never more than dbpool_standby_budget_connections.",
			atStandby(func(s *pool.StandbyStats, put put) {
				put("in_use", float64(s.InUse))
				put("idle", float64(s.Idle))
				put("dialing", float64(s.Dialing))
				put("closing", float64(s.Closing))
			})),
		gaugeBy("", "dbpool_standby_limit_connections", "connections", "Most connections to standbys now; 1 while no standby can be used.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", float64(s.Limit)) })),
		gaugeBy("", "dbpool_standby_budget_connections", "connections", "Most connections to the primary and standbys together.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", float64(s.Budget)) })),
		gaugeBy("", "dbpool_standby_waiting_callers", "callers", "Callers queued for a connection to a standby now.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", float64(s.Waiting)) })),
		gaugeBy("", "dbpool_standby_up", "0 or 1", "1 while a standby can be used; else reads go to the primary.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", bit(s.OK)) })),
		gaugeBy("", "dbpool_standby_behind", "0 or 1", "1 when a standby lately did not have in time what a reader had written.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", bit(s.Behind)) })),
		counterBy("served", "dbpool_standby_reads_total", "reads",
			"Reads that asked for a standby, by who served them: standby; unusable (the primary, because no standby could be used); behind (the primary, because the standby was behind).",
			atStandby(func(s *pool.StandbyStats, put put) {
				put("standby", float64(s.ReadCount))
				put("unusable", float64(s.UnusableCount))
				put("behind", float64(s.BehindCount))
			})),
		counterBy("", "dbpool_standby_waits_total", "reads", "Reads that waited for a standby to have what their caller had written.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", float64(s.WaitCount)) })),
		counterBy("", "dbpool_standby_wait_seconds_total", "seconds", "Time that they waited.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", s.WaitDuration.Seconds()) })),
	}
}

// atStandby gives nothing where there are no standbys.
func atStandby(value func(*pool.StandbyStats, put)) func(*snapshot, put) {
	return func(s *snapshot, put put) {
		if s.Standby != nil {
			value(s.Standby, put)
		}
	}
}
