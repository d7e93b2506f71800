package doctor

import (
	"strings"

	"github.com/dbpool-go/dbpool/monitor/serverview"
)

// waitsOf finds the lock waits among a service's longest queries, which say
// who is in the way but not for what.
func waitsOf(queries []serverview.Query) []Wait {
	byPID := map[uint32]serverview.Query{}
	for _, q := range queries {
		byPID[q.PID] = q
	}
	var waits []Wait
	for _, q := range queries {
		if len(q.BlockedBy) == 0 {
			continue
		}
		w := Wait{PID: q.PID, Application: q.ApplicationName, Role: q.Role, Kind: strings.TrimPrefix(q.WaitingFor, "Lock: "), Seconds: q.QuerySeconds}
		for _, pid := range q.BlockedBy {
			h := Holder{PID: pid, State: "hidden"}
			if b, ok := byPID[pid]; ok {
				h = Holder{PID: pid, Application: b.ApplicationName, Role: b.Role, State: b.State, Waits: len(b.BlockedBy) > 0, Seconds: b.TransactionSeconds}
			}
			w.HeldBy = append(w.HeldBy, h)
		}
		waits = append(waits, w)
	}
	return waits
}

// culprits are the sessions that are in others' way and wait for nobody, each
// with how many wait directly for it, in the order of the longest wait.
func culprits(waits []Wait) (found []Holder, waiting map[uint32]int) {
	waiting = map[uint32]int{}
	for _, w := range waits {
		for _, h := range w.HeldBy {
			if h.Waits {
				continue
			}
			if waiting[h.PID] == 0 {
				found = append(found, h)
			}
			waiting[h.PID]++
		}
	}
	return found, waiting
}
