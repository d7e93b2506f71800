package pool

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// statement returns the figures of one statement.
func statement(p *Pool, text string) RouteStats {
	all := p.Statements()
	if i := slices.IndexFunc(all, func(r RouteStats) bool { return r.Name == text }); i >= 0 {
		return all[i]
	}
	return RouteStats{}
}

// TestStatementsAreCounted runs one statement in each way that there is.
func TestStatementsAreCounted(t *testing.T) {
	p := openShared(t, 3, 0, nil)
	defer p.Close()
	ctx := t.Context()
	mustExec(t, mine(p), "select 4711") // nobody wants to know yet
	if all := p.Statements(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	scan := func(r *sql.Row) error { return r.Scan(new(int)) }
	for name, use := range map[string]func() error{
		"ExecContext":     func() error { _, err := p.ExecContext(ctx, "select 17"); return err },
		"QueryRowContext": func() error { return scan(p.QueryRowContext(ctx, "select 18")) },
		"DB":              func() error { return scan(p.DB().QueryRowContext(ctx, "select 19")) },
		"a session": func() error {
			return p.WithSession(ctx, func(ctx context.Context, s *Session) error { return scan(s.QueryRowContext(ctx, "select 20")) })
		},
		"a transaction": func() error {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			return scan(tx.QueryRowContext(ctx, "select 21"))
		},
		"a connection": func() error {
			c, err := p.Conn(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			return scan(c.QueryRowContext(ctx, "select 22"))
		},
		"a prepared statement": func() error {
			s, err := p.PrepareContext(ctx, "select 23")
			if err != nil {
				return err
			}
			defer s.Close()
			return scan(s.QueryRowContext(ctx))
		},
		"pgx": func() error { return p.Pgx().QueryRow(ctx, "select 24").Scan(new(int)) },
		"Background": func() error {
			return p.Background(ctx, "task", func(ctx context.Context, s *Session) error { return scan(s.QueryRowContext(ctx, "select 25")) }).Wait(ctx)
		},
	} {
		before := statement(p, "select ?")
		if err := use(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		until(t, 5*time.Second, name+" is over", func() bool {
			s := statement(p, "select ?")
			return s.AcquireCount == before.AcquireCount+1 && s.Hold.Count == before.Hold.Count+1 && s.InUse == 0 && s.Waiting == 0
		})
	}
	if all := p.Statements(); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

// TestStatementsInUse looks at statements while they run, alone and in a transaction.
func TestStatementsInUse(t *testing.T) {
	p := openShared(t, 2, 0, func(c *config.Config) { c.PoolTimeout = 300 * time.Millisecond })
	defer p.Close()
	p.Statements()
	ctx := t.Context()
	rows, err := p.QueryContext(ctx, "select generate_series(1, 3) as n")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- p.WithSession(ctx, func(ctx context.Context, s *Session) error {
			if _, err := s.ExecContext(ctx, "select 1"); err != nil {
				return err
			}
			_, err := s.ExecContext(ctx, "select pg_sleep(0.9)")
			return err
		})
	}()
	until(t, 5*time.Second, "both are in use", func() bool {
		return statement(p, "select generate_series(?, ?) as n").InUse+statement(p, "select generate_series(…) as n").InUse == 1 && statement(p, "select pg_sleep(?)").InUse == 1
	})
	if _, err := p.ExecContext(ctx, "select 'late'"); err == nil {
		t.Error("no error")
	}
	if s := statement(p, "select ?"); s.TimeoutCount+s.ShedCount != 1 {
		t.Errorf("%+v", s)
	}
	rows.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, s := range p.Statements() {
		if s.InUse != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	}
	if held := statement(p, "select pg_sleep(?)").Hold; held.Count != 1 || held.Sum < 900*time.Millisecond {
		t.Errorf("%+v", held)
	}
}

// TestStatementsThatShare counts those that were sent together with others.
func TestStatementsThatShare(t *testing.T) {
	p := openShared(t, 2, 0, func(c *config.Config) { c.PoolTimeout = 10 * time.Second })
	defer p.Close()
	p.Statements()
	const callers, each = 50, 40
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				if err := p.QueryRowContext(t.Context(), "select $1::int + 1", 7).Scan(new(int)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	s := statement(p, "select $1::int + ?")
	if n := p.statements.of("select $1::int + 1").inUse.Load(); n != 0 {
		t.Errorf("%d in use at the end", n)
	}
	if s.AcquireCount != callers*each || s.Hold.Count < callers*each || s.Waiting != 0 || p.Stats().Pipeline.SharedCount == 0 {
		t.Errorf("%+v; %+v", s, p.Stats().Pipeline)
	}
}

// A service may write values into its texts, and names as well.
func TestStatementsAreBounded(t *testing.T) {
	var s statementTable
	s.counting.Store(true)
	for i := range 50_000 {
		s.of(fmt.Sprintf("select * from orders where id = %d and name = 'customer %d'", i, i)).hold.observe(time.Second)
	}
	if all := s.shapes.stats(); len(all) != 1 || all[0].Hold.Count != 50_000 || s.size > mostTexts || len(s.texts) == 0 {
		t.Errorf("%d statements, %d bytes", len(all), s.size)
	}
	for i := range mostRoutes + 50 {
		s.of(fmt.Sprintf("select * from orders_%c%c", 'a'+i/26, 'a'+i%26)).asked()
	}
	if all := s.shapes.stats(); len(all) != mostRoutes+1 {
		t.Errorf("%d statements", len(all))
	}
	if s.of("-- nothing") != nil {
		t.Error("a comment is a statement")
	}
}
