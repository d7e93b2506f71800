package pgtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestStandbyFollowsAndIsPromoted(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		primary := Start(t, Options{Version: version, Auth: AuthSCRAM})
		primary.Exec(t, "create table kept (word text); insert into kept values ('early')")
		standby := primary.Standby(t, map[string]string{"work_mem": "1MB"})
		wantAnswer(t, standby.URL, "select word from kept", "early")
		wantAnswer(t, standby.URL, "show work_mem", "1MB")
		wantAnswer(t, standby.URL, "select pg_is_in_recovery()::text", "true")
		primary.Exec(t, "update kept set word = 'late'")
		eventually(t, "the standby follows", func() bool {
			word, err := ask(t, standby.URL, "select word from kept")
			return err == nil && word == "late"
		})
		session, err := pgx.Connect(t.Context(), standby.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close(context.Background())
		primary.Kill(t)
		standby.Restart(t)
		standby.Promote(t)
		standby.Exec(t, "insert into kept values ('written')")
		if primary.Port == standby.Port || primary.dir == standby.dir {
			t.Error("one server")
		}
	})
}

// Two standbys of one primary have a slot each.
func TestStandbyThatRefuses(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		primary := Start(t, Options{Version: version})
		for setting, want := range map[string]string{"hot_standby": "is not accepting", "primary_conninfo": "not yet accepting"} {
			value := map[string]string{"hot_standby": "off", "primary_conninfo": "host=127.0.0.1 port=1"}[setting]
			standby := primary.Standby(t, map[string]string{setting: value})
			wantRefusal(t, standby, want)
		}
	})
}

// Smart shutdown keeps the sessions, a crash ends all.
func TestStopSmartAndCrash(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		s := Start(t, Options{Version: version})
		for _, c := range []struct {
			stop   func(testing.TB)
			says   string
			killed bool
		}{{s.StopSmart, "shutting down", false}, {s.Crash, "in recovery mode", true}} {
			session, err := pgx.Connect(t.Context(), s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close(context.Background())
			c.stop(t)
			wantRefusal(t, s, c.says)
			if _, err := session.Exec(t.Context(), "select 1"); (err != nil) != c.killed {
				t.Errorf("%s: the session before it says %v", c.says, err)
			}
			s.Restart(t)
		}
	})
}

// refusal is what a server that takes no sessions says; empty if it says nothing.
func refusal(t *testing.T, s *Server) string {
	_, err := ask(t, s.URL, "select ''")
	return refusalIn(err)
}

func wantRefusal(t *testing.T, s *Server, want string) {
	t.Helper()
	if said := refusal(t, s); !strings.Contains(said, want) {
		t.Errorf("got %q, want %q", said, want)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for started := time.Now(); !holds(); {
		if time.Since(started) > 20*time.Second {
			t.Fatalf("not within 20s: %s", what)
		}
	}
}
