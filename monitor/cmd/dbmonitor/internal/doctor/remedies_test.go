package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/diagnosis"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// odd is a name that has to be quoted, and that holds what follows statements here.
const odd = `o"d d; and a restart, or PgBouncer in between`

// cases are troubled in each way that a remedy is printed for.
func cases() map[string]Case {
	change := func(f func(*Case)) Case { c := troubled(); f(&c); return c }
	named := func(c *Case) { c.View.Role, c.View.Database = odd, odd }
	return map[string]Case{
		"all":                    troubled(),
		"limits of odd names":    change(func(c *Case) { named(c); c.View.DatabaseLimit = 20 }),
		"limits and a budget":    change(func(c *Case) { named(c); c.View.DatabaseLimit = 20; c.Ask.Budget = config.Share("20") }),
		"a superuser":            change(func(c *Case) { c.View.Superuser = true }),
		"a prepared transaction": change(func(c *Case) { c.View.LockWaits[0].BlockedBy, c.View.LockWaits[0].HeldBy = []uint32{0}, nil }),
		"others' sessions": change(func(c *Case) {
			for i := range c.Queries {
				c.Queries[i].Role = odd
			}
		}),
		"a neighbour": change(func(c *Case) {
			c.Ask.Enforced, c.Ask.Budget, c.View.RoleLimit = true, config.Share("20"), -1
			c.takers = []fleet.Taker{{Role: odd, Application: "billing", Sessions: 20}}
			c.View.Sessions, c.View.Applications[1].Sessions = 40, 20
		}),
	}
}

// TestEveryStatementRuns runs each statement that the doctor can print.
func TestEveryStatementRuns(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	srv.Exec(t, "create role app login")
	srv.Exec(t, "create role "+quoteName(odd)+" login")
	srv.Exec(t, "create database app")
	srv.Exec(t, "create database "+quoteName(odd))
	conn := superuser(t, srv)
	seen := map[string]bool{}
	for name, c := range cases() {
		for _, r := range Diagnose(c).Remedies {
			if r.Kind == SetVariables {
				continue
			}
			statement, _, _ := strings.Cut(r.Text, ";  -- ")
			seen[verbs(statement)] = true
			if _, err := conn.Exec(t.Context(), r.Text); err != nil {
				t.Errorf("%s: %s: %v", name, r.Text, err)
			}
		}
	}
	for _, want := range []string{"ALTER SYSTEM", "ALTER ROLE", "ALTER DATABASE", "SELECT pg_terminate_backend(4690)", "SELECT pg_cancel_backend(4700)", "SELECT gid,"} {
		if !seen[want] {
			t.Errorf("no remedy is %s: %v", want, seen)
		}
	}
}

// TestEveryCommandRuns runs each command of a diagnosis.
func TestEveryCommandRuns(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	conn := superuser(t, srv)
	now := time.Now()
	busy := diagnosis.Scene{At: now, Waited: 5 * time.Second, Limit: 1, MaxOpen: 1, InUse: 1, Waiting: 1, Access: diagnosis.Access{OK: true}, BackgroundCap: 1,
		Holders: []diagnosis.Holder{{Who: "a.go:1", Held: 20 * time.Second, Doing: diagnosis.Running, PID: 999_998}}}
	locked := func(pid uint32) diagnosis.Scene {
		s := busy
		s.View = &diagnosis.View{At: now, Waiting: []uint32{999_998}, Blockers: []diagnosis.Blocker{{PID: pid, Role: "alice", Blocks: []uint32{999_998}}}}
		return s
	}
	tasks, full := busy, busy
	tasks.BackgroundUse, tasks.Background, tasks.Holders = 1, true, []diagnosis.Holder{{Who: "a.go:1", Held: 20 * time.Second, Doing: diagnosis.Running, PID: 999_998, Background: true}}
	full.Limit, full.MaxOpen, full.Access = 10, 10, diagnosis.Access{Full: true, Reason: "server full", Since: now}
	full.View = &diagnosis.View{At: now, Sessions: 50, Application: "orders", Applications: []diagnosis.Application{{Name: `bill'ing"`, Sessions: 49}}}
	for cause, s := range map[diagnosis.Cause]diagnosis.Scene{
		diagnosis.Slow: busy, diagnosis.Lock: locked(999_999), "prepared": locked(0), diagnosis.Background: tasks, diagnosis.Neighbour: full,
	} {
		d := diagnosis.Of(s)
		if d.Command == "" || d.Cause != cause && cause != "prepared" {
			t.Errorf("%s: %+v", cause, d)
			continue
		}
		if _, err := conn.Exec(t.Context(), d.Command); err != nil {
			t.Errorf("%s: %s: %v", cause, d.Command, err)
		}
	}
}

// verbs are the first two words.
func verbs(statement string) string {
	words := strings.Fields(statement)
	return strings.Join(words[:min(2, len(words))], " ")
}

func superuser(t *testing.T, srv *pgtest.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), srv.DSN("postgres", pgtest.Superuser, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}
