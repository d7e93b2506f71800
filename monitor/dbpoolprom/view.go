package dbpoolprom

// viewMetrics say what the server allows this role and who uses it, as the
// server itself sees it. All are absent while the view is not known.
func viewMetrics() []metric {
	return []metric{
		viewed("dbpool_server_usable_connections", "connections", "Most sessions this role could have on the server if nobody else had any.",
			func(s *snapshot) float64 { return float64(s.view.Usable) }),
		viewed("dbpool_server_free_connections", "connections", "Sessions this role could still open on the server.",
			func(s *snapshot) float64 { return float64(s.view.Free) }),
		viewed("dbpool_server_usage_ratio", "ratio, 0 to 1", "The fullest of the server's limits that bind this role (server, role, database).",
			func(s *snapshot) float64 { return s.view.UsagePercent / 100 }),
		viewed("dbpool_server_sessions", "sessions", "Client sessions of everybody on the server, which is what counts against max_connections.",
			func(s *snapshot) float64 { return float64(s.view.Sessions) }),
		viewed("dbpool_server_role_sessions", "sessions", "Of those, the sessions of this pool's role.",
			func(s *snapshot) float64 { return float64(s.view.RoleSessions) }),
	}
}

func viewed(name, unit, help string, value func(*snapshot) float64) metric {
	return gaugeBy("", name, unit, help, func(s *snapshot, put put) {
		if s.viewed {
			put("", value(s))
		}
	})
}
