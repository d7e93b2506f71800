package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/pool"
)

// secret is the password of the role app; it may be printed nowhere.
const secret = "s3cret-p4ss"

// startServer runs a server of that version with 20 slots, of which 15 are for
// the role app and its like, and a table to lock.
func startServer(t *testing.T, version int) *pgtest.Server {
	t.Helper()
	srv := pgtest.Start(t, pgtest.Options{Version: version, Auth: pgtest.AuthSCRAM, Settings: map[string]string{
		"max_connections": "20", "superuser_reserved_connections": "5",
		"log_connections": "on", "log_statement": "all", "log_line_prefix": "[%a] ",
	}})
	srv.Exec(t, "create role app login password '"+secret+"'; create role other login password '"+secret+"'; create table stock (n int); grant all on stock to app, other")
	return srv
}

// order is what the command line would order for the role app.
func order(t *testing.T, srv *pgtest.Server, environ map[string]string) Order {
	t.Helper()
	env := map[string]string{"DATABASE_URL": srv.DSN("postgres", "app", secret)}
	for k, v := range environ {
		env[k] = v
	}
	cfg, err := config.From(env)
	if err != nil {
		t.Fatal(err)
	}
	return Order{Config: cfg, Sized: "by default", Timeout: 20 * time.Second}
}

// session is one session of a role and an application, gone at the end of the test.
func session(t *testing.T, srv *pgtest.Server, role, application string, statements ...string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), srv.DSN("postgres", role, secret)+"&application_name="+application)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// blocked runs a statement that will wait for a lock, and returns when it does.
func blocked(t *testing.T, srv *pgtest.Server, conn *pgx.Conn, statement string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); conn.Exec(ctx, statement) }()
	t.Cleanup(func() {
		// The driver would wait for a session that waits for a lock.
		srv.QueryInt(context.Background(), "select count(pg_terminate_backend($1))", int64(conn.PgConn().PID()))
		cancel()
		<-done
	})
	for {
		n, err := srv.QueryInt(t.Context(), "select count(*) from pg_locks where pid = $1 and not granted", int64(conn.PgConn().PID()))
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
}

// versions runs a test on the machine's own PostgreSQL and on 18.
func versions(t *testing.T, test func(t *testing.T, srv *pgtest.Server)) {
	for _, v := range []int{15, 18} {
		t.Run(fmt.Sprint(v), func(t *testing.T) { test(t, startServer(t, v)) })
	}
}

func TestExamineDatabase(t *testing.T) {
	versions(t, func(t *testing.T, srv *pgtest.Server) {
		session(t, srv, "app", "orders", "begin", "lock table stock in exclusive mode")
		blocked(t, srv, session(t, srv, "app", "orders"), "insert into stock values (4711)")
		session(t, srv, "other", "billing", "begin", "select 1")
		c, err := ExamineDatabase(t.Context(), order(t, srv, nil))
		if err != nil {
			t.Fatal(err)
		}
		v := c.View
		if v.Role != "app" || v.Usable != 15 || v.Superuser || v.SeesAll || c.Pooler {
			t.Errorf("view %+v", v)
		}
		if c.Application != "orders" || c.ours() != 2 || c.Ask.Replicas != 1 || !strings.HasPrefix(c.Counted, "at least") {
			t.Errorf("application %q, %d sessions, %d replicas (%s)", c.Application, c.ours(), c.Ask.Replicas, c.Counted)
		}
		if n := c.proof().Sessions.Role; n != 2 {
			t.Errorf("%d sessions of the role, this examination's own not counted: want 2", n)
		}
		if len(c.Queries) != 2 { // the other role's is hidden
			t.Errorf("queries %+v", c.Queries)
		}
		if len(c.View.LockWaits) != 1 || c.View.LockWaits[0].Relation != "stock" || len(c.View.LockWaits[0].HeldBy) != 1 || c.View.LockWaits[0].HeldBy[0].State != "idle in transaction" || c.View.LockWaits[0].HeldBy[0].Waits {
			t.Errorf("lock waits %+v", c.View.LockWaits)
		}
		visits(t, srv, 1)
	})
}

// visits checks what the server logged about the examination: so many
// connections, and nothing but questions.
func visits(t *testing.T, srv *pgtest.Server, want int) {
	t.Helper()
	connections := 0
	for line := range strings.SplitSeq(srv.Log(), "\n") {
		if strings.Contains(line, "connection authorized") && strings.Contains(line, "application_name="+ownName) {
			connections++
		}
		_, statement, ok := strings.Cut(line, "["+ownName+"] LOG:")
		if !ok {
			continue
		}
		_, statement, ok = strings.Cut(statement, ": ")
		if first, _, _ := strings.Cut(strings.TrimSpace(strings.ToLower(statement)), " "); ok && first != "" && !strings.Contains("select begin rollback commit with -- ; deallocate", first) {
			t.Errorf("not a question: %s", line)
		}
	}
	if connections != want {
		t.Errorf("%d connections were opened, want %d", connections, want)
	}
	if !strings.Contains(srv.Log(), "begin read only") {
		t.Error("the questions were not asked in a read-only transaction")
	}
}

