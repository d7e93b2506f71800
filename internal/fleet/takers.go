package fleet

import (
	"fmt"
	"strings"
)

// Taker is some of the sessions on the server: those of one role that say that
// they are one application.
type Taker struct {
	Role        string `json:"role"`
	Application string `json:"application"`
	Database    string `json:"database"`
	Sessions    int    `json:"sessions"`
	Peer        bool   `json:"peer"` // those of this session's role, database and application name
}

// shownTakers is how many of those who have sessions are named.
const shownTakers = 3

// takerSteps name the others who have most of the sessions.
func (p Proof) takerSteps() []string {
	var names []string
	for _, t := range p.others() {
		if len(names) < shownTakers {
			names = append(names, fmt.Sprintf("%d of %s", t.Sessions, t.name()))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{"others: " + strings.Join(names, ", ")}
}

func (t Taker) name() string {
	if t.Application == "" {
		return "role " + t.Role
	}
	return fmt.Sprintf("%s (role %s)", t.Application, t.Role)
}

// others are those who have sessions and are not this service, the most first.
func (p Proof) others() (list []Taker) {
	for _, t := range p.Takers {
		if !t.Peer {
			list = append(list, t)
		}
	}
	return list
}

// promised is the budget where it is a number of connections, else 0.
func (p Proof) promised() int {
	if p.Pooled || !p.Ask.Budget.Absolute() {
		return 0
	}
	return p.Ask.Budget.Of(p.Limits.Allowed())
}

// Squeezed is how many of the connections that the budget promises others have taken.
// No replica gives one up for them, but none gets one back from them either.
func (p Proof) Squeezed() int { return max(0, p.promised()-p.Usable()) }

// Bound is what keeps the neighbour that has most of the sessions from taking this
// service's: SQL, or nothing where no other role is known to have any.
func (p Proof) Bound() string {
	if p.Squeezed() == 0 {
		return ""
	}
	for _, t := range p.others() {
		if t.Role != p.Limits.Role {
			return fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d;", quoteName(t.Role), max(1, p.Limits.Server()-p.promised()))
		}
	}
	return ""
}
