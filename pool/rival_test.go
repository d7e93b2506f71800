package pool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// contender is a pool under comparison: ours, or one of today's two, which show
// that a test can fail.
type contender struct {
	name   string // also its application_name
	exec   func(ctx context.Context, query string, args ...any) error
	tx     func(ctx context.Context, query string) error
	opened func() int // connections opened so far
	pool   *Pool      // ours
	db     func() *sql.DB
}

// contenders are all three on one server, with the same limit.
func contenders(t testing.TB, dsn string, limit int) []*contender {
	ours := open(t, settled(as(dsn, "ours"), limit, 0))
	return []*contender{mine(ours), rawPool(t, dsn, limit), pgxPool(t, dsn, limit)}
}

func mine(p *Pool) *contender {
	return &contender{
		name: "ours",
		pool: p,
		db:   p.DB,
		exec: func(ctx context.Context, query string, args ...any) error {
			_, err := p.ExecContext(ctx, query, args...)
			return err
		},
		tx: func(ctx context.Context, query string) error {
			tx, err := p.BeginTx(ctx, nil)
			return inTx(ctx, tx, err, query)
		},
		opened: func() int { return int(p.Stats().OpenedCount) },
	}
}

// rawPool is database/sql over pgx, as most services have it.
func rawPool(t testing.TB, dsn string, limit int) *contender {
	t.Helper()
	cfg, err := pgx.ParseConfig(as(dsn, "database/sql"))
	if err != nil {
		t.Fatal(err)
	}
	k := &counter{Connector: stdlib.GetConnector(*cfg)}
	db := sql.OpenDB(k)
	db.SetMaxOpenConns(limit)
	db.SetMaxIdleConns(limit)
	t.Cleanup(func() { db.Close() })
	return &contender{
		name: "database/sql",
		db:   func() *sql.DB { return db },
		exec: func(ctx context.Context, query string, args ...any) error {
			_, err := db.ExecContext(ctx, query, args...)
			return err
		},
		tx: func(ctx context.Context, query string) error {
			tx, err := db.BeginTx(ctx, nil)
			return inTx(ctx, tx, err, query)
		},
		opened: func() int { return int(k.opened.Load()) },
	}
}

func inTx(ctx context.Context, tx *sql.Tx, err error, query string) error {
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, query); err != nil {
		return err
	}
	return tx.Commit()
}

// pgxPool is pgx's own.
func pgxPool(t testing.TB, dsn string, limit int) *contender {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(as(dsn, "pgxpool"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = int32(limit)
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &contender{
		name: "pgxpool",
		exec: func(ctx context.Context, query string, args ...any) error {
			_, err := pool.Exec(ctx, query, args...)
			return err
		},
		tx: func(ctx context.Context, query string) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, query)
				return err
			})
		},
		opened: func() int { return int(pool.Stat().NewConnsCount()) },
	}
}

// counter counts what a connector opens.
type counter struct {
	driver.Connector
	opened atomic.Int64
}

func (c *counter) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := c.Connector.Connect(ctx)
	if err == nil {
		c.opened.Add(1)
	}
	return dc, err
}
