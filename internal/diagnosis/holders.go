package diagnosis

import (
	"fmt"
	"time"
)

// nested judges callers that wait for what they hold themselves.
func (s Scene) nested() Diagnosis {
	const remedy = "pass on the session that holds the first connection instead of asking for another"
	switch {
	case s.Outer != nil:
		return Diagnosis{Cause: Nested, Culprit: s.Caller, Since: s.since(s.Outer.Held),
			Sentence: fmt.Sprintf("the caller at %s waits for itself: it already holds a connection, %s: %s", s.Caller, s.Outer, remedy)}
	case s.full() && s.NestedWaiting > 0 && 2*s.NestedWaiting >= len(s.Holders) && len(s.Holders) > 0:
		return Diagnosis{Cause: Nested, Culprit: s.Holders[0].Who, Since: s.since(s.Holders[0].Held),
			Sentence: fmt.Sprintf("%s that %s a connection already wait for another, the longest holder %s: %s",
				count(s.NestedWaiting, "caller", "callers"), verb(s.NestedWaiting, "holds", "hold"), s.Holders[0], remedy)}
	}
	return Diagnosis{}
}

// background judges background work that has all it may have: for a task that
// waits, and for others when its work is what does not come back.
func (s Scene) background() Diagnosis {
	if s.BackgroundCap == 0 || s.BackgroundUse < s.BackgroundCap || !s.full() {
		return Diagnosis{}
	}
	longest, stuck, theirs := s.longestBackground(), 0, 0
	for _, h := range s.Holders {
		if h.Held < s.reference() {
			continue
		}
		stuck++
		if h.Background {
			theirs++
		}
	}
	if longest == nil || !s.Background && (theirs < s.BackgroundCap || 2*theirs <= stuck) {
		return Diagnosis{}
	}
	d := Diagnosis{Cause: Background, Culprit: longest.Who, Since: s.since(longest.Held), Command: cancel(*longest)}
	d.Sentence = ended(fmt.Sprintf("background work has %d of the %d connections that it may have, the longest held %s",
		s.BackgroundUse, s.BackgroundCap, longest), "run fewer tasks at once, or make them shorter", d.Command)
	return d
}

func (s *Scene) longestBackground() *Holder {
	for i := range s.Holders {
		if s.Holders[i].Background {
			return &s.Holders[i]
		}
	}
	return nil
}

// reference is the time for which a connection must have been held to be why
// somebody has waited.
func (s *Scene) reference() time.Duration { return max(s.Waited, 10*time.Millisecond) }

// holders judges by who holds the connections. Those that were held all the
// time while the caller waited are stuck, and so are those that are held for far
// longer than usual. When they are few, connections come and go; but where each is
// held for about as long as callers wait, the next holder is as stuck as the one
// before, and so it is where none has come back of late.
func (s Scene) holders() Diagnosis {
	if !s.full() {
		return Diagnosis{}
	}
	judged := s.stuck()
	if 2*len(judged) < len(s.Holders) || len(judged) == 0 {
		if len(s.Holders) == 0 || s.comeAndGo() {
			return s.small()
		}
		judged = s.Holders
	}
	running := 0
	for _, h := range judged {
		if h.Doing == Running || h.Doing == Listening {
			running++
		}
	}
	if 2*running >= len(judged) {
		return s.slow(judged)
	}
	return s.leak(judged)
}

// comeAndGo reports whether connections are held for less than callers wait.
func (s *Scene) comeAndGo() bool {
	if s.Usual == 0 {
		return s.Holders[0].Held < patience
	}
	return 10*s.Usual < 9*s.reference()
}

// farBeyond is how many times as long as usual a connection must be held to be
// stuck, however long callers have waited.
const farBeyond = 10

// stuck are the holders that do not come back.
func (s *Scene) stuck() []Holder {
	least := s.reference()
	if s.Usual > 0 {
		least = min(least, max(patience, farBeyond*s.Usual))
	}
	for i, h := range s.Holders {
		if h.Held < least {
			return s.Holders[:i]
		}
	}
	return s.Holders
}

