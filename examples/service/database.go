package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver for the few statements that prepare our own server
)

// database is where the orders are.
type database struct {
	env   map[string]string // the environment, with DATABASE_URL for our own server
	what  string            // for people
	close func()
}

// openDatabase uses the one that the environment names, or starts one.
func openDatabase(ctx context.Context, env map[string]string, log *slog.Logger) (database, error) {
	for _, name := range []string{"DATABASE_URL", "PGHOST", "PGSERVICE"} {
		if env[name] != "" {
			return database{env: named(env), what: "the database of " + name, close: func() {}}, nil
		}
	}
	log.Info("starting a PostgreSQL of our own, because DATABASE_URL is not set")
	srv, err := startServer(ctx, log)
	if err != nil {
		return database{}, err
	}
	dsn, err := prepare(ctx, srv)
	if err != nil {
		return database{}, errors.Join(err, srv.Close())
	}
	own := named(env)
	own["DATABASE_URL"] = dsn
	return database{
		env:   own,
		what:  fmt.Sprintf("a PostgreSQL %d of its own (%s, gone when this ends)", srv.Version, redact(dsn)),
		close: srv.Stop,
	}, nil
}

// named is the environment with a name for the pool, as every service should
// have one, unless it names it itself.
func named(env map[string]string) map[string]string {
	own := maps.Clone(env)
	if own["DB_POOL_NAME"] == "" {
		own["DB_POOL_NAME"] = "orders"
	}
	return own
}

// startServer takes the machine's binaries, or fetches some where there are none.
func startServer(ctx context.Context, log *slog.Logger) (*pgtest.Server, error) {
	// Enough for two of 5+5, as many as a rolling deploy of one has for a while,
	// and not much more, so that the server's limits are in sight.
	opts := pgtest.Options{Settings: map[string]string{"max_connections": "25"}}
	srv, err := pgtest.Open(ctx, opts)
	var missing *pgtest.MissingError
	if !errors.As(err, &missing) {
		return srv, err
	}
	log.Info("no PostgreSQL on this machine; fetching one, which takes a moment the first time")
	cache, fetchErr := pgtest.CacheDir()
	if fetchErr == nil {
		opts.Bin, fetchErr = fetchBinaries(ctx, defaultRepository, cache)
	}
	if fetchErr != nil {
		return nil, fmt.Errorf("%w; fetching one: %w; or set DATABASE_URL to a database of yours", err, fetchErr)
	}
	return pgtest.Open(ctx, opts)
}

// prepare makes an ordinary role and its database: as the superuser we would
// not feel the limits that a real service meets.
func prepare(ctx context.Context, srv *pgtest.Server) (string, error) {
	db, err := sql.Open("pgx", srv.URL)
	if err != nil {
		return "", err
	}
	defer db.Close()
	for _, statement := range []string{`create role orders login`, `create database orders owner orders`} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return "", fmt.Errorf("%s: %w", statement, err)
		}
	}
	return srv.DSN("orders", "orders", ""), nil
}

// redact leaves out the query and any password.
func redact(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "a server"
	}
	u.RawQuery = ""
	return u.Redacted()
}
