package dbpoolprom

// taskMetrics say what Background is doing. Tasks have no label: their names
// are the application's, and may be without number.
func taskMetrics() []metric {
	return []metric{
		gauge("dbpool_background_tasks", "tasks", "Background tasks that run now, with or without a connection.",
			func(s *snapshot) int { return len(s.Tasks.Running) }),
		gaugeBy("", "dbpool_background_oldest_start_timestamp_seconds", "seconds", "When the oldest of them began, in Unix time; absent when none runs.",
			func(s *snapshot, put put) {
				if len(s.Tasks.Running) > 0 {
					put("", unix(s.Tasks.Running[0].Since))
				}
			}),
		counter("dbpool_background_started_total", "tasks", "Background tasks started.",
			func(s *snapshot) uint64 { return s.Tasks.StartedCount }),
		counter("dbpool_background_failed_total", "tasks", "Of those, tasks that ended with an error, panics included.",
			func(s *snapshot) uint64 { return s.Tasks.FailedCount }),
		counter("dbpool_background_panics_total", "tasks", "Of those, tasks that panicked.",
			func(s *snapshot) uint64 { return s.Tasks.PanicCount }),
		counter("dbpool_background_refused_total", "tasks", "Background tasks not started, because the pool was shutting down.",
			func(s *snapshot) uint64 { return s.Tasks.RefusedCount }),
	}
}