// Other roles' sessions count and can be in the way, but what they do is hidden.
func TestOtherRoleHoldsLock(t *testing.T) {
	versions(t, func(t *testing.T, srv *pgtest.Server) {
		session(t, srv, "other", "billing", "begin", "lock table stock in exclusive mode")
		blocked(t, srv, session(t, srv, "app", "orders"), "insert into stock values (1)")
		c, err := ExamineDatabase(t.Context(), order(t, srv, nil))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.View.LockWaits) != 1 || c.View.LockWaits[0].HeldBy[0].State != "hidden" || c.View.LockWaits[0].HeldBy[0].Application != "billing" {
			t.Fatalf("lock waits %+v", c.View.LockWaits)
		}
		c.View.LockWaits[0].Seconds = 5
		d := Diagnose(c)
		finds(t, d, "lock_waits", report.Warning, "(billing, other)")
		finds(t, d, "hidden", report.Healthy, `GRANT pg_monitor TO "app"`)
	})
}

func finds(t *testing.T, d Diagnosis, code string, level report.Level, text string) {
	t.Helper()
	for _, f := range d.Findings {
		if f.Code == code {
			if f.Level != level || !strings.Contains(f.Text, text) {
				t.Errorf("%+v, want %s with %q", f, level, text)
			}
			return
		}
	}
	t.Errorf("no %s in %+v", code, d.Findings)
}

// A full server gives no connection, and that is the diagnosis.
func TestServerFull(t *testing.T) {
	versions(t, func(t *testing.T, srv *pgtest.Server) {
		srv.FillSlots(t, 0)
		refused(t, order(t, srv, nil), report.Critical, "reserved slots")
		// A superuser still gets in, and sees that nobody else does.
		o := order(t, srv, map[string]string{"DATABASE_URL": srv.URL})
		c, err := ExamineDatabase(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		finds(t, Diagnose(c), "server_full", report.Critical, "not superusers")
	})
}

func TestLimitsFull(t *testing.T) {
	srv := startServer(t, 0)
	srv.Exec(t, "alter role app connection limit 1")
	session(t, srv, "app", "orders")
	refused(t, order(t, srv, nil), report.Critical, "role limit")
	srv.Exec(t, "alter role app connection limit -1")
	srv.Exec(t, "create database small connection limit 0")
	refused(t, order(t, srv, map[string]string{"DATABASE_URL": srv.DSN("small", "app", secret)}), report.Critical, "database limit")
}

func refused(t *testing.T, o Order, level report.Level, text string) {
	t.Helper()
	_, err := ExamineDatabase(t.Context(), o)
	var r *Refused
	if !errors.As(err, &r) {
		t.Fatalf("%v, want a *Refused", err)
	}
	if r.Level != level || !strings.Contains(r.Text, text) || strings.Contains(r.Text, secret) || strings.Contains(r.Text, "\n") {
		t.Errorf("%+v, want %s with %q", r, level, text)
	}
}

func TestRefused(t *testing.T) {
	srv := startServer(t, 0)
	for name, tt := range map[string]struct{ url, want string }{
		"wrong password": {srv.DSN("postgres", "app", secret+"x"), "authentication: "},
		"no database":    {srv.DSN("nowhere", "app", secret), "no such database: "},
		"nobody there":   {"postgres://app:" + secret + "@127.0.0.1:1/postgres", "unreachable: "},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, order(t, srv, map[string]string{"DATABASE_URL": tt.url}), report.Unreachable, tt.want)
		})
	}
}

// Through PgBouncer in transaction mode everything works, and is said.
func TestThroughPgBouncer(t *testing.T) {
	srv := startServer(t, 0)
	b := pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{})
	o := order(t, srv, map[string]string{"DATABASE_URL": b.DSN("postgres", "", "")})
	c, err := ExamineDatabase(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Pooler {
		t.Error("the pooler was not noticed")
	}
	finds(t, Diagnose(c), "pooler", report.Healthy, "pooler")
}

// Replicas that are there are counted by the locks of the fleet, and the
// examination is not taken for one.
func TestCountsLiveReplicas(t *testing.T) {
	srv := startServer(t, 0)
	o := order(t, srv, map[string]string{"DB_POOL_NAME": "orders", "DB_POOL_SIZE": "1", "DB_MAX_OVERFLOW": "1"})
	for i := range 3 {
		p, err := pool.Open(o.Config, pool.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		awaitFleet(t, p, i+1)
	}
	for range 2 {
		c, err := ExamineDatabase(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if c.Ask.Replicas != 3 || c.Counted != "counted live" || c.Application != "orders" {
			t.Errorf("%d replicas (%s) of %q", c.Ask.Replicas, c.Counted, c.Application)
		}
	}
}

// awaitFleet waits until a pool has seen so many replicas, itself included.
func awaitFleet(t *testing.T, p *pool.Pool, replicas int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for p.Stats().Fleet.Replicas < replicas {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("only %d replicas were seen", p.Stats().Fleet.Replicas)
		}
	}
}
