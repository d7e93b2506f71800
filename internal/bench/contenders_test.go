package bench

import (
	"context"
	"database/sql"
	"log/slog"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx" of raw database/sql

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// contender is one way to a database.
type contender struct {
	name  string
	query func(ctx context.Context, sql string, args ...any) error // one query, one row
}

// contenders are raw database/sql, this library by its two faces, and pgxpool,
// each with at most conns connections.
func contenders(b *testing.B, dsn string, conns int) []contender {
	b.Helper()
	raw, err := sql.Open("pgx", dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = raw.Close() })
	raw.SetMaxOpenConns(conns)
	raw.SetMaxIdleConns(conns)
	raw.SetConnMaxLifetime(time.Hour)
	ours := ourPool(b, dsn, conns)
	rival, err := pgxpool.New(b.Context(), with(dsn, "pool_max_conns", strconv.Itoa(conns)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(rival.Close)
	db := ours.DB()
	return []contender{
		{"database/sql", func(ctx context.Context, sql string, args ...any) error {
			return scan(raw.QueryRowContext(ctx, sql, args...))
		}},
		{"pgxpool", func(ctx context.Context, sql string, args ...any) error {
			return scan(rival.QueryRow(ctx, sql, args...))
		}},
		{"dbpool", func(ctx context.Context, sql string, args ...any) error {
			return scan(ours.QueryRowContext(ctx, sql, args...))
		}},
		{"dbpool.DB", func(ctx context.Context, sql string, args ...any) error {
			return scan(db.QueryRowContext(ctx, sql, args...))
		}},
	}
}

func ourPool(b *testing.B, dsn string, conns int) *pool.Pool {
	b.Helper()
	cfg := config.Default()
	cfg.DatabaseURL, cfg.PoolSize, cfg.MaxOverflow = config.DSN(dsn), conns, 0
	cfg.PoolTimeout, cfg.PoolRecycle, cfg.Fleet = 2*time.Minute, time.Hour, config.FleetOff
	p, err := pool.Open(cfg, pool.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
	return p
}

func scan(row interface{ Scan(...any) error }) error {
	var s any
	return row.Scan(&s)
}

// with adds a setting to a connection string.
func with(dsn, name, value string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}
