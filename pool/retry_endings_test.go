package pool

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/memserver"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

var atClose = func(m pgproto3.FrontendMessage) bool { _, ok := m.(*pgproto3.Close); return ok }

// endWith ends the session at a moment, once, with these words; nil is none. It
// counts what was executed.
func (s *wireServer) endWith(at func(pgproto3.FrontendMessage) bool, words *pgproto3.ErrorResponse) (ended *bool, executed *int) {
	ended, executed = new(bool), new(int)
	s.with(func(f *wireFaults) {
		f.script = func(w *wireSession, m pgproto3.FrontendMessage) bool {
			if !*ended && at(m) {
				*ended = true
				if words != nil {
					w.Send(words)
				}
				return words != nil && words.Severity == "ERROR"
			}
			if atExecute(m) || atText("change")(m) {
				*executed++
			}
			return true
		}
	})
	return ended, executed
}

// TestRetryByTheServersWords has servers end sessions with words that prove that
// the statement was not executed, and with others.
func TestRetryByTheServersWords(t *testing.T) {
	idle := memserver.Fatal(pgdriver.StateIdleTimeout, "terminating connection due to idle-session timeout")
	pooled := func(c *config.Config) { sized(2, 0)(c); c.Pooler = config.PoolerPgBouncer }
	for what, c := range map[string]struct {
		call    wireCall
		at      func(pgproto3.FrontendMessage) bool
		words   *pgproto3.ErrorResponse
		noticed bool
		edit    func(*config.Config)
	}{
		"idle, known":             {known, atBind, idle, false, sized(2, 0)},
		"idle, new":               {query, atParse, idle, false, sized(2, 0)},
		"idle, simple":            {exec, atText("change"), idle, false, sized(2, 0)},
		"idle, lent":              {lent, atBind, idle, false, sized(2, 0)},
		"idle, in a transaction":  {transaction("known"), atBind, idle, true, sized(2, 0)},
		"idle, behind a pooler":   {exec, atText("change"), idle, true, pooled},
		"database dropped":        {known, atBind, memserver.Fatal(pgdriver.StateDatabaseDropped, "terminating connection due to conflict with recovery"), false, sized(2, 0)},
		"recovery conflict":       {known, atBind, memserver.Fatal(pgdriver.StateSerialization, "terminating connection due to conflict with recovery"), false, sized(2, 0)},
		"recovery, simple":        {exec, atText("change"), memserver.Fatal(pgdriver.StateSerialization, "terminating connection due to conflict with recovery"), true, sized(2, 0)},
		"a server's broken state": {known, atBind, memserver.Fatal("XX000", "cache lookup failed"), true, sized(2, 0)},
	} {
		t.Run(what, func(t *testing.T) {
			inWire(t, c.edit, func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				if err := known(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				ended, executed := s.endWith(c.at, c.words)
				err := c.call(t.Context(), p)
				if !*ended || (err != nil) != c.noticed {
					t.Errorf("got %v (the moment came: %v), want an error: %v", err, *ended, c.noticed)
				}
				if c.noticed && pgdriver.SQLState(err) != c.words.Code {
					t.Errorf("got %v, want the server's words", err)
				}
				if want := map[bool]int{false: 1}[c.noticed]; *executed != want {
					t.Errorf("executed %d times, want %d", *executed, want)
				}
			})
		})
	}
}

// TestRetryBeforeTheStatement has connections end without a word while pgx does
// what it does before a statement: that is not the caller's statement.
func TestRetryBeforeTheStatement(t *testing.T) {
	for what, c := range map[string]struct {
		call    wireCall
		at      func(pgproto3.FrontendMessage) bool
		noticed bool
	}{
		"being prepared":                   {query, atParse, false},
		"being prepared, lent":             {func(ctx context.Context, p *Pool) error { return p.DB().QueryRowContext(ctx, "new").Scan(new(string)) }, atParse, false},
		"another being forgotten":          {known, atClose, false},
		"being prepared, in a transaction": {transaction("new"), atParse, true},
	} {
		t.Run(what, func(t *testing.T) {
			inWire(t, sized(2, 0), func(t *testing.T, p *Pool, s *wireServer, _ *logLines) {
				if err := known(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				changed := &pgproto3.ErrorResponse{Severity: "ERROR", Code: "0A000", Message: "cached plan must not change result type"}
				if s.endWith(atBind, changed); what == "another being forgotten" && known(t.Context(), p) == nil {
					t.Fatal("the plan has not changed")
				}
				ended, executed := s.endWith(c.at, nil)
				err := c.call(t.Context(), p)
				if !*ended || (err != nil) != c.noticed {
					t.Errorf("got %v (the moment came: %v), want an error: %v", err, *ended, c.noticed)
				}
				if c.noticed && (!errors.Is(err, pgdriver.ErrLostTx) || strings.Contains(err.Error(), "may have been")) {
					t.Errorf("got %v, want that it was not executed", err)
				}
				if want := map[bool]int{false: 1}[c.noticed]; *executed != want {
					t.Errorf("executed %d times, want %d", *executed, want)
				}
			})
		})
	}
}
