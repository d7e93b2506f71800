// Command quickstart is the README's first program. It needs a database:
//
//	DATABASE_URL=postgres://… go run ./examples/quickstart
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/pool"
)

func main() {
	log.Fatal(run(context.Background(), cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8080")))
}

func run(ctx context.Context, addr string) error {
	cfg, err := config.FromEnv() // DATABASE_URL, DB_POOL_SIZE, …
	if err != nil {
		return err // every problem at once
	}
	p, err := pool.Open(cfg) // no network yet
	if err != nil {
		return err
	}
	defer p.Close()
	m := monitor.New(p)
	go m.Run(ctx)
	http.Handle("/tables", p.Middleware(http.HandlerFunc(tables)))
	http.Handle("/health", m.Health())
	http.Handle("/debug/pool-status", m.PoolStatus())
	return http.ListenAndServe(addr, nil)
}

func tables(w http.ResponseWriter, r *http.Request) {
	var n int
	s := pool.FromContext(r.Context()) // takes a connection at its first statement
	if err := s.QueryRowContext(r.Context(), "select count(*) from pg_tables").Scan(&n); err != nil {
		http.Error(w, "try again later", http.StatusInternalServerError) // 503 when the pool is full
		return
	}
	fmt.Fprintln(w, n) // committed before this goes out
}
