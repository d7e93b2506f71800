package ecosystem

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	atlasmigrate "ariga.io/atlas/sql/migrate"
	atlas "ariga.io/atlas/sql/postgres"
	atlasschema "ariga.io/atlas/sql/schema"
	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed testdata
var files embed.FS

// migrators bring a database up to date, each under its own lock.
var migrators = map[string]func(context.Context, *pool.Pool) error{
	"Atlas":          atlasUp,
	"goose":          gooseUp,
	"golang-migrate": migrateUp,
}

func gooseUp(ctx context.Context, p *pool.Pool) error {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	migrations, err := fs.Sub(files, "testdata/goose")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, p.DB(), migrations, goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

func migrateUp(_ context.Context, p *pool.Pool) error {
	source, err := iofs.New(files, "testdata/migrate")
	if err != nil {
		return err
	}
	driver, err := migratepgx.WithInstance(p.DB(), &migratepgx.Config{})
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", source, "pgx5", driver)
	if err != nil {
		return err
	}
	err = m.Up()
	_, closed := m.Close() // closes p.DB() too; the pool stays open
	return errors.Join(err, closed)
}

// atlasUp gives Atlas one connection for its lock and its migrations; with p.DB() it
// would take one for each.
func atlasUp(ctx context.Context, p *pool.Pool) (err error) {
	c, err := p.DB().Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return atlasOn(ctx, c)
}

func atlasOn(ctx context.Context, db atlasschema.ExecQuerier) (err error) {
	drv, err := atlas.Open(db)
	if err != nil {
		return err
	}
	unlock, err := drv.(atlasschema.Locker).Lock(ctx, "turns", time.Minute)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	dir := &atlasmigrate.MemDir{}
	for _, name := range []string{"1_turns.sql", "2_index.sql"} {
		content, err := files.ReadFile("testdata/atlas/" + name)
		if err != nil {
			return err
		}
		if err := dir.WriteFile(name, content); err != nil {
			return err
		}
	}
	sum, err := dir.Checksum()
	if err != nil {
		return err
	}
	if err := atlasmigrate.WriteSumFile(dir, sum); err != nil {
		return err
	}
	// What was executed is not remembered here, so that all is executed each time.
	ex, err := atlasmigrate.NewExecutor(drv, dir, atlasmigrate.NopRevisionReadWriter{}, atlasmigrate.WithAllowDirty(true))
	if err != nil {
		return err
	}
	return ex.ExecuteN(ctx, 0)
}

// With a *sql.DB Atlas holds one connection for its lock and takes another one for its
// migrations, which a pool of one does not have.
func TestAtlasWithDBNeedsTwoConnections(t *testing.T) {
	one := open(t, 1, 0, func(cfg *config.Config) { cfg.PoolTimeout = time.Second })
	if err := one.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := atlasOn(t.Context(), one.DB()); !errors.Is(err, pool.ErrPoolTimeout) {
		t.Errorf("in a pool of one: %v", err)
	}
	if err := atlasOn(t.Context(), open(t, 2, 0).DB()); err != nil {
		t.Errorf("in a pool of two: %v", err)
	}
}

// Each needs one connection, which holds its lock and runs its migrations, and
// gives it back at the end. The pool works afterwards, whatever was closed.
func TestMigrationNeedsOneConnection(t *testing.T) {
	for name, up := range migrators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, 1, 0)
			if err := up(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if n := count(t, p, "select count(*) from pg_indexes where indexname = 'turns_caller'"); n != 1 {
				t.Errorf("%d indexes", n)
			}
			if n := count(t, p, "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database()) and pid = pg_backend_pid()"); n != 0 {
				t.Errorf("%d advisory locks are left", n)
			}
		})
	}
}

// Replicas that migrate at the same time take turns.
func TestReplicasMigrateInTurn(t *testing.T) {
	for name, up := range migrators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, 3, 0)
			failed := make(chan error)
			for range 3 {
				go func() { failed <- up(t.Context(), p) }()
			}
			for range 3 {
				if err := <-failed; err != nil && !errors.Is(err, migrate.ErrNoChange) {
					t.Error(err)
				}
			}
		})
	}
}

// Without a free connection a migrator waits for as long as the pool lets it.
func TestMigrationWaitsInTheQueue(t *testing.T) {
	for name, up := range migrators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, 1, 0, func(cfg *config.Config) { cfg.PoolTimeout = 200 * time.Millisecond })
			release := hold(t, p)
			defer release()
			err := up(t.Context(), p)
			if err == nil || !errors.Is(err, pool.ErrPoolTimeout) && !strings.Contains(err.Error(), "no connection within") {
				t.Error(err)
			}
		})
	}
}

// A migration that lasts longer than DB_STATEMENT_TIMEOUT has a pool of its own.
func TestLongMigrationHasItsOwnPool(t *testing.T) {
	short := open(t, 1, 0, func(cfg *config.Config) { cfg.StatementTimeout = 50 * time.Millisecond })
	const long = "select pg_sleep(0.2)"
	if _, err := short.ExecContext(t.Context(), long); err == nil {
		t.Error("the service's own pool let it run")
	}
	if _, err := short.ExecContext(t.Context(), "alter role postgres in database "+current(t, short)+" set statement_timeout = '50ms'"); err != nil {
		t.Fatal(err)
	}
	err := withMigrationPool(t.Context(), short.Config(), func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, long)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// current is the database that p is connected to.
func current(t *testing.T, p *pool.Pool) (name string) {
	t.Helper()
	if err := p.QueryRowContext(t.Context(), "select current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

func withMigrationPool(ctx context.Context, cfg config.Config, up func(context.Context, *sql.DB) error) error {
	migrations, err := pool.Open(cfg.ForMigrations())
	if err != nil {
		return err
	}
	defer migrations.Close()
	return up(ctx, migrations.DB())
}
