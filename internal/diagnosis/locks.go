package diagnosis

import (
	"fmt"
	"slices"
	"time"
)

// viewCounts is how old a view may be for locks to be believed.
const viewCounts = time.Minute

// lock judges connections that wait for a lock, and names who holds it at the
// end of the chain.
func (s Scene) lock() Diagnosis {
	if s.View == nil || len(s.View.Blockers) == 0 || s.At.Sub(s.View.At) > viewCounts {
		return Diagnosis{}
	}
	waiting := s.waitingForLocks()
	if len(waiting) == 0 || s.full() && 2*len(waiting) < len(s.Holders) {
		return Diagnosis{}
	}
	return s.blocked(s.mainBlocker(waiting), len(waiting), max(s.Limit-s.Kept, len(waiting)))
}

// waitingForLocks are the holders' processes that wait for a lock.
func (s *Scene) waitingForLocks() []uint32 {
	var pids []uint32
	for _, h := range s.Holders {
		if h.PID != 0 && h.Doing == Running && slices.Contains(s.View.Waiting, h.PID) {
			pids = append(pids, h.PID)
		}
	}
	return pids
}

// mainBlocker is who blocks most of them.
func (s *Scene) mainBlocker(pids []uint32) Blocker {
	best, most := s.View.Blockers[0], -1
	for _, b := range s.View.Blockers {
		n := 0
		for _, pid := range pids {
			if slices.Contains(b.Blocks, pid) {
				n++
			}
		}
		if n > most {
			best, most = b, n
		}
	}
	return best
}

// blocked is the sentence about a blocker.
func (s *Scene) blocked(b Blocker, n, all int) Diagnosis {
	d := Diagnosis{Cause: Lock, Since: s.View.At.Add(-b.For), Seen: s.View.At, Command: b.command(), Culprit: b.String()}
	for _, h := range s.Holders {
		if h.PID == b.PID && b.PID != 0 {
			d.Culprit = fmt.Sprintf("this pool's own pid %d (%s)", h.PID, h)
		}
	}
	d.Sentence = fmt.Sprintf("%s %s for a lock held by %s%s: %s", of(n, all), verb(n, "waits", "wait"), d.Culprit, s.age(), d.Command)
	if b.PID == 0 {
		d.Sentence += ", then rollback prepared '<gid>'"
	}
	if b.Role != "" && b.Role != s.View.Role && !s.View.Superuser {
		d.Sentence += " (as " + name(b.Role) + " or a superuser)"
	}
	return d
}

// Blocked is the sentence for somebody who sees the server alone: n sessions of
// all wait for the first blocker of the view.
func Blocked(at time.Time, v View, n, all int) Diagnosis {
	if n == 0 || len(v.Blockers) == 0 {
		return Diagnosis{}
	}
	s := Scene{At: at, View: &v}
	return s.blocked(v.Blockers[0], n, all)
}

// String is "pid 3157 (psql, alice, idle in transaction 50s)".
func (b Blocker) String() string {
	if b.PID == 0 {
		return "a prepared transaction"
	}
	text := fmt.Sprintf("pid %d (%s, %s", b.PID, application(b.Application), name(b.Role))
	if b.State != "" {
		state := b.State
		if state == "active" {
			state = "running"
		}
		text += ", " + name(state)
		if b.For > 0 {
			text += " " + span(b.For)
		}
	}
	return text + ")"
}

// command is the SQL that ends it.
func (b Blocker) command() string {
	if b.PID == 0 {
		return "select gid, owner, prepared from pg_prepared_xacts order by prepared"
	}
	return fmt.Sprintf("select pg_terminate_backend(%d)", b.PID)
}
