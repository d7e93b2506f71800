// Command service is a small order service on dbpool: what a service of yours
// may look like. It lists and creates orders, makes a slow report, runs a
// background job, and shows the state of its pool.
//
//	go run ./examples/service          # then open the addresses that it prints
//	go run ./examples/service --load   # with traffic, so that there is something to see
//
// With DATABASE_URL (or PGHOST, PGSERVICE) set it uses that database, in a schema of
// its own, dbpool_example. Without, it starts a PostgreSQL of its own, which
// is gone when the service is.
package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	code := run(endWithGoRun(ctx), os.Args[1:], environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// environ is the environment as a map.
func environ() map[string]string {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	return env
}
