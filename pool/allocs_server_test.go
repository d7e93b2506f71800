package pool

import (
	"context"
	"database/sql"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// A query costs two allocations more than with database/sql alone, at most.
func TestQueriesAllocateHardlyMore(t *testing.T) {
	srv := pgtest.Shared(t)
	raw, err := sql.Open("pgx", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	p := open(t, settled(srv.URL, 1, 0))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls := map[string]func(db dbtx) error{
		"ExecContext": func(db dbtx) error { _, err := db.ExecContext(ctx, "select 1"); return err },
		"QueryContext": func(db dbtx) error {
			rows, err := db.QueryContext(ctx, "select 1")
			if err != nil {
				return err
			}
			for rows.Next() {
			}
			return rows.Close()
		},
		"QueryRowContext": func(db dbtx) error { var n int; return db.QueryRowContext(ctx, "select $1::int", 1).Scan(&n) },
	}
	for name, call := range calls {
		of := func(db dbtx) float64 {
			return mallocs(2000, func() {
				if err := call(db); err != nil {
					t.Fatal(err)
				}
			})
		}
		if without, with := of(raw), of(p); with > without+2.5 { // a half for what else goes on
			t.Errorf("%s: %.2f allocations, database/sql alone %.2f", name, with, without)
		} else {
			t.Logf("%s: %.2f allocations, database/sql alone %.2f", name, with, without)
		}
	}
}

// mallocs is how many allocations f makes on average. testing.AllocsPerRun
// rounds down, which makes of a difference of two one of three.
func mallocs(runs int, f func()) float64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties every sync.Pool
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(runs)
}
