package ecosystem

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/Masterminds/squirrel"
	"github.com/dbpool-go/dbpool/internal/ecosystem/sqlcdb"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/georgysavva/scany/v2/sqlscan"
	jet "github.com/go-jet/jet/v2/postgres"
	"github.com/jmoiron/sqlx"
	"github.com/stephenafamo/bob"
	bobpsql "github.com/stephenafamo/bob/dialect/psql"
	"github.com/stephenafamo/scan"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// client is what the tests ask of a library, each in its own way.
type client struct {
	scalar   func(ctx context.Context, query string) (int, error)
	insert   func(ctx context.Context, caller int) error // a row of turns
	rollback func(ctx context.Context) error             // the same, in a transaction that is rolled back
}

// libraries are those that send statements for their callers.
var libraries = map[string]func(*testing.T, *pool.Pool) client{
	"GORM":           throughDB(openGORM),
	"sqlx":           throughDB(openSQLX),
	"bun":            throughDB(openBun),
	"ent":            throughDB(openEnt),
	"sqlc":           throughDB(openSQLC),
	"sqlc with pgx":  openSQLCPgx,
	"squirrel":       throughDB(openSquirrel),
	"scany":          throughDB(openScany),
	"scany with pgx": openPgxscan,
	"go-jet":         throughDB(openJet),
	"bob":            throughDB(openBob),
}

func throughDB(open func(*testing.T, *sql.DB) client) func(*testing.T, *pool.Pool) client {
	return func(t *testing.T, p *pool.Pool) client { return open(t, p.DB()) }
}

var errUndo = errors.New("undo")

// undone turns the error that made a library roll back into success.
func undone(err error) error {
	if errors.Is(err, errUndo) {
		return nil
	}
	return err
}

func openGORM(t *testing.T, db *sql.DB) client {
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	type turn struct {
		ID     int64
		Caller int
	}
	return client{
		scalar: func(ctx context.Context, query string) (n int, err error) {
			return n, g.WithContext(ctx).Raw(query).Scan(&n).Error
		},
		insert: func(ctx context.Context, caller int) error {
			return g.WithContext(ctx).Create(&turn{Caller: caller}).Error
		},
		rollback: func(ctx context.Context) error {
			return undone(g.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
				return errors.Join(tx.Create(&turn{Caller: -1}).Error, errUndo)
			}))
		},
	}
}

func openSQLX(_ *testing.T, db *sql.DB) client {
	x := sqlx.NewDb(db, "pgx")
	return client{
		scalar: func(ctx context.Context, query string) (n int, err error) {
			return n, x.GetContext(ctx, &n, query)
		},
		insert: func(ctx context.Context, caller int) error {
			_, err := x.NamedExecContext(ctx, "insert into turns (caller) values (:caller)", map[string]any{"caller": caller})
			return err
		},
		rollback: func(ctx context.Context) error {
			tx, err := x.BeginTxx(ctx, nil)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, "insert into turns (caller) values (-1)")
			return errors.Join(err, tx.Rollback())
		},
	}
}

func openBun(_ *testing.T, db *sql.DB) client {
	b := bun.NewDB(db, pgdialect.New())
	type turn struct {
		ID     int64 `bun:",pk,autoincrement"`
		Caller int
	}
	return client{
		scalar: func(ctx context.Context, query string) (n int, err error) {
			return n, b.NewRaw(query).Scan(ctx, &n)
		},
		insert: func(ctx context.Context, caller int) error {
			_, err := b.NewInsert().Model(&turn{Caller: caller}).Exec(ctx)
			return err
		},
		rollback: func(ctx context.Context) error {
			return undone(b.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewInsert().Model(&turn{Caller: -1}).Exec(ctx)
				return errors.Join(err, errUndo)
			}))
		},
	}
}

