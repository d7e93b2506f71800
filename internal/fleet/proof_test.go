package fleet

import (
	"strings"
	"testing"

	"github.com/dbpool-go/dbpool/config"
)

// twenty is the seed's server: 20 slots, 3 of them for superusers.
func twenty() Limits {
	return Limits{MaxConnections: 20, SuperuserReserved: 3, Role: "app", RoleLimit: -1, Database: "shop", DatabaseLimit: -1}
}

func TestUsable(t *testing.T) {
	for name, test := range map[string]struct {
		change   func(*Limits)
		sessions Sessions
		ours     int
		want     int
	}{
		"empty":                          {want: 17},
		"own sessions do not count":      {sessions: Sessions{Server: 9}, ours: 9, want: 17},
		"others' do":                     {sessions: Sessions{Server: 9}, ours: 5, want: 13},
		"reserved slots":                 {change: func(l *Limits) { l.Reserved = 4 }, want: 13},
		"may use reserved slots":         {change: func(l *Limits) { l.Reserved, l.MayUseReserved = 4, true }, want: 17},
		"role limit":                     {change: func(l *Limits) { l.RoleLimit = 10 }, sessions: Sessions{Server: 9, Role: 6}, ours: 5, want: 9},
		"database limit":                 {change: func(l *Limits) { l.DatabaseLimit = 6 }, sessions: Sessions{Server: 9, Database: 7}, ours: 5, want: 4},
		"limits do not stop a superuser": {change: func(l *Limits) { l.RoleLimit, l.Superuser = 1, true }, want: 17},
		"overfull":                       {sessions: Sessions{Server: 30}, want: 0},
		"role limit 0":                   {change: func(l *Limits) { l.RoleLimit = 0 }, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := twenty()
			if test.change != nil {
				test.change(&l)
			}
			if got := l.Usable(test.sessions, Ours{All: test.ours}); got != test.want {
				t.Errorf("%d; want %d", got, test.want)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	for _, test := range []struct {
		usable, surge int
		all           bool
		want          Plan
	}{
		{17, 1, true, Plan{17, 16, 1, 0}},
		{17, 5, true, Plan{17, 12, 5, 0}},
		{17, 20, true, Plan{17, 9, 8, 0}},
		{97, 1, true, Plan{97, 92, 1, 4}},
		{97, 1, false, Plan{97, 96, 1, 0}},
		{400, 0, true, Plan{400, 372, 8, 20}},
		{2, 1, true, Plan{2, 1, 1, 0}},
		{1, 1, true, Plan{1, 1, 0, 0}},
		{0, 1, true, Plan{}},
	} {
		if got := plan(test.usable, test.surge, test.all); got != test.want {
			t.Errorf("plan(%d, %d, %v) = %+v; want %+v", test.usable, test.surge, test.all, got, test.want)
		}
	}
}

func TestProofPrintsTheArithmeticAndTheRemedies(t *testing.T) {
	tight := twenty()
	tight.Reserved, tight.RoleLimit, tight.DatabaseLimit, tight.Database = 2, 12, 14, `my "shop"`
	for name, test := range map[string]struct {
		proof Proof
		want  string
	}{
		"the seed's fleet": {Proof{Limits: twenty(), Sessions: Sessions{Server: 9}, Ours: 8, Ask: Ask{Replicas: 8, Surge: 1, PoolSize: 5, MaxOverflow: 5}}, `
server: max_connections 20 - superuser_reserved_connections 3 - 1 session of others = 16
usable: 16
fleet: (8 replicas + 1 surge) x (5 pool size + 5 overflow) = 90
does not fit: 90 > 16
remedy: DB_FLEET=enforce shares the 16 among the live replicas
remedy: DB_POOL_SIZE=1 DB_MAX_OVERFLOW=0: 9 x 1 = 9
remedy: ALTER SYSTEM SET max_connections = 94; and a restart, or PgBouncer in between`},
		"it fits": {Proof{Limits: twenty(), Ask: Ask{Replicas: 1, Surge: 0, PoolSize: 5, MaxOverflow: 5}}, `
server: max_connections 20 - superuser_reserved_connections 3 - 0 sessions of others = 17
usable: 17
fleet: (1 replica + 0 surge) x (5 pool size + 5 overflow) = 10
fits: 10 <= 17`},
		"enforced": {Proof{Limits: twenty(), Ask: Ask{Replicas: 8, Surge: 1, PoolSize: 5, MaxOverflow: 5, Enforced: true}}, `
server: max_connections 20 - superuser_reserved_connections 3 - 0 sessions of others = 17
usable: 17
fleet: (8 replicas + 1 surge) x at least 1 = 9
fits: 9 <= 17, shared by need; 1 each when all are busy`},
		"a neighbour that takes what was promised": {Proof{Limits: twenty(), Sessions: Sessions{Server: 16}, Ours: 5, Ask: Ask{Replicas: 3, Surge: 1, Budget: "10", Enforced: true},
			Takers: []Taker{{"reports", "python", "shop", 9, false}, {"app", "orders", "shop", 5, true}, {"app", "", "shop", 2, false}}}, `
server: max_connections 20 - superuser_reserved_connections 3 - 11 sessions of others = 6
others: 9 of python (role reports), 2 of role app
budget: DB_FLEET_BUDGET=10 of 17 = 10
squeezed: others have taken 4 of the 10 connections of DB_FLEET_BUDGET; bound them: ALTER ROLE "reports" CONNECTION LIMIT 7;
usable: 6
fleet: (3 replicas + 1 surge) x at least 1 = 4
fits: 4 <= 6, shared by need; 1 each when all are busy`},
		"enforced and too many": {Proof{Limits: twenty(), Ask: Ask{Replicas: 20, Surge: 1, PoolSize: 5, MaxOverflow: 5, Enforced: true}}, `
server: max_connections 20 - superuser_reserved_connections 3 - 0 sessions of others = 17
usable: 17
fleet: (20 replicas + 1 surge) x at least 1 = 21
does not fit: 21 > 17
remedy: run at most 16 replicas
remedy: ALTER SYSTEM SET max_connections = 24; and a restart, or PgBouncer in between
remedy: more replicas than slots: PgBouncer or RDS Proxy before the server, and DB_FLEET_BUDGET and DB_FLEET_REPLICAS in its terms`},
		"limits of role and database": {Proof{Limits: tight, Sessions: Sessions{Server: 3, Role: 2, Database: 2}, Ours: 1, Ask: Ask{Replicas: 4, PoolSize: 2, MaxOverflow: 2}}, `
server: max_connections 20 - superuser_reserved_connections 3 - reserved_connections 2 - 2 sessions of others = 13
role app: CONNECTION LIMIT 12 - 1 session of others = 11
database my "shop": CONNECTION LIMIT 14 - 1 session of others = 13
usable: 11
fleet: (4 replicas + 0 surge) x (2 pool size + 2 overflow) = 16
does not fit: 16 > 11
remedy: DB_FLEET=enforce shares the 11 among the live replicas
remedy: DB_POOL_SIZE=1 DB_MAX_OVERFLOW=1: 4 x 2 = 8
remedy: run at most 2 replicas
remedy: ALTER SYSTEM SET max_connections = 23; and a restart, or PgBouncer in between
remedy: ALTER ROLE "app" CONNECTION LIMIT 17;
remedy: ALTER DATABASE "my ""shop""" CONNECTION LIMIT 17;`},
		"a budget": {Proof{Limits: twenty(), Ask: Ask{Replicas: 2, PoolSize: 3, MaxOverflow: 3, Budget: "50%"}}, `
server: max_connections 20 - superuser_reserved_connections 3 - 0 sessions of others = 17
budget: DB_FLEET_BUDGET=50% of 17 = 8
usable: 8
fleet: (2 replicas + 0 surge) x (3 pool size + 3 overflow) = 12
does not fit: 12 > 8
remedy: DB_FLEET=enforce shares the 8 among the live replicas
remedy: DB_POOL_SIZE=2 DB_MAX_OVERFLOW=2: 2 x 4 = 8
remedy: run at most 1 replica
remedy: DB_FLEET_BUDGET=12`},
		"a budget on a server that is too small": {Proof{Limits: twenty(), Ask: Ask{Replicas: 2, PoolSize: 5, MaxOverflow: 5, Budget: "12"}}, `
server: max_connections 20 - superuser_reserved_connections 3 - 0 sessions of others = 17
budget: DB_FLEET_BUDGET=12 of 17 = 12
usable: 12
fleet: (2 replicas + 0 surge) x (5 pool size + 5 overflow) = 20
does not fit: 20 > 12
remedy: DB_FLEET=enforce shares the 12 among the live replicas
remedy: DB_POOL_SIZE=3 DB_MAX_OVERFLOW=3: 2 x 6 = 12
remedy: run at most 1 replica
remedy: ALTER SYSTEM SET max_connections = 23; and a restart, or PgBouncer in between; and DB_FLEET_BUDGET=20`},
		"budgets that add up to too much": {Proof{Limits: twenty(), Claimed: 10, Ask: Ask{Replicas: 2, PoolSize: 2, MaxOverflow: 2, Budget: "9"}}, `
server: max_connections 20 - superuser_reserved_connections 3 - 0 sessions of others = 17
budget: DB_FLEET_BUDGET=9 of 17 = 9
budgets: with 10 claimed by other services that is more than the 17 there are
usable: 9
fleet: (2 replicas + 0 surge) x (2 pool size + 2 overflow) = 8
does not fit: the budgets add up to more than the server has
remedy: lower the DB_FLEET_BUDGET of this service or of others by 2 together`},
		"behind a pooler": {Proof{Pooled: true, Limits: twenty(), Claimed: 90, Ask: Ask{Replicas: 4, Surge: 1, PoolSize: 5, MaxOverflow: 5, Budget: "100"}}, `
pooler: DB_FLEET_BUDGET=100 of the clients it lets in (max_client_conn)
replicas: as many as DB_FLEET_REPLICAS says; behind a pooler they cannot be counted
fleet: (4 replicas + 1 surge) x (5 pool size + 5 overflow) = 50
fits: 50 <= 100`},
		"behind a pooler, divided": {Proof{Pooled: true, Ask: Ask{Replicas: 4, Surge: 1, PoolSize: 5, MaxOverflow: 5, Budget: "40", Enforced: true}}, `
pooler: DB_FLEET_BUDGET=40 of the clients it lets in (max_client_conn)
replicas: as many as DB_FLEET_REPLICAS says; behind a pooler they cannot be counted
fleet: (4 replicas + 1 surge) x at least 1 = 5
fits: 5 <= 40, divided by number; 8 each`},
		"too many for the pooler": {Proof{Pooled: true, Ask: Ask{Replicas: 9, Surge: 1, PoolSize: 5, MaxOverflow: 5, Budget: "40"}}, `
pooler: DB_FLEET_BUDGET=40 of the clients it lets in (max_client_conn)
replicas: as many as DB_FLEET_REPLICAS says; behind a pooler they cannot be counted
fleet: (9 replicas + 1 surge) x (5 pool size + 5 overflow) = 100
does not fit: 100 > 40
remedy: DB_FLEET=enforce divides the 40 by number
remedy: DB_POOL_SIZE=2 DB_MAX_OVERFLOW=2: 10 x 4 = 40
remedy: run at most 3 replicas
remedy: DB_FLEET_BUDGET=100, if max_client_conn of the pooler allows that`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.proof.String(); got != strings.TrimSpace(test.want) {
				t.Errorf("got\n%s\nwant%s", got, test.want)
			}
			if test.proof.Fits() != (len(test.proof.Remedies()) == 0) {
				t.Error("remedies where none are needed, or none where they are")
			}
		})
	}
}

func TestBehindAPoolerOnlyANumberSaysWhatThereIs(t *testing.T) {
	for budget, want := range map[config.Share]bool{"": false, "50%": false, "40": true} {
		if got := (Proof{Pooled: true, Ask: Ask{Budget: budget}}).Known(); got != want {
			t.Errorf("DB_FLEET_BUDGET=%s: known %v", budget, got)
		}
	}
	if !(Proof{}).Known() {
		t.Error("a server tells")
	}
}

func TestStaticShare(t *testing.T) {
	for _, test := range []struct{ connections, replicas, surge, want int }{
		{40, 3, 1, 10}, {40, 0, 1, 20}, {40, 0, 0, 40}, {3, 9, 1, 1},
	} {
		if got := StaticShare(test.connections, test.replicas, test.surge); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
}
