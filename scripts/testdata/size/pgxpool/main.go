// The small program of scripts/size.sh, on pgxpool.
package main

import (
	"context"
	"log"
	"os"

	"github.com/dbpool-go/dbpool/scripts/testdata/size/answer"
	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	p, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer p.Close()
	return answer.With(func() (n int, err error) { return n, p.QueryRow(ctx, "select 6 * 7").Scan(&n) })
}
