package fleet

import (
	"fmt"
	"math"
	"strings"

	"github.com/dbpool-go/dbpool/config"
)

// Ask is what a fleet may ask the server for.
type Ask struct {
	Replicas    int // live ones, or as many as were declared if that is more
	Surge       int // more while a rolling deploy is under way
	PoolSize    int // per replica
	MaxOverflow int // per replica
	Budget      config.Share
	Enforced    bool // the replicas share what there is (DB_FLEET=enforce)
}

// Proof is the arithmetic that shows whether a fleet fits its server. It is a value.
type Proof struct {
	Limits   Limits
	Sessions Sessions
	Ours     int // of Sessions: the fleet's
	Others   int // of Ours: logged in as another role
	Ask      Ask
	Pooled   bool    // a pooler stands before the server: the sessions asked for are its clients
	Claimed  int     // what other services of the server have claimed by DB_FLEET_BUDGET
	Takers   []Taker // who has the sessions on the server, where that is known
}

// Known reports whether anything can be proved. What a pooler allows it does
// not tell its clients; only a budget in plain numbers says it.
func (p Proof) Known() bool { return !p.Pooled || p.Ask.Budget.Absolute() }

// Usable is what the service may have: of what the limits allow and others do
// not use, its part. Behind a pooler it is the budget, which counts clients there.
func (p Proof) Usable() int {
	if p.Pooled {
		return p.Ask.Budget.Of(math.MaxInt32)
	}
	return min(p.Limits.Usable(p.Sessions, Ours{p.Ours, p.Others}), p.Ask.Budget.Of(p.Limits.Allowed()))
}

// Replicas is how many may run at once.
func (p Proof) Replicas() int { return p.Ask.Replicas + p.Ask.Surge }

// Need is the most connections the fleet can ask for by the pools' own
// settings; when the budget is enforced, one per replica is all it needs.
func (p Proof) Need() int {
	if p.Ask.Enforced {
		return p.Replicas()
	}
	return p.Replicas() * p.perReplica()
}

func (p Proof) perReplica() int { return p.Ask.PoolSize + p.Ask.MaxOverflow }

// Fits reports whether the server never has to refuse this fleet.
func (p Proof) Fits() bool { return p.Need() <= p.Usable() && !p.Overclaimed() }

// Overclaimed reports whether the budgets of all services together are more
// than there is. A service without a budget of its own takes what is left.
func (p Proof) Overclaimed() bool {
	return !p.Pooled && p.Claimed > 0 && p.Ask.Budget != "" && p.Claimed+p.Ask.Budget.Of(p.Limits.Allowed()) > p.Limits.Server()
}

// String is the arithmetic, one step per line, and what would make it fit.
func (p Proof) String() string {
	return strings.Join(append(p.Steps(), p.Remedies()...), "\n")
}

// Steps is the arithmetic, one step per line.
func (p Proof) Steps() []string {
	if p.Pooled {
		return []string{
			fmt.Sprintf("pooler: DB_FLEET_BUDGET=%s of the clients it lets in (max_client_conn)", p.Ask.Budget),
			"replicas: as many as DB_FLEET_REPLICAS says; behind a pooler they cannot be counted",
			p.fleetStep(), p.verdict(),
		}
	}
	steps := append([]string{p.serverStep()}, p.takerSteps()...)
	steps = append(steps, p.limitSteps()...)
	if p.Ask.Budget != "" {
		steps = append(steps, fmt.Sprintf("budget: DB_FLEET_BUDGET=%s of %d = %d", p.Ask.Budget, p.Limits.Allowed(), p.Ask.Budget.Of(p.Limits.Allowed())))
	}
	if p.Overclaimed() {
		steps = append(steps, fmt.Sprintf("budgets: with %d claimed by other services that is more than the %d there are", p.Claimed, p.Limits.Server()))
	}
	if lost := p.Squeezed(); lost > 0 {
		step := fmt.Sprintf("squeezed: others have taken %d of the %d connections of DB_FLEET_BUDGET", lost, p.promised())
		if bound := p.Bound(); bound != "" {
			step += "; bound them: " + bound
		}
		steps = append(steps, step)
	}
	return append(steps, fmt.Sprintf("usable: %d", p.Usable()), p.fleetStep(), p.verdict())
}

func (p Proof) serverStep() string {
	l := p.Limits
	s := fmt.Sprintf("server: max_connections %d - superuser_reserved_connections %d", l.MaxConnections, l.SuperuserReserved)
	if l.Reserved > 0 && l.Server() == l.MaxConnections-l.SuperuserReserved-l.Reserved {
		s += fmt.Sprintf(" - reserved_connections %d", l.Reserved)
	}
	return s + fmt.Sprintf(" - %s of others = %d", Count(p.Sessions.Server-p.Ours, "session"), max(0, l.Server()-(p.Sessions.Server-p.Ours)))
}

// limitSteps are the limits of the role and the database, where there are any
// and they apply.
func (p Proof) limitSteps() []string {
	l := p.Limits
	if l.Superuser {
		return []string{fmt.Sprintf("role %s: a superuser, whom no CONNECTION LIMIT stops", l.Role)}
	}
	var steps []string
	if l.RoleLimit >= 0 {
		steps = append(steps, limitStep("role", l.Role, l.RoleLimit, p.Sessions.Role-(p.Ours-p.Others)))
	}
	if l.DatabaseLimit >= 0 {
		steps = append(steps, limitStep("database", l.Database, l.DatabaseLimit, p.Sessions.Database-p.Ours))
	}
	return steps
}

