package pool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

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

// What kept the database from being ready is in the error, whatever ended the wait.
func TestNotReadySaysWhy(t *testing.T) {
	cfg := config.Default()
	cfg.DatabaseURL = "postgres://bob:s3cret@127.0.0.1:1/shop"
	p, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	err = p.Ready(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}
