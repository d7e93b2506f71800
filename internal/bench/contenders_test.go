package bench

import (
	"context"
	"database/sql"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// contender is one way to a database.
type contender struct {
	name  string
	query func(ctx context.Context, sql string) error // one query, one row
}

// All contenders have the same driver, and connections of the same lifetime and
// with the same statement_timeout.
const (
	lifetime         = time.Hour
	statementTimeout = 30 * time.Second
)

// dialFunc opens the network connections of a contender.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// contenders are database/sql alone, pgxpool, and this library by its two
// faces, each with conns connections at most.
func contenders(b testing.TB, dsn string, conns int) []contender {
	return contendersOver(b, dsn, conns, new(net.Dialer).DialContext)
}

func contendersOver(b testing.TB, dsn string, conns int, dial dialFunc) []contender {
	b.Helper()
	raw, rival := openSQL(b, dsn, conns, dial), openPgxpool(b, dsn, conns, dial)
	ours, lent := openOurs(b, dsn, conns, dial), openOurs(b, dsn, conns, dial).DB()
	return []contender{
		{"database/sql", func(ctx context.Context, sql string) error { return scan(raw.QueryRowContext(ctx, sql)) }},
		{"pgxpool", func(ctx context.Context, sql string) error { return scan(rival.QueryRow(ctx, sql)) }},
		{"dbpool", func(ctx context.Context, sql string) error { return scan(ours.QueryRowContext(ctx, sql)) }},
		{"dbpool DB()", func(ctx context.Context, sql string) error { return scan(lent.QueryRowContext(ctx, sql)) }},
	}
}

func openSQL(b testing.TB, dsn string, conns int, dial dialFunc) *sql.DB {
	b.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		b.Fatal(err)
	}
	adjust(cfg, dial)
	db := stdlib.OpenDB(*cfg)
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxLifetime(lifetime)
	return db
}

func openPgxpool(b testing.TB, dsn string, conns int, dial dialFunc) *pgxpool.Pool {
	b.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		b.Fatal(err)
	}
	adjust(cfg.ConnConfig, dial)
	cfg.MaxConns, cfg.MaxConnLifetime = int32(conns), lifetime
	p, err := pgxpool.NewWithConfig(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	return p
}

func adjust(cfg *pgx.ConnConfig, dial dialFunc) {
	cfg.RuntimeParams["statement_timeout"] = strconv.FormatInt(statementTimeout.Milliseconds(), 10)
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, address)
	}
}

func openOurs(b testing.TB, dsn string, conns int, dial dialFunc, edits ...func(*config.Config)) *pool.Pool {
	b.Helper()
	cfg := config.Default()
	cfg.DatabaseURL, cfg.PoolSize, cfg.MaxOverflow = config.DSN(dsn), conns, 0
	cfg.PoolTimeout = 24 * time.Hour // the others wait as long as the context lets them
	cfg.PoolRecycle, cfg.StatementTimeout = lifetime, statementTimeout
	cfg.Fleet = config.FleetOff
	for _, edit := range edits {
		edit(&cfg)
	}
	p, err := pool.Open(cfg, pool.WithLogger(slog.New(slog.DiscardHandler)), pool.WithDialFunc(dial))
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
