// The small program of scripts/size.sh, on database/sql with pgx's driver.
package main

import (
	"context"
	"database/sql"
	"log"
	"os"

	"github.com/dbpool-go/dbpool/scripts/testdata/size/answer"
	_ "github.com/jackc/pgx/v5/stdlib"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close()
	return answer.With(func() (n int, err error) { return n, db.QueryRowContext(ctx, "select 6 * 7").Scan(&n) })
}
