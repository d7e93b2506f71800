package diagnosis

import (
	"fmt"
	"strings"
	"time"
)

// server judges a pool that has fewer connections than it may have, because the
// server gives it no more.
func (s Scene) server() Diagnosis {
	bounded := s.Limit < s.MaxOpen
	starved := !s.Access.OK && s.Access.Reason != "" && (s.open() < s.Limit || bounded && s.open() == 0)
	switch {
	case starved && s.Access.Full:
		return s.noRoom()
	case starved && s.Access.NoAnswer && !s.Silent.IsZero():
		return s.silence(earlier(s.Silent, s.Access.Since))
	case starved && s.Access.NoAnswer && s.running() > 0 && 2*s.running() >= len(s.Holders):
		return s.silence(s.Access.Since)
	case starved:
		return s.unreachable(s.Access.Since, s.Access.Reason)
	case s.Silent.IsZero() && s.givenUp():
		return s.silence(s.since(s.UnendedFor))
	case s.Silent.IsZero() && s.waitsForDial():
		return s.unreachable(s.since(s.Waited), "no answer so far")
	}
	return Diagnosis{}
}

// givenUp reports whether most sessions were given up, for want of an answer, and the
// server has not ended them: there is no room to dial.
func (s *Scene) givenUp() bool { return s.Unended > 0 && 2*s.Unended >= s.Limit && s.full() }

// waitsForDial reports whether nobody has a connection, and a dial is still under way.
func (s *Scene) waitsForDial() bool {
	return len(s.Holders) == 0 && (s.Dialing > 0 && s.full() || s.Dialing+s.Closing > 0 && s.Failed)
}

// noRoom says who has the server's sessions.
func (s Scene) noRoom() Diagnosis {
	if s.Access.Reason == reasonFleet {
		return s.share()
	}
	d := Diagnosis{Cause: ServerFull, Since: s.Access.Since}
	d.Sentence = fmt.Sprintf("the server has no room for more connections (%s) since %s, and this pool has %s", s.Access.Reason, span(s.At.Sub(s.Access.Since)), of(s.open(), s.Limit))
	remedy := s.Access.Remedy
	if s.View == nil || len(s.View.Applications) == 0 {
		d.Sentence = ended(d.Sentence, remedy, "")
		return d
	}
	d.Seen = s.View.At
	most := s.View.Applications[0]
	d.Culprit = application(most.Name)
	if most.Name != s.View.Application && 2*most.Sessions >= s.View.Sessions {
		d.Cause = Neighbour
		d.Command = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = " + literal(name(most.Name)) + " and state = 'idle'"
	}
	d.Sentence = ended(d.Sentence+"; "+s.users()+s.age(), remedy, d.Command)
	return d
}

// reasonFleet is the reason of a dial that the fleet's budget refused.
const reasonFleet = "fleet full"

// mostUsers is how many applications are named.
const mostUsers = 3

// users is "of 97 sessions billing has 61, psql 20, this service 10".
func (s *Scene) users() string {
	var parts []string
	for i, a := range s.View.Applications[:min(len(s.View.Applications), mostUsers)] {
		who := application(a.Name)
		if a.Name == s.View.Application {
			who = "this service"
		}
		if i == 0 {
			who += " has"
		}
		parts = append(parts, fmt.Sprintf("%s %d", who, a.Sessions))
	}
	return fmt.Sprintf("of %s %s", count(s.View.Sessions, "session", "sessions"), strings.Join(parts, ", "))
}

// share is a budget that leaves too few.
func (s Scene) share() Diagnosis {
	text := fmt.Sprintf("the fleet's budget leaves this replica %s", of(s.Limit, s.MaxOpen))
	if s.Fleet.Replicas > 0 {
		text += fmt.Sprintf(" (%d for %s)", s.Fleet.Usable, count(s.Fleet.Replicas, "replica", "replicas"))
	}
	since := s.Access.Since
	if s.Access.OK || since.IsZero() {
		since = s.since(s.Waited)
	}
	return Diagnosis{Cause: Share, Since: since, Sentence: text + ", and that is not enough: run fewer replicas, or raise DB_FLEET_BUDGET or what the server allows"}
}

// unreachable is a server that cannot be connected to, or not as things are set.
func (s Scene) unreachable(since time.Time, reason string) Diagnosis {
	remedy := s.Access.Remedy
	if remedy == "" {
		remedy = "check that the server runs and is reachable"
	}
	has := "this pool has no connection"
	if n := s.open(); n > 0 {
		has = "this pool has " + of(n, s.Limit)
	}
	cause := Unreachable
	if s.Access.Rejects {
		cause = Rejected
	}
	return Diagnosis{Cause: cause, Since: since,
		Sentence: fmt.Sprintf("no connection can be opened (%s) since %s, and %s: %s", reason, span(s.At.Sub(since)), has, remedy)}
}

// late is how far beyond statement_timeout a statement must be for the server
// to be the one that does not keep it.
const late = 5 * time.Second

// hung judges a server that is connected and does not answer.
func (s Scene) hung() Diagnosis {
	if !s.Silent.IsZero() {
		return s.silence(s.Silent)
	}
	if s.Timeout == 0 || len(s.Holders) == 0 {
		return Diagnosis{}
	}
	overdue := 0
	for _, h := range s.Holders {
		if h.Doing == Running && h.Held > s.Timeout+late && h.Held > 2*s.Timeout {
			overdue++
		}
	}
	if 2*overdue < len(s.Holders) || overdue == 0 {
		return Diagnosis{}
	}
	return s.silence(s.since(s.Holders[0].Held))
}

func (s Scene) silence(since time.Time) Diagnosis {
	return Diagnosis{Cause: Hung, Culprit: "the server", Since: since,
		Sentence: fmt.Sprintf("the server is connected and has not answered for %s%s: check its host, its disk and its log, and restart it if it is stopped",
			span(s.At.Sub(since)), s.waitForServer())}
}

// waitForServer is who waits for a server that does not answer: the connections,
// or the callers once the connections' statements have timed out.
func (s *Scene) waitForServer() string {
	n := s.running()
	switch {
	case n > 0:
		return fmt.Sprintf(", and %s %s for it", of(n, s.Limit), verb(n, "waits", "wait"))
	case s.Waiting > 0:
		return fmt.Sprintf(", and %s %s for it", count(s.Waiting, "caller", "callers"), verb(s.Waiting, "waits", "wait"))
	}
	return ""
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// running is how many holders wait for the server.
func (s *Scene) running() int {
	n := 0
	for _, h := range s.Holders {
		if h.Doing == Running {
			n++
		}
	}
	return n
}
