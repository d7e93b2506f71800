// The small program of scripts/size.sh, on dbpool.
package main

import (
	"context"
	"log"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/dbpool-go/dbpool/scripts/testdata/size/answer"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	cfg, err := config.FromEnv()
	if err != nil {
		return err
	}
	p, err := pool.Open(cfg)
	if err != nil {
		return err
	}
	defer p.Close()
	return answer.With(func() (n int, err error) { return n, p.QueryRowContext(ctx, "select 6 * 7").Scan(&n) })
}
