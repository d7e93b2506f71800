package fleet

// Limits is what the server allows, as any role may read it.
type Limits struct {
	MaxConnections    int
	SuperuserReserved int // superuser_reserved_connections
	Reserved          int // reserved_connections (PostgreSQL 16 and later, else 0)
	MayUseReserved    bool
	Superuser         bool
	Role              string
	RoleLimit         int // -1: none
	Database          string
	DatabaseLimit     int // -1: none
}

// Sessions counts client sessions on the server at one moment.
type Sessions struct {
	Server   int // all of them
	Role     int // of this role, in any database
	Database int // in this database, of any role
	Peers    int // of this role, database and application name
}

// Allowed is what the role may hold in all, were nobody else there. The slots
// kept for superusers stay theirs even when this service logs in as one, to
// whom no limit applies: somebody must be able to get in and look.
func (l Limits) Allowed() int { return l.Usable(Sessions{}, 0) }

// Usable is what is left for a fleet of which ours sessions are in s.
func (l Limits) Usable(s Sessions, ours int) int {
	n := l.Server() - max(0, s.Server-ours)
	if l.Superuser {
		return max(0, n)
	}
	if l.RoleLimit >= 0 {
		n = min(n, l.RoleLimit-max(0, s.Role-ours))
	}
	if l.DatabaseLimit >= 0 {
		n = min(n, l.DatabaseLimit-max(0, s.Database-ours))
	}
	return max(0, n)
}

// Server is how many slots of the server the role may use.
func (l Limits) Server() int {
	n := l.MaxConnections - l.SuperuserReserved
	if !l.Superuser && !l.MayUseReserved {
		n -= l.Reserved
	}
	return max(0, n)
}

// Plan divides what is usable.
type Plan struct {
	Usable   int // what the service may have on the server
	Tokens   int // shared out among the replicas
	Headroom int // kept free for a replica's first session, which comes before it can ask
	People   int // kept free for psql and the like
}

// plan keeps headroom for the replicas that a rolling deploy adds at once, at
// least one slot in fifty and at most one in eight; and, where the operator did
// not say how much is the service's, one slot in twenty for people.
func plan(usable, surge int, all bool) Plan {
	p := Plan{Usable: usable}
	p.Headroom = min(max(1, surge, usable/50), max(1, usable/8), usable/2)
	if all {
		p.People = usable / 20
	}
	p.Tokens = usable - p.Headroom - p.People
	return p
}
