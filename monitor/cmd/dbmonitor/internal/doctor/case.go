// Package doctor tells an operator whether a fleet of services fits its
// database, what is in the way, and what to set.
//
// A Case is everything a diagnosis rests on, whether it was asked of the
// database or of a service; Diagnose judges it without asking anybody.
package doctor

import (
	"time"

	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// Case is what was found. It is a plain value.
type Case struct {
	Target string // what was examined, fit to be printed
	View   *serverview.View
	Self   int // how many of View's sessions are this examination's own
	Age    time.Duration

	Application string // the fleet's application_name
	Chosen      string // how Application was chosen
	Ask         fleet.Ask
	Sized       string // where the pool's size comes from
	Counted     string // where the number of replicas comes from
	Claimed     int    // what other services say is theirs; see fleet.Proof
	fleetLocks  []fleet.Lock
	takers      []fleet.Taker

	Queries    []serverview.Query
	QueryError string                // why there are none
	Wrong      *statusjson.Diagnosis // what the service says of itself

	Problems []statusjson.Problem // what the service says of itself
	Pooler   bool                 // the server was reached through a pooler

	Thresholds Thresholds
}

// Thresholds are from when on something is worth a warning.
type Thresholds struct {
	Idle  time.Duration // a transaction doing nothing
	Slow  time.Duration // a statement running
	Lock  time.Duration // a session waiting for a lock
	Usage int           // percent of what the role may use
}

// proof is the fleet's arithmetic.
func (c Case) proof() fleet.Proof {
	v := c.View
	return fleet.Proof{
		Limits: fleet.Limits{
			MaxConnections: v.MaxConnections, SuperuserReserved: v.SuperuserReserved, Reserved: v.Reserved,
			MayUseReserved: v.MayUseReserved, Superuser: v.Superuser,
			Role: v.Role, RoleLimit: v.RoleLimit, Database: v.Database, DatabaseLimit: v.DatabaseLimit,
		},
		Sessions: fleet.Sessions{Server: v.Sessions - c.Self, Role: v.RoleSessions - c.Self, Database: v.DatabaseSessions - c.Self},
		Ours:     c.ours(),
		Ask:      c.Ask,
		Claimed:  c.Claimed,
		Takers:   c.others(),
		Pooled:   c.Pooler,
	}
}

// ours is how many sessions go by the fleet's name. A fleet logs in as one role:
// sessions of other roles that chose the same name are others'.
func (c Case) ours() int { return sessionsOf(c.View, c.Application) }

func sessionsOf(v *serverview.View, application string) int {
	for _, a := range v.Applications {
		if a.Name == application {
			return a.RoleSessions
		}
	}
	return 0
}

// ownName is what this examination's own session is called.
const ownName = "dbmonitor"

// chooseApplication finds the fleet's name when nobody has said it: the one that
// most sessions of this role have, people's tools aside.
func chooseApplication(v *serverview.View) (name, how string) {
	most := 0
	for _, a := range v.Applications {
		if a.Name != "" && a.Name != ownName && a.Name != "psql" && a.RoleSessions > most {
			name, how, most = a.Name, "the one with most sessions of role "+v.Role+"; --application names another", a.RoleSessions
		}
	}
	if most == 0 {
		return "", "no service of role " + v.Role + " is connected; --application names one"
	}
	return name, how
}

// atLeast is the number of replicas that so many sessions take, at least 1.
func atLeast(sessions, perReplica int) int {
	if perReplica <= 0 {
		return 1
	}
	return max(1, (sessions+perReplica-1)/perReplica)
}
