package pool

import (
	"context"
	"database/sql"
	"strings"
	"testing"
)

// TestStatementsOfTwoDBs uses statements prepared by each face in transactions of
// each: between the faces database/sql refuses, with an error that says why, and
// the transaction goes on.
func TestStatementsOfTwoDBs(t *testing.T) {
	p := openShared(t, 2, 0, nil)
	defer p.Close()
	type face interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
		BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
	}
	for prepares, from := range map[string]face{"Pool": p, "DB": p.DB()} {
		for begins, to := range map[string]face{"Pool": p, "DB": p.DB()} {
			stmt, err := from.PrepareContext(t.Context(), "select $1::int + 1")
			if err != nil {
				t.Fatal(err)
			}
			tx, err := to.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var n int
			err = tx.StmtContext(t.Context(), stmt).QueryRowContext(t.Context(), 1).Scan(&n)
			switch {
			case prepares == begins && (err != nil || n != 2):
				t.Errorf("%s in %s: %d, %v", prepares, begins, n, err)
			case prepares != begins && (err == nil || !strings.Contains(err.Error(), "statement from different database")):
				t.Errorf("%s in %s: %v", prepares, begins, err)
			}
			if err := tx.QueryRowContext(t.Context(), "select 3").Scan(&n); err != nil || n != 3 || tx.Commit() != nil || stmt.Close() != nil {
				t.Errorf("%s in %s: the transaction does not go on: %v", prepares, begins, err)
			}
		}
	}
}
