package dbpoolprom

// goSQLMetrics are those of client_golang's collectors.NewDBStatsCollector.
// Names, labels and help texts are its own to the letter: a registry refuses
// two collectors that describe one name differently, and a service may have
// other databases under client_golang's collector. WithoutGoSQL documents where
// the meaning differs.
func goSQLMetrics() []metric {
	return []metric{
		gauge("go_sql_max_open_connections", "connections", "Maximum number of open connections to the database.",
			func(s *snapshot) int { return s.Limit }),
		gauge("go_sql_open_connections", "connections", "The number of established connections both in use and idle.",
			func(s *snapshot) int { return s.Open() }),
		gauge("go_sql_in_use_connections", "connections", "The number of connections currently in use.",
			func(s *snapshot) int { return s.InUse }),
		gauge("go_sql_idle_connections", "connections", "The number of idle connections.",
			func(s *snapshot) int { return s.Idle }),
		// database/sql counts whoever had to wait, however the wait ended.
		counter("go_sql_wait_count_total", "acquisitions", "The total number of connections waited for.",
			func(s *snapshot) uint64 { return s.WaitCount + s.TimeoutCount + s.AcquireCanceledCount }),
		counterBy("", "go_sql_wait_duration_seconds_total", "seconds", "The total time blocked waiting for a new connection.",
			func(s *snapshot, put put) { put("", s.WaitDuration.Seconds()) }),
		counter("go_sql_max_idle_closed_total", "connections", "The total number of connections closed due to SetMaxIdleConns.",
			func(s *snapshot) uint64 { return s.Closed.Surplus }),
		counter("go_sql_max_idle_time_closed_total", "connections", "The total number of connections closed due to SetConnMaxIdleTime.",
			func(*snapshot) uint64 { return 0 }),
		counter("go_sql_max_lifetime_closed_total", "connections", "The total number of connections closed due to SetConnMaxLifetime.",
			func(s *snapshot) uint64 { return s.Closed.Recycled }),
	}
}
