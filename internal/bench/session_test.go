package bench

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

const (
	insertOne = "insert into entry (owner, amount) values ($1, $2)"
	readOne   = "select amount from entry where id = $1"
)

// transactor is a way to one statement in a transaction.
type transactor struct {
	name   string
	insert func(ctx context.Context) error
	read   func(ctx context.Context) error // read-only
}

// BenchmarkSession has one caller run transactions of one statement, on loopback
// and through a network with a round trip. The contenders take turns, one
// transaction each, in random order.
func BenchmarkSession(b *testing.B) {
	srv := pgtest.Start(b, pgtest.Options{})
	srv.Exec(b, "create table entry (id int generated always as identity primary key, owner text, amount int)")
	for _, trip := range []time.Duration{0, 2 * time.Millisecond} {
		for _, what := range []string{"insert", "read"} {
			b.Run(fmt.Sprintf("trip=%s/%s", trip, what), func(b *testing.B) {
				dsn := srv.URL
				if trip > 0 {
					proxy := srv.Proxy(b)
					proxy.Delay(trip / 2)
					dsn = proxy.URL(dsn)
				}
				transactions(b, fmt.Sprintf("a session of one %s, trip %s", what, trip), what == "read", transactors(b, dsn))
			})
		}
	}
}

func transactors(b *testing.B, dsn string) []transactor {
	dial := new(net.Dialer).DialContext
	raw, rival, ours := openSQL(b, dsn, 2, dial), openPgxpool(b, dsn, 2, dial), openOurs(b, dsn, 2, dial)
	session := func(query string, args []any, opts ...pool.SessionOption) func(context.Context) error {
		return func(ctx context.Context) error {
			return ours.WithSession(ctx, func(ctx context.Context, s *pool.Session) error {
				_, err := s.ExecContext(ctx, query, args...)
				return err
			}, opts...)
		}
	}
	return []transactor{
		{"database/sql", inSQLTx(raw, insertOne, []any{"ann", 1}, nil), inSQLTx(raw, readOne, []any{1}, &sql.TxOptions{ReadOnly: true})},
		{"pgxpool", func(ctx context.Context) error {
			return pgx.BeginFunc(ctx, rival, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, insertOne, "ann", 1); return err })
		}, func(ctx context.Context) error {
			return pgx.BeginTxFunc(ctx, rival, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, readOne, 1); return err })
		}},
		{"dbpool", session(insertOne, []any{"ann", 1}), session(readOne, []any{1}, pool.WithReadOnly())},
	}
}

func inSQLTx(db *sql.DB, query string, args []any, opts *sql.TxOptions) func(context.Context) error {
	return func(ctx context.Context) error {
		tx, err := db.BeginTx(ctx, opts)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			_ = tx.Rollback()
			return err
		}
		return tx.Commit()
	}
}

func transactions(b *testing.B, title string, reads bool, list []transactor) {
	const rounds = 500
	took := make([][]time.Duration, len(list))
	for round := range rounds + 20 {
		for _, i := range rand.Perm(len(list)) {
			run := list[i].insert
			if reads {
				run = list[i].read
			}
			began := time.Now()
			if err := run(b.Context()); err != nil {
				b.Fatalf("%s: %v", list[i].name, err)
			}
			if round >= 20 { // to warm up
				took[i] = append(took[i], time.Since(began))
			}
		}
	}
	t := newTable(b, title, "p50", "of database/sql's", "p99")
	base := sorted(took[0]).quantile(0.5)
	for i, c := range list {
		l := sorted(took[i])
		ratio := float64(l.quantile(0.5)) / float64(base)
		t.row(c.name, round(l.quantile(0.5)), fmt.Sprintf("%.2f", ratio), round(l.quantile(0.99)))
		t.metric(contender{name: c.name}, ratio, "of-database/sql")
	}
	t.print()
}
