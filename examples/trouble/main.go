// Command trouble plays the troubles that keep people on call awake, one after
// the other, and prints what each place says about them: a caller's error, a
// refused caller's, the log, /health, the status page's JSON, dbmonitor and its
// doctor.
//
// It starts a PostgreSQL of its own with room for 27 ordinary sessions, and a
// service with a pool of 5+5 under load.
//
//	go run ./examples/trouble            # all of them, about two minutes
//	go run ./examples/trouble lock leak  # some of them
//
// The status page stays up while it runs: its address is printed first.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// trouble is something that goes wrong. begin returns how to end it.
type trouble struct {
	name, what string
	lasts      time.Duration // until the places are asked
	begin      func(ctx context.Context, s *stage) (end func(), err error)
}

var troubles = []trouble{
	{"lock", "somebody locks a table in psql and goes to lunch", 14 * time.Second, holdLock},
	{"leak", "a handler takes connections and never gives them back", 14 * time.Second, leak},
	{"full", "another service takes every slot of the server", 10 * time.Second, fillServer},
	{"stopped", "the server's processes are stopped", 24 * time.Second, stopServer},
	{"killed", "every session of the service is terminated", 6 * time.Second, killSessions},
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	for _, a := range args {
		if !slices.ContainsFunc(troubles, func(t trouble) bool { return t.name == a }) {
			fmt.Fprintf(errs, "trouble: no trouble is called %q; there are lock, leak, full, stopped and killed\n", a)
			return 2
		}
	}
	s, err := openStage(ctx)
	if err != nil {
		fmt.Fprintln(errs, "trouble:", err)
		return 1
	}
	defer s.close()
	fmt.Fprintf(out, "The status page: %s/debug/pool-status\n", s.url)
	for _, t := range troubles {
		if len(args) > 0 && !slices.Contains(args, t.name) {
			continue
		}
		if err := s.play(ctx, out, t); err != nil {
			fmt.Fprintln(errs, "trouble:", t.name+":", err)
			return 1
		}
	}
	return 0
}

// play begins a trouble, lets it last, prints what each place says, and ends it.
func (s *stage) play(ctx context.Context, out io.Writer, t trouble) error {
	fmt.Fprintf(out, "\n== %s: %s\n", t.name, t.what)
	s.said.forget()
	end, err := t.begin(ctx, s)
	if err != nil {
		return err
	}
	pause(ctx, t.lasts)
	s.report(ctx, out)
	end()
	began := time.Now()
	for ctx.Err() == nil && s.health(ctx).Status != "healthy" && time.Since(began) < time.Minute {
		pause(ctx, 500*time.Millisecond)
	}
	h := s.health(ctx)
	fmt.Fprintf(out, "   %s %.0f s after its end\n", h.Status, time.Since(began).Seconds())
	for _, p := range h.Problems {
		say(out, "still", p.Message)
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
