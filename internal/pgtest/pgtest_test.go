package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(orphanEnv) != "" {
		os.Exit(orphanMain())
	}
	Main(m, func() error { return goleak.Find() })
}

// versions are the machine's own and the newest one that scripts/install.sh brings.
var versions = []int{0, 18}

func eachVersion(t *testing.T, test func(t *testing.T, version int)) {
	for _, v := range versions {
		t.Run(fmt.Sprintf("version=%d", v), func(t *testing.T) { test(t, v) })
	}
}

// ask connects, asks for one text and leaves.
func ask(t *testing.T, dsn, sql string) (string, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.Background())
	var answer string
	err = conn.QueryRow(t.Context(), sql).Scan(&answer)
	return answer, err
}

func wantAnswer(t *testing.T, dsn, sql, want string) {
	t.Helper()
	if got, err := ask(t, dsn, sql); err != nil || got != want {
		t.Errorf("%s: got %q, %v; want %q", sql, got, err, want)
	}
}

func TestStartAppliesSettings(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		s := Start(t, Options{Version: version, Settings: map[string]string{
			"max_connections": "15", "log_line_prefix": "it's %m ", "port": "1",
		}})
		wantAnswer(t, s.URL, "show max_connections", "15")
		wantAnswer(t, s.URL, "show log_line_prefix", "it's %m ")
		wantAnswer(t, s.URL, "show listen_addresses", "127.0.0.1")
		wantAnswer(t, s.URL, "show unix_socket_directories", "")
		wantAnswer(t, s.URL, "select split_part(current_setting('server_version'), '.', 1)", fmt.Sprint(s.Version))
		if version != 0 && s.Version != version {
			t.Errorf("version %d, want %d", s.Version, version)
		}
	})
}

func TestEverywhere(t *testing.T) {
	s := Start(t, Options{Everywhere: true})
	for _, dsn := range s.Addresses("postgres", Superuser) {
		wantAnswer(t, dsn, "select setting from pg_settings where name = 'port'", fmt.Sprint(s.Port))
	}
}

func TestRestartHaltAndKillKeepPortAndData(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		s := Start(t, Options{Version: version})
		s.Exec(t, "create table kept (word text); insert into kept values ('here')")
		url := s.URL
		for name, stop := range map[string]func(testing.TB){"restart": s.Restart, "halt": s.Halt, "kill": s.Kill} {
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			stop(t)
			if _, err := conn.Exec(t.Context(), "select 1"); err == nil {
				t.Errorf("%s: a session survived", name)
			}
			if name != "restart" {
				if _, err := ask(t, url, "select 'up'"); err == nil {
					t.Errorf("%s: still up", name)
				}
				s.Restart(t)
			}
			wantAnswer(t, url, "select word from kept", "here")
		}
	})
}

// A crash says no goodbye; an operator's stop does.
func TestKillGivesNoReason(t *testing.T) {
	s := Start(t, Options{})
	for _, c := range []struct {
		stop func(testing.TB)
		want string
	}{{s.Halt, "57P01"}, {s.Kill, ""}} {
		conn, err := pgx.Connect(t.Context(), s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		c.stop(t)
		_, err = conn.Exec(t.Context(), "select 1")
		var pg *pgconn.PgError
		code := ""
		if errors.As(err, &pg) {
			code = pg.Code
		}
		if err == nil || code != c.want {
			t.Errorf("got %v with code %q, want code %q", err, code, c.want)
		}
		s.Restart(t)
	}
}

func TestSCRAMChecksPasswords(t *testing.T) {
	s := Start(t, Options{Auth: AuthSCRAM})
	wantAnswer(t, s.URL, "select current_user::text", Superuser)
	s.Exec(t, "create role app login password 'right'")
	wantAnswer(t, s.DSN("postgres", "app", "right"), "select current_user::text", "app")
	if _, err := ask(t, s.DSN("postgres", "app", "wrong"), "select ''"); err == nil {
		t.Error("a wrong password was let in")
	}
	if _, err := Open(t.Context(), Options{Auth: "plain"}); err == nil || !strings.Contains(err.Error(), "plain") {
		t.Errorf("unknown Auth: %v", err)
	}
}

func TestFailedStartShowsTheLog(t *testing.T) {
	_, err := Open(t.Context(), Options{Settings: map[string]string{"max_connections": "many"}})
	if err == nil || !strings.Contains(err.Error(), `"max_connections"`) {
		t.Errorf("got %v, want the server's own words", err)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	s := Start(t, Options{})
	pid := s.proc.pid()
	s.Stop()
	s.Stop()
	if alive(pid) {
		t.Error("the process is left")
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
}

func TestFillSlotsAndSessions(t *testing.T) {
	s := Start(t, Options{Settings: map[string]string{"max_connections": "12", "superuser_reserved_connections": "3"}})
	some, freeSome := s.FillSlots(t, 4)
	rest, freeRest := s.FillSlots(t, 0)
	// One of the 12 is the session that counts; three are reserved.
	if some != 4 || rest != 4 {
		t.Errorf("took %d and %d, want 4 and 4", some, rest)
	}
	if _, err := ask(t, s.DSN("postgres", fillerRole, "filler"), "select ''"); !isFull(err) {
		t.Errorf("got %v, want a full server", err)
	}
	if n := s.Sessions(t.Context(), fillerRole); n != 8 {
		t.Errorf("%d sessions, want 8", n)
	}
	freeSome()
	freeRest()
	s.Restart(t) // sessions end a moment after their sockets: a restart waits for them
	if n := s.Sessions(t.Context(), ""); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	s.Halt(t)
	if n := s.Sessions(t.Context(), ""); n != -1 {
		t.Errorf("a server that is down reports %d sessions", n)
	}
}

func TestSharedGivesAFreshDatabaseEach(t *testing.T) {
	outer := Shared(t)
	var inner string
	t.Run("inner", func(t *testing.T) {
		s := Shared(t)
		inner = s.Database
		if s.Port != outer.Port || s.Database == outer.Database {
			t.Errorf("%s and %s", outer.URL, s.URL)
		}
		wantAnswer(t, s.URL, "select current_database()::text", s.Database)
		s.Stop() // must not stop the others' server
	})
	wantAnswer(t, outer.URL, "select 'up'", "up")
	if n, err := outer.QueryInt(t.Context(), "select count(*) from pg_database where datname = $1", inner); n != 0 || err != nil {
		t.Errorf("%d databases left, %v", n, err)
	}
	if said := fatally(t, func(tb testing.TB) { outer.Restart(tb) }); !strings.Contains(said, "shared") {
		t.Errorf("Restart of the shared server: %q", said)
	}
}

// fatally runs what is to end its test, and returns the last words.
func fatally(t *testing.T, run func(testing.TB)) string {
	probe := &probe{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(probe)
	}()
	<-done
	return probe.said
}

// probe stands in for a test that fails or is skipped.
type probe struct {
	testing.TB
	said    string
	skipped bool
}

func (p *probe) Fatal(args ...any)            { p.said = fmt.Sprint(args...); runtime.Goexit() }
func (p *probe) Fatalf(f string, args ...any) { p.Fatal(fmt.Sprintf(f, args...)) }
func (p *probe) Skip(args ...any)             { p.skipped = true; p.Fatal(args...) }
