package examples

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

// openPool opens a pool on a server of its own.
func openPool(change func(*config.Config)) (p *pool.Pool, done func()) {
	srv, err := pgtest.Open(context.Background(), pgtest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	cfg := config.Default()
	cfg.DatabaseURL = config.DSN(srv.URL)
	if change != nil {
		change(&cfg)
	}
	p, err = pool.Open(cfg, pool.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	return p, func() {
		p.Close()
		srv.Stop()
	}
}

func mustExec(p *pool.Pool, sql string) {
	if _, err := p.ExecContext(context.Background(), sql); err != nil {
		log.Fatal(err)
	}
}

func Example_unitOfWork() {
	p, done := openPool(nil)
	defer done()
	ctx := context.Background()
	mustExec(p, "create table accounts (owner text, balance int check (balance >= 0))")
	mustExec(p, "insert into accounts values ('ann', 15), ('bob', 0)")

	move := func(amount int) error {
		err := p.WithSession(ctx, func(ctx context.Context, s *pool.Session) error {
			if _, err := s.ExecContext(ctx, "update accounts set balance = balance + $1 where owner = 'bob'", amount); err != nil {
				return err
			}
			_, err := s.ExecContext(ctx, "update accounts set balance = balance - $1 where owner = 'ann'", amount)
			return err
		}) // committed if nil, rolled back if not
		return err
	}
	fmt.Println("the first:", move(10) == nil)
	fmt.Println("the second:", move(10) == nil)
	var bob int
	err := p.QueryRowContext(ctx, "select balance from accounts where owner = 'bob'").Scan(&bob)
	fmt.Println("bob has", bob, err)
	// Output:
	// the first: true
	// the second: false
	// bob has 10 <nil>
}

func Example_background() {
	p, done := openPool(nil)
	defer done()
	ctx := context.Background()
	mustExec(p, "create table totals (n int)")

	task := p.Background(ctx, "totals", func(ctx context.Context, s *pool.Session) error {
		_, err := s.ExecContext(ctx, "insert into totals select count(*) from pg_class")
		return err
	}) // goes on when the request that started it ends; Shutdown waits for it
	fmt.Println(task.Name(), task.Wait(ctx))
	// Output: totals <nil>
}

func Example_whyNoConnection() {
	p, done := openPool(func(cfg *config.Config) {
		cfg.PoolSize, cfg.MaxOverflow, cfg.PoolTimeout = 1, 0, 500*time.Millisecond
	})
	defer done()
	ctx := context.Background()
	if err := p.Ready(ctx); err != nil { // else the first caller's half second goes by with the dial
		log.Fatal(err)
	}
	forgotten, err := p.Conn(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer forgotten.Close()

	var e *pool.AcquireError
	if err := p.PingContext(ctx); errors.As(err, &e) {
		fmt.Println(errors.Is(err, pool.ErrPoolTimeout), e.Verdict, len(e.Holders))
	}
	// Output: true leak 1
}
