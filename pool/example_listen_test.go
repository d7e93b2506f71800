package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

// A program that keeps a copy of what the database holds reads it when the
// listening begins, and whenever notifications may have been missed.
func ExamplePool_Listen() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
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
	reload := func() {
		fmt.Println("listening")
		if _, err := p.ExecContext(ctx, "select pg_notify('orders', '42')"); err != nil {
			log.Fatal(err)
		}
	}
	update := func(order string) { fmt.Println("changed:", order); cancel() }

	err = p.Listen(ctx, []string{"orders"}, func(n pool.Notification) {
		switch n.Kind {
		case pool.Listening, pool.ListeningAgain:
			reload() // from here on nothing is missed; before it anything may have been
		case pool.Notified:
			update(n.Payload)
		}
	})
	fmt.Println("ended by its context:", errors.Is(err, context.Canceled))
	// Output:
	// listening
	// changed: 42
	// ended by its context: true
}
