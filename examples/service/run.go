package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/pool"
)

// drainTime is how long requests and jobs under way may take at the end.
const drainTime = 10 * time.Second

type options struct {
	addr    string
	load    bool
	loadFor time.Duration
	linger  time.Duration
}

// run is the whole program: it serves until ctx ends and returns the exit code.
func run(ctx context.Context, args []string, env map[string]string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if err := serve(ctx, opts, env, stdout, log); err != nil {
		fmt.Fprintln(stderr, "service:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("service", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 takes any free one")
	fs.BoolVar(&o.load, "load", false, "drive traffic at itself, so that the status page has something to show")
	fs.DurationVar(&o.loadFor, "load-for", 10*time.Minute, "how long --load lasts")
	fs.DurationVar(&o.linger, "linger", 0, "how long to go on serving after SIGTERM while /health/ready says no; Kubernetes: 5s")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", fs.Arg(0))
		fmt.Fprintln(stderr, "service:", err)
		return o, err
	}
	return o, nil
}

// serve opens everything in order and closes it in the opposite one.
func serve(ctx context.Context, opts options, env map[string]string, stdout io.Writer, log *slog.Logger) error {
	listener, err := listen(opts.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	db, err := openDatabase(ctx, env, log)
	if err != nil {
		return err
	}
	defer db.close()

	cfg, err := config.From(db.env)
	if err != nil {
		return err
	}
	p, err := pool.Open(cfg, pool.WithLogger(log))
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Ready(ctx); err != nil {
		return err
	}
	a := &app{pool: p, monitor: monitor.New(p, monitor.WithLogger(log)), log: log}
	if err := a.migrate(ctx); err != nil {
		return err
	}
	printWelcome(stdout, listener.Addr().String(), db.what, cfg)
	return a.serve(ctx, listener, opts)
}

func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another program: stop that one, or choose another address, --addr 127.0.0.1:0 for any free port", addr)
	}
	return l, err
}

// serve answers until ctx ends, then lets requests and jobs finish. The monitor
// goes on until they have.
func (a *app) serve(ctx context.Context, listener net.Listener, opts options) error {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	background.Go(func() {
		if err := a.monitor.Run(running); err != nil {
			a.log.Error("monitor", "error", err)
		}
	})
	if opts.load {
		background.Go(func() { drive(ctx, "http://"+listener.Addr().String(), opts.loadFor, a.log) })
	}

	server := &http.Server{Handler: a.routes(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	a.log.Info("shutting down", "cause", context.Cause(ctx))
	return a.shutdown(server, opts.linger)
}

// shutdown ends the service in the order in which its callers notice nothing:
// it says that it is not ready, goes on serving until the load balancer has seen
// that, waits for the requests under way, then for the jobs.
func (a *app) shutdown(server *http.Server, linger time.Duration) error {
	a.monitor.Drain()
	<-time.After(linger)
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), a.pool.Shutdown(ctx))
}

func printWelcome(w io.Writer, addr, what string, cfg config.Config) {
	fmt.Fprintf(w, `Orders, on %s; pool of %d+%d connections.

  http://%[4]s/orders             list (GET) and create (POST)
  http://%[4]s/orders/report      a slow report
  http://%[4]s/health             for load balancers; /health/live and /health/ready for Kubernetes
  http://%[4]s/debug/pool-status  open this one in a browser

  curl http://%[4]s/health
  curl http://%[4]s/debug/pool-status
  curl -d '{"item":"tea","quantity":2}' http://%[4]s/orders
  curl -X POST http://%[4]s/jobs/totals    start the background job
  go run ./monitor/cmd/dbmonitor http://%[4]s

Stop with Ctrl-C.
`, what, cfg.PoolSize, cfg.MaxOverflow, addr)
}