func limitStep(what, name string, limit, others int) string {
	return fmt.Sprintf("%s %s: CONNECTION LIMIT %d - %s of others = %d", what, name, limit, Count(others, "session"), max(0, limit-max(0, others)))
}

func (p Proof) fleetStep() string {
	a := p.Ask
	if a.Enforced {
		return fmt.Sprintf("fleet: (%s + %d surge) x at least 1 = %d", Count(a.Replicas, "replica"), a.Surge, p.Need())
	}
	return fmt.Sprintf("fleet: (%s + %d surge) x (%d pool size + %d overflow) = %d", Count(a.Replicas, "replica"), a.Surge, a.PoolSize, a.MaxOverflow, p.Need())
}

func (p Proof) verdict() string {
	switch {
	case p.Need() > p.Usable():
		return fmt.Sprintf("does not fit: %d > %d", p.Need(), p.Usable())
	case p.Overclaimed():
		return "does not fit: the budgets add up to more than the server has"
	case p.Ask.Enforced && p.Pooled:
		return fmt.Sprintf("fits: %d <= %d, divided by number; %d each", p.Need(), p.Usable(), p.Usable()/max(1, p.Replicas()))
	case p.Ask.Enforced:
		return fmt.Sprintf("fits: %d <= %d, shared by need; %d each when all are busy", p.Need(), p.Usable(), p.Usable()/max(1, p.Replicas()))
	}
	return fmt.Sprintf("fits: %d <= %d", p.Need(), p.Usable())
}

// Remedies are what would make it fit, one of the variables or all of the SQL
// together; none when it does.
func (p Proof) Remedies() []string {
	if p.Fits() {
		return nil
	}
	if p.Need() <= p.Usable() {
		return []string{fmt.Sprintf("remedy: lower the DB_FLEET_BUDGET of this service or of others by %d together",
			p.Claimed+p.Ask.Budget.Of(p.Limits.Allowed())-p.Limits.Server())}
	}
	if p.Pooled {
		return append(p.variables(), fmt.Sprintf("remedy: DB_FLEET_BUDGET=%d, if max_client_conn of the pooler allows that", p.Need()))
	}
	remedies := append(p.variables(), p.statements()...)
	if p.Ask.Enforced && p.Ask.Replicas > p.Limits.Allowed() {
		remedies = append(remedies, "remedy: more replicas than slots: PgBouncer or RDS Proxy before the server, and DB_FLEET_BUDGET and DB_FLEET_REPLICAS in its terms")
	}
	return remedies
}

func (p Proof) variables() []string {
	var remedies []string
	if !p.Ask.Enforced && p.Replicas() <= p.Usable() {
		how := "shares the %d among the live replicas"
		if p.Pooled {
			how = "divides the %d by number"
		}
		remedies = append(remedies, fmt.Sprintf("remedy: DB_FLEET=enforce "+how, p.Usable()))
	}
	if each := p.Usable() / max(1, p.Replicas()); each > 0 && !p.Ask.Enforced {
		size := (each + 1) / 2
		remedies = append(remedies, fmt.Sprintf("remedy: DB_POOL_SIZE=%d DB_MAX_OVERFLOW=%d: %d x %d = %d", size, each-size, p.Replicas(), each, p.Replicas()*each))
	}
	if fit := p.Usable()/p.unit() - p.Ask.Surge; fit > 0 {
		remedies = append(remedies, "remedy: run at most "+Count(fit, "replica"))
	}
	if !p.Pooled && p.Ask.Budget != "" && p.Ask.Budget.Of(p.Limits.Allowed()) < p.Need() && p.Need() <= p.Limits.Allowed() {
		remedies = append(remedies, fmt.Sprintf("remedy: DB_FLEET_BUDGET=%d", p.Need()))
	}
	return remedies
}

// unit is what one replica needs.
func (p Proof) unit() int {
	if p.Ask.Enforced {
		return 1
	}
	return max(1, p.perReplica())
}

// statements are the SQL. Where the budget binds as well, none of it helps alone.
func (p Proof) statements() []string {
	remedies := p.limitStatements()
	if p.Ask.Budget == "" || p.Ask.Budget.Of(p.Limits.Allowed()) >= p.Need() {
		return remedies
	}
	for i := range remedies {
		remedies[i] = strings.TrimSuffix(remedies[i], ";") + fmt.Sprintf("; and DB_FLEET_BUDGET=%d", p.Need())
	}
	return remedies
}

func (p Proof) limitStatements() []string {
	var remedies []string
	l, others := p.Limits, max(0, p.Sessions.Server-p.Ours)
	if more := p.Need() + others - l.Server(); more > 0 {
		remedies = append(remedies, fmt.Sprintf("remedy: ALTER SYSTEM SET max_connections = %d; and a restart, or PgBouncer in between", l.MaxConnections+more))
	}
	if l.Superuser {
		return remedies
	}
	if need := p.Need() + max(0, p.Sessions.Role-(p.Ours-p.Others)); l.RoleLimit >= 0 && need > l.RoleLimit {
		remedies = append(remedies, fmt.Sprintf("remedy: ALTER ROLE %s CONNECTION LIMIT %d;", quoteName(l.Role), need))
	}
	if need := p.Need() + max(0, p.Sessions.Database-p.Ours); l.DatabaseLimit >= 0 && need > l.DatabaseLimit {
		remedies = append(remedies, fmt.Sprintf("remedy: ALTER DATABASE %s CONNECTION LIMIT %d;", quoteName(l.Database), need))
	}
	return remedies
}

// quoteName makes an SQL identifier of a name.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Count is n of things, such as "1 replica" or "2 replicas".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
