package monitor

import (
	"log/slog"

	"github.com/dbpool-go/dbpool/pool"
)

// report logs one status line: the figures now, and what happened since base. It
// returns the base for the next one.
func (m *Monitor) report(base pool.Stats) pool.Stats {
	s := m.pool.Stats()
	wait := s.Wait.Sub(base.Wait)
	m.log.Info("pool status",
		"in_use", s.InUse, "idle", s.Idle, "dialing", s.Dialing, "closing", s.Closing,
		"limit", s.Limit, "max_open", s.MaxOpen(), "usage_percent", round(s.Usage()), "waiting", s.Waiting,
		slog.Group("since_last",
			"acquired", s.AcquireCount-base.AcquireCount,
			"timed_out", s.TimeoutCount-base.TimeoutCount,
			"shed", s.ShedCount-base.ShedCount,
			"opened", s.OpenedCount-base.OpenedCount,
			"closed", s.Closed.Total()-base.Closed.Total(),
			"dial_errors", s.DialErrorCount-base.DialErrorCount,
			"wait_p50_seconds", wait.Quantile(0.5).Seconds(),
			"wait_p99_seconds", wait.Quantile(0.99).Seconds()),
		"leaking", s.Leaking,
		"health", string(m.HealthReport().Status))
	return s
}
