package monitor

import (
	"fmt"
	"time"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// standby judges whether reads go where they were meant to go. The primary serves
// them meanwhile, so it degrades.
func (e evidence) standby() (statusjson.Problem, bool) {
	s := e.stats.Standby
	switch {
	case s == nil:
	case !s.OK:
		return warning(statusjson.ProblemStandby, s.Since, fmt.Sprintf("no standby can be used, the primary serves reads with %d of %d connections; see DATABASE_READ_URL and the log", e.stats.Limit, s.Budget))
	case s.Behind:
		return warning(statusjson.ProblemStandby, time.Time{}, "standbys are behind, the primary serves reads of what was just written; see pg_stat_replication at the primary")
	}
	return statusjson.Problem{}, false
}

// standbyFigures are those of reads at standbys. The network's words name addresses.
func standbyFigures(s *pool.StandbyStats, addresses bool) *statusjson.StandbyFigures {
	if s == nil {
		return nil
	}
	f := &statusjson.StandbyFigures{
		OK: s.OK, Since: s.Since, Behind: s.Behind, Budget: s.Budget, Limit: s.Limit,
		CheckedOut: s.InUse, CheckedIn: s.Idle, Dialing: s.Dialing, Closing: s.Closing, Waiting: s.Waiting,
		ReadCount: s.ReadCount, UnusableCount: s.UnusableCount, BehindCount: s.BehindCount,
		WaitedCount: s.WaitCount, WaitTotalSeconds: seconds(s.WaitDuration),
	}
	if addresses {
		f.Reason = s.Reason
	}
	return f
}
