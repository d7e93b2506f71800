package pool

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// openShared opens a pool on the shared server, outside of any fleet.
func openShared(t *testing.T, size, over int, edit func(*config.Config), opts ...Option) *Pool {
	t.Helper()
	cfg := settled(pgtest.Shared(t).URL, size, over)
	cfg.Fleet = config.FleetOff
	if edit != nil {
		edit(&cfg)
	}
	p, err := Open(cfg, append([]Option{quietly}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// An empty result does not keep its connection busy, so the next query may begin before it is read.
func TestRowsOfTwoQueriesAreApart(t *testing.T) {
	p := openShared(t, 2, 0, nil)
	defer p.Close()
	ctx := t.Context()
	tx, err := p.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	row1 := tx.QueryRowContext(ctx, "select 1 where false")
	row2 := tx.QueryRowContext(ctx, "select 42")
	var n int
	err = row1.Scan(&n)
	if !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("row1 must be ErrNoRows: n=%d err=%v", n, err)
	}
	n = 0
	if err := row2.Scan(&n); err != nil || n != 42 {
		t.Errorf("row2: n=%d err=%v", n, err)
	}
}

func TestRowsOfOneSessionAreApart(t *testing.T) {
	p := openShared(t, 2, 0, nil)
	defer p.Close()
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		r1, err := s.QueryContext(ctx, "select 1 where false")
		if err != nil {
			return err
		}
		r2, err := s.QueryContext(ctx, "select generate_series(1,3)")
		if err != nil {
			return err
		}
		n1, n2 := 0, 0
		for r1.Next() {
			n1++
		}
		for r2.Next() {
			n2++
		}
		if n1 != 0 || n2 != 3 {
			t.Error("rows mixed up")
		}
		return errors.Join(r1.Err(), r2.Err())
	})
	if err != nil {
		t.Error(err)
	}
}

// A statement that is refused because rows are open does not make them look like an idle transaction.
func TestRefusedStatementLeavesRowsOpen(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	defer p.Close()
	tx, _ := p.BeginTx(t.Context(), nil)
	defer tx.Rollback()
	rows, err := tx.QueryContext(t.Context(), "select generate_series(1,10)")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if _, err = tx.ExecContext(t.Context(), "select 1"); err == nil {
		t.Error("the statement was not refused")
	}
	if p.Holders(0)[0].Activity != "rows open" {
		t.Error("rows are open:", p.Holders(0)[0].Activity)
	}
}

// The end of a session uses its connection while somebody may be asking for the
// columns of rows that he left open: database/sql does so before the first row.
// Nothing but time orders the two, so the race detector judges.
func TestColumnsOfRowsWhoseSessionEnds(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	defer p.Close()
	ask := map[string]func(*sql.Rows){
		"Columns":     func(rows *sql.Rows) { _, _ = rows.Columns() },
		"ColumnTypes": func(rows *sql.Rows) { _, _ = rows.ColumnTypes() },
		"Next":        func(rows *sql.Rows) { rows.Next() },
	}
	for name, ask := range ask {
		for mode, opts := range map[string][]SessionOption{"transaction": nil, "autocommit": {WithAutocommit()}} {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			err := p.WithSession(ctx, func(ctx context.Context, s *Session) error {
				rows, err := s.QueryContext(ctx, "select generate_series(1, 1000000)")
				if err != nil {
					return err
				}
				ask(rows)
				time.Sleep(300 * time.Millisecond) // no lock, which would order what the detector is to judge
				ask(rows)
				_ = rows.Close()
				return ctx.Err()
			}, opts...)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, %s: %v", name, mode, err)
			}
		}
	}
	if s := p.Stats(); s.InUse != 0 {
		t.Errorf("%d in use", s.InUse)
	}
}
