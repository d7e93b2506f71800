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
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx" of database/sql alone

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// contender is one way to a database.
type contender struct {
	name  string
	query func(ctx context.Context, sql string) error // one query, one row
}

// lifetime is of every contender's connections; statementTimeout of its statements.
const (
	lifetime         = time.Hour
	statementTimeout = 30 * time.Second
)

// contenders are database/sql alone, pgxpool, and this library by its two
// faces: all with the same driver and settings, and conns connections at most.
func contenders(b *testing.B, dsn string, conns int) []contender {
	b.Helper()
	theirs := with(dsn, "statement_timeout", strconv.FormatInt(statementTimeout.Milliseconds(), 10))
	raw, rival, ours, lent := openSQL(b, theirs, conns), openPgxpool(b, theirs, conns), openOurs(b, dsn, conns), openOurs(b, dsn, conns).DB()
	return []contender{
		{"database/sql", func(ctx context.Context, sql string) error { return scan(raw.QueryRowContext(ctx, sql)) }},
		{"pgxpool", func(ctx context.Context, sql string) error { return scan(rival.QueryRow(ctx, sql)) }},
		{"dbpool", func(ctx context.Context, sql string) error { return scan(ours.QueryRowContext(ctx, sql)) }},
		{"dbpool DB()", func(ctx context.Context, sql string) error { return scan(lent.QueryRowContext(ctx, sql)) }},
	}
}

func openSQL(b *testing.B, dsn string, conns int) *sql.DB {
	b.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxLifetime(lifetime)
	return db
}

func openPgxpool(b *testing.B, dsn string, conns int) *pgxpool.Pool {
	b.Helper()
	p, err := pgxpool.New(b.Context(), with(dsn, "pool_max_conns", strconv.Itoa(conns)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	return p
}

func openOurs(b *testing.B, dsn string, conns int) *pool.Pool {
	b.Helper()
	cfg := config.Default()
	cfg.DatabaseURL, cfg.PoolSize, cfg.MaxOverflow = config.DSN(dsn), conns, 0
	cfg.PoolTimeout = 24 * time.Hour // rivals wait as long as the context lets them
	cfg.PoolRecycle, cfg.StatementTimeout = lifetime, statementTimeout
	cfg.Fleet = config.FleetOff
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
