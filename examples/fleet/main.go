// Command fleet shows what replicas do to a server that is too small for all of
// them, and what one budget for the fleet changes.
//
// It starts a PostgreSQL with 20 connections and a service of 8 processes that
// may open 5+5 each: with database/sql, with pgxpool, with dbpool at a fixed
// two connections each, and with dbpool and DB_FLEET=enforce. It compares them
// at even and at uneven load; then it kills and adds replicas and restarts the
// server while the service runs.
//
//	go run ./examples/fleet                # about a minute
//	go run ./examples/fleet --acceptance   # seven minutes, with checks; exit code 1 when one fails
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
