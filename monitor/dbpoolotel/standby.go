package dbpoolotel

import "github.com/dbpool-go/dbpool/pool"

const (
	attrPlace  = "dbpool.state"  // in_use, idle, dialing, closing
	attrServed = "dbpool.served" // who served a read that asked for a standby: standby, unusable, behind
)

// standby is absent without DATABASE_READ_URL.
func standby() []instrument {
	return []instrument{
		{"dbpool.standby.connections", upDownCounter, "{connection}", attrPlace, "Sessions at standbys by state (in_use, idle, dialing, closing).",
			atStandby(func(s *pool.StandbyStats, put put) {
				put("in_use", float64(s.InUse))
				put("idle", float64(s.Idle))
				put("dialing", float64(s.Dialing))
				put("closing", float64(s.Closing))
			})},
		{"dbpool.standby.limit", upDownCounter, "{connection}", "", "Most connections to standbys now; 1 while no standby can be used.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", float64(s.Limit)) })},
		{"dbpool.standby.budget", upDownCounter, "{connection}", "", "Most connections to the primary and standbys together.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", float64(s.Budget)) })},
		{"dbpool.standby.pending_requests", upDownCounter, "{request}", "", "Callers queued for a connection to a standby.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", float64(s.Waiting)) })},
		{"dbpool.standby.up", gauge, "1", "", "1 while a standby can be used; else reads go to the primary.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", float64(bit(s.OK))) })},
		{"dbpool.standby.behind", gauge, "1", "", "1 when a standby lately did not have in time what a reader had written.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", float64(bit(s.Behind))) })},
		{"dbpool.standby.reads", counter, "{read}", attrServed,
			"Reads that asked for a standby, by who served them: standby; unusable (the primary, because no standby could be used); behind (the primary, because the standby was behind).",
			atStandby(func(s *pool.StandbyStats, put put) {
				put("standby", float64(s.ReadCount))
				put("unusable", float64(s.UnusableCount))
				put("behind", float64(s.BehindCount))
			})},
		{"dbpool.standby.waits", counter, "{read}", "", "Reads that waited for a standby to have what their caller had written.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", float64(s.WaitCount)) })},
		{"dbpool.standby.wait_time", counter, "s", "", "Time that they waited.",
			atStandby(func(s *pool.StandbyStats, put put) { put("", s.WaitDuration.Seconds()) })},
	}
}

// atStandby gives nothing where there are no standbys.
func atStandby(value func(*pool.StandbyStats, put)) read {
	return func(s *pool.Stats, put put) {
		if s.Standby != nil {
			value(s.Standby, put)
		}
	}
}
