package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// options are the command line.
type options struct {
	replicas    int
	connections int
	seconds     int
	acceptance  bool
	replica     string // what a child process runs as; empty in the parent
	workers     int
	pause       time.Duration
	hold        time.Duration
	reader      time.Duration
	budget      string
	pools       int
	fixed       int
}

// run is main without the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	if err != nil {
		return 2
	}
	if opts.replica != "" {
		err = runReplica(ctx, opts, os.Getenv("DATABASE_URL"), stdin, stdout)
	} else {
		err = show(ctx, opts, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.replicas, "replicas", 8, "processes of the service")
	flags.IntVar(&o.connections, "connections", 20, "max_connections of the server")
	flags.IntVar(&o.seconds, "seconds", 4, "seconds per comparison; the last part takes six times that")
	flags.BoolVar(&o.acceptance, "acceptance", false, "run longer, check what is promised, fail when it does not hold")
	flags.StringVar(&o.replica, "replica", "", "internal: be one replica of this kind")
	flags.IntVar(&o.workers, "workers", 10, "internal: callers of one replica")
	flags.DurationVar(&o.pause, "pause", 0, "internal: how long a caller thinks between two requests")
	flags.DurationVar(&o.hold, "hold", 5*time.Millisecond, "internal: how long a request holds a connection")
	flags.DurationVar(&o.reader, "reader", 0, "internal: one caller more, which pauses for so long in each result")
	flags.StringVar(&o.budget, "budget", "", "internal: DB_FLEET_BUDGET")
	flags.IntVar(&o.pools, "pools", 1, "internal: pools of one process, each a replica of its own")
	flags.IntVar(&o.fixed, "fixed", staticSize, "internal: connections of a fixed part")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var problems []error
	if o.replicas < 1 || o.seconds < 1 {
		problems = append(problems, errors.New("--replicas and --seconds must be 1 or more"))
	}
	if o.connections < 8 {
		problems = append(problems, errors.New("--connections must be 8 or more: PostgreSQL keeps 3 for superusers"))
	}
	if err := errors.Join(problems...); err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return o, err
	}
	if o.acceptance {
		o.seconds = max(o.seconds, 8)
	}
	return o, nil
}

// show starts the server and plays all scenes on it.
func show(ctx context.Context, opts options, stdout, stderr io.Writer) error {
	srv, err := pgtest.Open(ctx, pgtest.Options{Settings: map[string]string{
		"max_connections":  strconv.Itoa(opts.connections),
		"log_min_messages": "fatal",
	}})
	if err != nil {
		return err
	}
	defer srv.Stop()
	dsn, err := prepare(ctx, srv)
	if err != nil {
		return err
	}
	s := &scenario{
		opts: opts, srv: srv, dsn: dsn, out: stdout,
		log: slog.New(slog.NewTextHandler(stderr, nil)),
	}
	return s.play(ctx)
}

// prepare makes an ordinary role: a superuser would not feel the limits that a
// service meets.
func prepare(ctx context.Context, srv *pgtest.Server) (string, error) {
	for _, statement := range []string{`create role shop login`, `create database shop owner shop`} {
		if err := execOnce(ctx, srv.URL, statement); err != nil {
			return "", fmt.Errorf("%s: %w", statement, err)
		}
	}
	return srv.DSN("shop", "shop", ""), nil
}
