package dbpoolprom

import (
	"slices"
	"time"

	"github.com/dbpool-go/dbpool/pool"
)

// reasonOther stands for a reason that is not in serverReasons, so that the
// label has a bounded number of values whatever the pool learns to say.
const reasonOther = "other"

// serverReasons are the pool's words for why the server grants no connection.
// All are exported all the time, 0 or 1: an alert needs the 0 to resolve.
func serverReasons() []string {
	var words []string
	for _, r := range pool.Reasons() {
		words = append(words, string(r))
	}
	return append(words, reasonOther)
}

// serverMetrics say what the server makes of this pool.
func serverMetrics() []metric {
	return []metric{
		gaugeBy("reason", "dbpool_server_refusing", "0 or 1",
			"1 while the server grants no new connection for this reason (server full, reserved slots, role limit, database limit, starting up, unreachable, and others).",
			serverRefusing),
		gaugeBy("", "dbpool_server_state_timestamp_seconds", "seconds", "When the server began to grant, or to refuse, connections, in Unix time; absent before the first dial.",
			func(s *snapshot, put put) {
				if !s.Server.Since.IsZero() {
					put("", unix(s.Server.Since))
				}
			}),
		gaugeBy("", "dbpool_statement_timeout_seconds", "seconds", "Limit set for statements (DB_STATEMENT_TIMEOUT); 0 leaves the server's own.",
			func(s *snapshot, put put) { put("", s.StatementTimeout.Want.Seconds()) }),
		gaugeBy("", "dbpool_statement_timeout_in_force", "0 or 1", "1 when the server was seen to keep that limit.",
			func(s *snapshot, put put) { put("", bit(s.StatementTimeout.InForce)) }),
		gaugeBy("pooler", "dbpool_info", "1", "Always 1; its label says what stands between this pool and the server (none, pgbouncer).",
			func(s *snapshot, put put) {
				if s.Pooler == "" {
					put("none", 1)
					return
				}
				put(s.Pooler, 1)
			}),
	}
}

func serverRefusing(s *snapshot, put put) {
	now := ""
	reasons := serverReasons()
	if !s.Server.OK && s.Server.Reason != "" {
		now = reasonOther
		if slices.Contains(reasons, string(s.Server.Reason)) {
			now = string(s.Server.Reason)
		}
	}
	for _, r := range reasons {
		put(r, bit(r == now))
	}
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
