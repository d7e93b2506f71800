package monitor

import (
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/dbpool-go/dbpool/internal/flap"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// ended are connections that were ended by one cause. They come in bursts: those
// in use are noticed at once, the idle ones by housekeeping. A burst is told when
// it is over, as one event; another one soon after adds to that.
type ended struct {
	since time.Time // when the burst began
	rose  time.Time // when the latest of them were noticed
	burst uint64    // connections of the burst that is not told yet
	last  time.Time // when one was an event last
	total uint64    // connections of all that are one event
	told  flap.State
}

const (
	// burstOver is for how long no more must be ended for a burst to be over.
	burstOver = 2 * time.Second
	// longestBurst is after how long a burst is told although it goes on.
	longestBurst = 5 * time.Second
)

// update takes how many more were ended and reports whether that is news, and
// whether the log is to have it.
func (e *ended) update(now time.Time, rise uint64) flap.Turn {
	if e.burst == 0 {
		e.since = now
	}
	if rise > 0 {
		e.burst, e.rose = e.burst+rise, now
	}
	if e.burst == 0 || now.Sub(e.rose) < burstOver && now.Sub(e.since) < longestBurst {
		return flap.Turn{}
	}
	if now.Sub(e.last) >= flap.Within {
		e.total = 0
	}
	e.total, e.burst, e.last = e.total+e.burst, 0, now
	return e.told.Once(now)
}

// watchEnded tells of connections that were ended, each cause once.
func (w *watch) watchEnded(n *notices, s *pool.Stats) {
	if w.ended == nil {
		w.ended = map[string]ended{}
	}
	before := maps.Collect(w.last.Ended.All())
	for cause, total := range s.Ended.All() {
		e := w.ended[cause]
		if t := e.update(n.at, total-before[cause]); t.News {
			words, remedy := endedBy(cause)
			n.came(t, slog.LevelWarn, statusjson.EventBroken, cause, "connections were "+words,
				fmt.Sprintf("%s %s: %s", count(e.total, "connection was", "connections were"), words, remedy),
				"connections", e.total, "cause", cause, "open", s.Open(), "remedy", remedy)
		}
		w.ended[cause] = e
	}
}

// endedBy says what a cause of pool.EndedStats is, and what to do about it.
func endedBy(cause string) (words, remedy string) {
	switch cause {
	case "terminated":
		return "ended by an administrator or by a shutdown of the server (57P01)", "look in the server's log for a shutdown; without one somebody called pg_terminate_backend"
	case "crashed":
		return "ended because another process of the server crashed (57P02)", `look in the server's log for "was terminated by signal"; too little memory is the usual reason`
	case "database dropped":
		return "ended because their database was dropped (57P04)", "restore the database, or change DATABASE_URL"
	case "idle session":
		return "ended by idle_session_timeout (57P05)", "set DB_POOL_RECYCLE to less than idle_session_timeout, or set that to 0 for this role"
	case "idle in transaction":
		return "ended by idle_in_transaction_session_timeout (25P03)", "end transactions on every path; the log names who holds a connection for long"
	case "transaction timeout":
		return "ended by transaction_timeout (25P04)", "make transactions shorter, or raise transaction_timeout for this role"
	case "conflict":
		return "ended by the standby for a conflict with what it replays (40001)", "raise max_standby_streaming_delay, or set hot_standby_feedback to on"
	case "other error":
		return "ended by the server with an error", "look in the server's log for FATAL"
	case "silent":
		return "closed without an error message", "a crash, a failover, or a proxy or firewall between here and the server: look in their logs"
	case "network":
		return "lost because the network gave the server's host up", "check the host and the network"
	case "given up":
		return "given up because no answer came in time", "check the server's host, its disk and its log"
	case "read-only server":
		return "given up because their server takes no writes any more", "a failover: new connections look for the primary"
	}
	return "ended, and their driver does not say by what", "look in the server's log"
}
