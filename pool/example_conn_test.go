package pool_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

// COPY, batches and LISTEN need pgx itself: ask the value that Raw gives for it.
func ExamplePool_Conn() {
	ctx := context.Background()
	server, err := pgtest.Open(ctx, pgtest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	cfg := config.Default()
	cfg.DatabaseURL, cfg.Fleet = config.DSN(server.URL), config.FleetOff
	p, err := pool.Open(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	c, err := p.Conn(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close() // gives the connection back
	if _, err := c.ExecContext(ctx, "create temp table orders (id int, total int)"); err != nil {
		log.Fatal(err)
	}
	err = c.Raw(func(dc any) error {
		native := dc.(interface{ Conn() *pgx.Conn }).Conn()
		rows := pgx.CopyFromRows([][]any{{1, 250}, {2, 120}})
		n, err := native.CopyFrom(ctx, pgx.Identifier{"orders"}, []string{"id", "total"}, rows)
		fmt.Println(n, "rows copied")
		return err
	})
	fmt.Println(err)
	// Output:
	// 2 rows copied
	// <nil>
}
