package pooltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/dbpool-go/dbpool/config"
)

var orders = &Template{Prepare: func(ctx context.Context, db *sql.DB) error {
	var timeout string
	if err := db.QueryRowContext(ctx, "show statement_timeout").Scan(&timeout); err != nil || timeout != "0" {
		return fmt.Errorf("a migration has %s: %w", timeout, err)
	}
	_, err := db.ExecContext(ctx, "create table orders(id int); insert into orders values (1)")
	return err
}}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(orders.Close(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Each test has a database of its own, in which the template's data is.
func TestTemplate(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p := orders.Open(t, func(c *config.Config) { c.PoolSize = 1 })
			var n int
			if _, err := p.ExecContext(t.Context(), "insert into orders values ($1)", i); err != nil {
				t.Error(err)
			}
			if err := p.QueryRowContext(t.Context(), "select count(*) from orders").Scan(&n); err != nil || n != 2 || p.Config().PoolSize != 1 {
				t.Error(n, err)
			}
		})
	}
}

// A server of somebody else is left as it was found.
func TestTemplateOnAServer(t *testing.T) {
	admin := orders.Open(t)
	count := func() (n int) {
		if err := admin.QueryRowContext(t.Context(), "select count(*) from pg_database where datname like 'pooltest_%'").Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	before := count()
	theirs := &Template{Server: orders.server.String()}
	t.Run("a test", func(t *testing.T) {
		if err := theirs.Open(t).PingContext(t.Context()); err != nil {
			t.Error(err)
		}
		if n := count(); n != before+2 {
			t.Errorf("%d databases, %d before", n, before)
		}
	})
	if err := theirs.Close(); err != nil || count() != before {
		t.Error(err, count(), before)
	}
	if err := new(Template).Close(); err != nil {
		t.Error(err)
	}
}
