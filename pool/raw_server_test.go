package pool

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// Users of sql.Conn.Raw reach pgx through its method Conn, as with pgx's own driver.
func TestRawReachesPgx(t *testing.T) {
	cfg := config.Default()
	cfg.DatabaseURL = config.DSN(pgtest.Shared(t).URL)
	p, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	held, err := p.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	var n int
	err = held.Raw(func(dc any) error {
		return dc.(interface{ Conn() *pgx.Conn }).Conn().QueryRow(context.Background(), "select 7").Scan(&n)
	})
	if err != nil || n != 7 {
		t.Error(n, err)
	}
}
