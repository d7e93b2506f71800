package pooltest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

// Template is a database that each test gets a copy of. Copying takes tens of
// milliseconds, so every test can have its own and all can run in parallel. Keep
// one in a variable of the test package; the zero value is an empty database.
// Its methods may be called concurrently.
type Template struct {
	// Prepare fills the database that is copied: migrations, and data that every
	// test needs. It runs once, without DB_STATEMENT_TIMEOUT. nil leaves it empty.
	Prepare func(ctx context.Context, db *sql.DB) error

	// Server is the postgres:// URL of a server to use, as a role that may create
	// databases. Empty means the environment's TEST_DATABASE_URL, or, where that
	// is not set either, a private server that is started from the PostgreSQL
	// programs on this machine and ends with the process.
	Server string

	once    sync.Once
	private *pgtest.Server // nil with a server of somebody else
	server  *url.URL
	name    string // of the template database
	err     error
}

// prepareTimeout bounds the start of a server and Prepare, together.
const prepareTimeout = 5 * time.Minute

// Open returns a pool on a database of the test's own, a copy of the template.
// The pool is closed and the database dropped when the test ends, and the test
// fails if a connection was not given back. The pool has two connections and two
// of overflow; edits change its settings.
func (d *Template) Open(t testing.TB, edits ...func(*config.Config)) *pool.Pool {
	t.Helper()
	cfg := config.Default()
	cfg.Name, cfg.Fleet, cfg.PoolSize, cfg.MaxOverflow = "test", config.FleetOff, 2, 2
	cfg.DatabaseURL = config.DSN(d.Database(t))
	for _, edit := range edits {
		edit(&cfg)
	}
	p, err := pool.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	FailOnLeak(t, p)
	return p
}

// Database returns the URL of a copy of the template for the length of the test,
// for tests that open their own pool. Close that before the test ends.
func (d *Template) Database(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), prepareTimeout)
	defer cancel()
	if d.once.Do(func() { d.err = d.prepare(ctx) }); d.err != nil {
		t.Fatalf("pooltest: %v", d.err)
	}
	name := newName()
	if err := d.admin(ctx, fmt.Sprintf("create database %s template %s", name, d.name)); err != nil {
		t.Fatalf("pooltest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), prepareTimeout)
		defer cancel()
		if err := d.admin(ctx, fmt.Sprintf("drop database %s with (force)", name)); err != nil {
			t.Errorf("pooltest: %v", err)
		}
	})
	return d.url(name)
}

// Close stops the private server, or drops the template from one of somebody
// else: for TestMain, after m.Run. Without it a private server ends with the
// process, and a template database stays.
func (d *Template) Close() error {
	if d.private != nil {
		d.private.Stop()
		return nil
	}
	if d.name == "" {
		return nil // never used
	}
	ctx, cancel := context.WithTimeout(context.Background(), prepareTimeout)
	defer cancel()
	return d.admin(ctx, fmt.Sprintf("drop database if exists %s", d.name))
}

// prepare finds a server and makes the template.
func (d *Template) prepare(ctx context.Context) error {
	where := d.Server
	if where == "" {
		where = os.Getenv("TEST_DATABASE_URL")
	}
	if where == "" {
		srv, err := pgtest.Open(ctx, pgtest.Options{})
		if err != nil {
			return err
		}
		d.private, where = srv, srv.URL
	}
	var err error
	if d.server, err = url.Parse(where); err != nil || d.server.Scheme == "" {
		return errors.New("the server's URL cannot be parsed; write postgres://user:password@host:5432/postgres") // the error quotes it
	}
	d.name = newName()
	if err := d.admin(ctx, "create database "+d.name); err != nil || d.Prepare == nil {
		return err
	}
	return d.fill(ctx)
}

// fill runs Prepare on the template.
func (d *Template) fill(ctx context.Context) error {
	cfg := config.Default()
	cfg.DatabaseURL, cfg.Fleet, cfg.StatementTimeout = config.DSN(d.url(d.name)), config.FleetOff, 0
	p, err := pool.Open(cfg)
	if err != nil {
		return err
	}
	err = d.Prepare(ctx, p.DB())
	return errors.Join(err, p.Close()) // nobody may be connected while it is copied
}

// admin runs one statement on the server, outside of any test's database.
func (d *Template) admin(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, d.server.String())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func (d *Template) url(database string) string {
	u := *d.server
	u.Path = "/" + database
	return u.String()
}

// newName is a name that no other test, package or machine uses at the same time.
func newName() string { return "pooltest_" + strings.ToLower(rand.Text()) }