// openEnt uses the driver that ent's generated clients are made with.
func openEnt(_ *testing.T, db *sql.DB) client {
	driver := entsql.OpenDB(dialect.Postgres, db)
	insert := func(caller int) (string, []any) {
		return entsql.Dialect(dialect.Postgres).Insert("turns").Columns("caller").Values(caller).Query()
	}
	return client{
		scalar: func(ctx context.Context, query string) (int, error) {
			rows := &entsql.Rows{}
			if err := driver.Query(ctx, query, []any{}, rows); err != nil {
				return 0, err
			}
			n, err := entsql.ScanInt(rows)
			return n, errors.Join(err, rows.Close())
		},
		insert: func(ctx context.Context, caller int) error {
			query, args := insert(caller)
			return driver.Exec(ctx, query, args, nil)
		},
		rollback: func(ctx context.Context) error {
			tx, err := driver.Tx(ctx)
			if err != nil {
				return err
			}
			query, args := insert(-1)
			return errors.Join(tx.Exec(ctx, query, args, nil), tx.Rollback())
		},
	}
}

func openSQLC(_ *testing.T, db *sql.DB) client {
	q := sqlcdb.New(db)
	return client{
		scalar: func(ctx context.Context, query string) (n int, err error) {
			if query == sessions {
				m, err := q.CountSessions(ctx)
				return int(m), err
			}
			return n, db.QueryRowContext(ctx, query).Scan(&n)
		},
		insert: func(ctx context.Context, caller int) error { return q.AddTurn(ctx, int32(caller)) },
		rollback: func(ctx context.Context) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			return errors.Join(q.WithTx(tx).AddTurn(ctx, -1), tx.Rollback())
		},
	}
}

func openSquirrel(_ *testing.T, db *sql.DB) client {
	insert := squirrel.StatementBuilder.PlaceholderFormat(squirrel.Dollar).Insert("turns").Columns("caller")
	return client{
		scalar: func(ctx context.Context, query string) (n int, err error) {
			return n, squirrel.Select("*").From("("+query+") as q").RunWith(db).ScanContext(ctx, &n)
		},
		insert: func(ctx context.Context, caller int) error {
			_, err := insert.Values(caller).RunWith(db).ExecContext(ctx)
			return err
		},
		rollback: func(ctx context.Context) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			_, err = insert.Values(-1).RunWith(tx).ExecContext(ctx)
			return errors.Join(err, tx.Rollback())
		},
	}
}

// openScany: the library reads rows; the rest is database/sql's.
func openScany(_ *testing.T, db *sql.DB) client {
	const insert = "insert into turns (caller) values ($1) returning id"
	return client{
		scalar: func(ctx context.Context, query string) (n int, err error) {
			return n, sqlscan.Get(ctx, db, &n, query)
		},
		insert: func(ctx context.Context, caller int) error {
			var id int64
			return sqlscan.Get(ctx, db, &id, insert, caller)
		},
		rollback: func(ctx context.Context) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			var id int64
			return errors.Join(sqlscan.Get(ctx, tx, &id, insert, -1), tx.Rollback())
		},
	}
}

func openJet(_ *testing.T, db *sql.DB) client {
	insert := func(caller int) jet.Statement {
		return jet.RawStatement("insert into turns (caller) values (#caller)", jet.RawArgs{"#caller": caller})
	}
	return client{
		scalar: func(ctx context.Context, query string) (int, error) {
			var rows []int64
			if err := jet.RawStatement(query).QueryContext(ctx, db, &rows); err != nil {
				return 0, err
			}
			return int(rows[0]), nil
		},
		insert: func(ctx context.Context, caller int) error {
			_, err := insert(caller).ExecContext(ctx, db)
			return err
		},
		rollback: func(ctx context.Context) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			_, err = insert(-1).ExecContext(ctx, tx)
			return errors.Join(err, tx.Rollback())
		},
	}
}

func openBob(_ *testing.T, db *sql.DB) client {
	b := bob.NewDB(db)
	insert := func(ctx context.Context, exec bob.Executor, caller int) error {
		_, err := bob.Exec(ctx, exec, bobpsql.RawQuery("insert into turns (caller) values (?)", caller))
		return err
	}
	return client{
		scalar: func(ctx context.Context, query string) (int, error) {
			return bob.One(ctx, b, bobpsql.RawQuery(query), scan.SingleColumnMapper[int])
		},
		insert: func(ctx context.Context, caller int) error { return insert(ctx, b, caller) },
		rollback: func(ctx context.Context) error {
			return undone(b.RunInTx(ctx, nil, func(ctx context.Context, tx bob.Executor) error {
				return errors.Join(insert(ctx, tx, -1), errUndo)
			}))
		},
	}
}
