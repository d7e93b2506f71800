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

// Ours is how many of the sessions are the fleet's.
type Ours struct {
	All        int
	OtherRoles int // of All: logged in as another role, as while credentials are rotated
}

// Allowed is what the role may hold in all, were nobody else there. The slots
// kept for superusers stay theirs even when this service logs in as one, to
// whom no limit applies: somebody must be able to get in and look.
func (l Limits) Allowed() int { return l.Usable(Sessions{}, Ours{}) }

// Usable is what is left for a fleet that has ours of the sessions in s. The
// limit of a role bounds those of its sessions only.
func (l Limits) Usable(s Sessions, ours Ours) int {
	n := l.Server() - max(0, s.Server-ours.All)
	if l.Superuser {
		return max(0, n)
	}
	if l.RoleLimit >= 0 {
		n = min(n, l.RoleLimit-max(0, s.Role-(ours.All-ours.OtherRoles))+ours.OtherRoles)
	}
	if l.DatabaseLimit >= 0 {
		n = min(n, l.DatabaseLimit-max(0, s.Database-ours.All))
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

// headroom is kept free for the replicas that a rolling deploy adds at once: at
// least one slot in fifty, and at most half of all.
func headroom(usable, surge int) int { return min(max(1, surge, usable/50), usable/2) }

// plan keeps headroom; and, where the operator did not say how much is the
// service's, one slot in twenty for people.
func plan(usable, surge int, all bool) Plan {
	p := Plan{Usable: usable, Headroom: headroom(usable, surge)}
	if all {
		p.People = usable / 20
	}
	p.Tokens = usable - p.Headroom - p.People
	return p
}

// pressed is a plan for a service that was promised a number of tokens, whatever
// others take of the server. What they take comes out of the headroom first:
// headroom that the service made for its replicas out of its own connections would
// be the others' at once, and then as much again.
func (p Plan) pressed(promised int) Plan {
	if least := min(p.Usable, promised); p.Tokens < least {
		p.Tokens = least
		p.Headroom = min(p.Headroom, p.Usable-p.Tokens)
		p.People = p.Usable - p.Tokens - p.Headroom
	}
	return p
}
