package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver for database/sql by itself

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// The kinds of replica that are compared.
const (
	kindSQL    = "database/sql"
	kindPgx    = "pgxpool"
	kindStatic = "dbpool, 2 each"
	kindFleet  = "dbpool, fleet"
)

var kinds = []string{kindSQL, kindPgx, kindStatic, kindFleet}

// poolSize and maxOverflow are what every kind may open per replica, but for the
// static one, which is what a careful operator does by hand without a budget.
const (
	poolSize    = 5
	maxOverflow = 5
	staticSize  = 2
	poolTimeout = 5 * time.Second
)

// client is one replica's way to the database.
type client struct {
	exec    func(ctx context.Context, query string) error
	read    func(ctx context.Context, query string, pause func()) error // reads all rows, with a pause after the first
	close   func()
	refused func() int // dials that the server answered with 53300, where the pool hides them from callers
}

func open(ctx context.Context, opts options, dsn string) (client, error) {
	switch opts.replica {
	case kindSQL:
		return openSQL(dsn)
	case kindPgx:
		return openPgx(ctx, dsn)
	case kindStatic:
		return openPool(dsn, func(c *config.Config) { c.PoolSize, c.MaxOverflow, c.Fleet = opts.fixed, 0, config.FleetOff })
	case kindFleet:
		return openPool(dsn, func(c *config.Config) { c.Fleet, c.FleetBudget = config.FleetEnforce, config.Share(opts.budget) })
	}
	return client{}, fmt.Errorf("no kind of replica: %q", opts.replica)
}

func openSQL(dsn string) (client, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return client{}, err
	}
	db.SetMaxIdleConns(poolSize)
	db.SetMaxOpenConns(poolSize + maxOverflow)
	return client{
		exec:    func(ctx context.Context, q string) error { _, err := db.ExecContext(ctx, q); return err },
		read:    func(ctx context.Context, q string, pause func()) error { return readSlowly(ctx, db, q, pause) },
		close:   func() { _ = db.Close() },
		refused: func() int { return 0 },
	}, nil
}

func openPgx(ctx context.Context, dsn string) (client, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return client{}, err
	}
	cfg.MaxConns, cfg.MinConns = poolSize+maxOverflow, 0
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return client{}, err
	}
	return client{
		exec:    func(ctx context.Context, q string) error { _, err := p.Exec(ctx, q); return err },
		read:    func(context.Context, string, func()) error { return errors.ErrUnsupported }, // the readers are compared for no rival
		close:   p.Close,
		refused: func() int { return 0 },
	}, nil
}

func openPool(dsn string, change func(*config.Config)) (client, error) {
	cfg := config.Default()
	cfg.Name, cfg.DatabaseURL = "shop", config.DSN(dsn)
	cfg.PoolSize, cfg.MaxOverflow, cfg.PoolTimeout = poolSize, maxOverflow, poolTimeout
	change(&cfg)
	seen := &refusals{}
	p, err := pool.Open(cfg, pool.WithObserver(seen), pool.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	if err != nil {
		return client{}, err
	}
	return client{
		exec:    func(ctx context.Context, q string) error { _, err := p.ExecContext(ctx, q); return err },
		read:    func(ctx context.Context, q string, pause func()) error { return readSlowly(ctx, p, q, pause) },
		close:   func() { _ = p.Close() },
		refused: func() int { return int(seen.count.Load()) },
	}, nil
}

// querier is a *sql.DB or a *pool.Pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func readSlowly(ctx context.Context, q querier, query string, pause func()) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for n := 0; rows.Next(); n++ {
		if n == 0 {
			pause()
		}
	}
	return rows.Err()
}

// refusals counts the dials that found the server full.
type refusals struct{ count atomic.Int64 }

func (r *refusals) AcquireStart(ctx context.Context, _ pool.Lane, _ string) context.Context {
	return ctx
}

func (r *refusals) AcquireEnd(context.Context, pool.Lane, string, time.Duration, error) {}

func (r *refusals) Released(pool.Lane, string, time.Duration) {}

func (r *refusals) Dialed(_ time.Duration, err error) {
	if serverFull(err) {
		r.count.Add(1)
	}
}

// serverFull reports whether err is the seed of all this: SQLSTATE 53300.
func serverFull(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "53300"
}

// execOnce runs one statement on a connection of its own.
func execOnce(ctx context.Context, dsn, statement string) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statement)
	return err
}