// small is a pool whose connections come and go, and are too few.
func (s Scene) small() Diagnosis {
	if s.Limit < s.MaxOpen {
		return s.share()
	}
	text := fmt.Sprintf("%s are in use and come back", of(s.InUse, s.Limit))
	if s.Usual > 0 {
		text += " after about " + span(s.Usual)
	}
	text += ", but more is asked of them"
	if s.Waiting > 0 {
		text += fmt.Sprintf(" (%d wait)", s.Waiting)
	}
	d := Diagnosis{Cause: Small, Since: s.since(s.Waited)}
	switch {
	case s.View == nil:
		text += ": raise DB_POOL_SIZE or DB_MAX_OVERFLOW if the server has room, or reduce load"
	case s.View.Free > 0:
		d.Seen = s.View.At
		text += fmt.Sprintf(": raise DB_POOL_SIZE or DB_MAX_OVERFLOW (the server has room for %d more), or reduce load", s.View.Free)
	default:
		d.Seen = s.View.At
		text += ": reduce load, or make statements faster; the server has no room for more connections"
	}
	d.Sentence = text
	return d
}

// slow is a pool whose connections run statements for long.
func (s Scene) slow(held []Holder) Diagnosis {
	h := held[0]
	d := Diagnosis{Cause: Slow, Culprit: h.Who, Since: s.since(h.Held), Command: cancel(h)}
	text := fmt.Sprintf("%s run statements that take long, the longest %s", of(s.InUse, s.Limit), h)
	if s.Usual > 0 {
		text += fmt.Sprintf("; of late they took about %s", span(s.Usual))
	}
	remedy := "make them faster, or lower DB_STATEMENT_TIMEOUT"
	if s.Timeout > 0 {
		remedy += fmt.Sprintf(" (%s)", span(s.Timeout))
	}
	if s.View != nil && s.View.At.Before(d.Since) {
		remedy = fmt.Sprintf("whether they wait for a lock is not known, the server was last seen %s ago; ", span(s.At.Sub(s.View.At))) + remedy
	}
	d.Sentence = ended(text, remedy, d.Command)
	return d
}

// cancel is the SQL that cancels what a holder runs.
func cancel(h Holder) string {
	if h.PID == 0 || h.Doing != Running {
		return ""
	}
	return fmt.Sprintf("select pg_cancel_backend(%d)", h.PID)
}

// leak is a pool whose connections are held without a statement. When not one
// of them runs anything, each holder may as well be waiting for a second one.
func (s Scene) leak(held []Holder) Diagnosis {
	h := held[0]
	d := Diagnosis{Cause: Leak, Culprit: h.Who, Since: s.since(h.Held)}
	text := fmt.Sprintf("%s are held without a statement, the longest %s: close rows and end transactions on every path there", of(len(held), s.Limit), h)
	if len(held) == len(s.Holders) && s.idle() {
		text += "; or nested use: each of them waits for a second connection, taken through DB() perhaps, while it holds the first"
	}
	d.Sentence = text
	return d
}

// idle reports whether no holder runs anything or reads rows.
func (s *Scene) idle() bool {
	for _, h := range s.Holders {
		if h.Doing == Running || h.Doing == RowsOpen {
			return false
		}
	}
	return true
}

// leaking is a leak before it has taken all connections.
func (s Scene) leaking() Diagnosis {
	var leaks []Holder
	for _, h := range s.Holders {
		if h.Leaking && h.Doing != Running && h.Doing != Listening {
			leaks = append(leaks, h)
		}
	}
	if len(leaks) == 0 {
		return Diagnosis{}
	}
	h := leaks[0]
	return Diagnosis{Cause: Leak, Culprit: h.Who, Since: s.since(h.Held),
		Sentence: fmt.Sprintf("%s %s held without a statement, the longest %s: close rows and end transactions on every path there",
			of(len(leaks), s.Limit), verb(len(leaks), "is", "are"), h)}
}
