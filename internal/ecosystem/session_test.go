package ecosystem

import (
	"context"
	"errors"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// What libraries write through a session's DB is part of its transaction: all of
// it is there after a commit, nothing after a rollback.
func TestLibrariesJoinASession(t *testing.T) {
	p := open(t, 1, 0)
	execute(t, p, schema)
	for _, end := range []error{nil, errUndo} {
		execute(t, p, "truncate turns")
		err := p.WithSession(t.Context(), func(ctx context.Context, s *pool.Session) error {
			return errors.Join(writeWithAll(ctx, s), end)
		})
		want := 4
		if end != nil {
			want = 0
		}
		if n := count(t, p, "select count(*) from turns"); n != want || undone(err) != nil {
			t.Errorf("%d rows, want %d: %v", n, want, err)
		}
	}
}

func writeWithAll(ctx context.Context, s *pool.Session) error {
	gormDB, err := gorm.Open(postgres.New(postgres.Config{Conn: s.DB()}))
	sqlxDB := sqlx.NewDb(s.DB(), "pgx")
	bunDB := bun.NewDB(s.DB(), pgdialect.New())
	entDriver := entsql.OpenDB(dialect.Postgres, s.DB()) // ent.NewClient(ent.Driver(entDriver))
	if err != nil {
		return err
	}
	const insert = "insert into turns (caller) values (1)"
	_, bySQLX := sqlxDB.ExecContext(ctx, insert)
	_, byBun := bunDB.ExecContext(ctx, insert)
	return errors.Join(gormDB.WithContext(ctx).Exec(insert).Error, bySQLX, byBun, entDriver.Exec(ctx, insert, []any{}, nil))
}
