package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/x/term"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
)

// Exit codes beside those of report.Level, and never to be mistaken for them.
const (
	exitUsage       = 64  // the command line is wrong (EX_USAGE)
	exitOutput      = 74  // the report could not be written (EX_IOERR)
	exitInterrupted = 130 // ended by a signal before there was anything to report
)

// environment is the environment variables, as the process got them.
type environment map[string]string

func readEnvironment(environ []string) environment {
	env := environment{}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			env[name] = value
		}
	}
	return env
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, env environment, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "doctor" {
		var d doctorCmd
		done, err := parse(&d, "dbmonitor doctor", doctorDescription, args[1:], stdout, stderr)
		if done || err != nil {
			return finish(stderr, done, err)
		}
		return d.run(ctx, env, terminal{stdin, stdout, stderr})
	}
	var w watchCmd
	done, err := parse(&w, "dbmonitor", description, args, stdout, stderr)
	if done || err != nil {
		return finish(stderr, done, err)
	}
	return w.run(ctx, env, terminal{stdin, stdout, stderr})
}

// finish ends a run that only asked for help, or a wrong one. Kong goes on
// after it has printed the help, and then misses the URL.
func finish(stderr io.Writer, done bool, err error) int {
	if done {
		return 0
	}
	return misuse(stderr, err)
}

func misuse(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "dbmonitor: %s\nTry: dbmonitor --help\n", source.Sanitize(err.Error(), 300))
	return exitUsage
}

// terminal is where the program reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// live reports whether somebody sits before it: both ends are a terminal that
// can move its cursor.
func (t terminal) live(env environment) bool {
	return env["TERM"] != "dumb" && isTerminal(t.in) && isTerminal(t.out)
}

// color reports whether the output takes colours and nobody asked for none.
func (t terminal) color(env environment) bool {
	return env["NO_COLOR"] == "" && env["TERM"] != "dumb" && isTerminal(t.out)
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(f.Fd())
}

func (w watchCmd) run(ctx context.Context, env environment, t terminal) int {
	token := w.Token
	if token == "" {
		token = env["DBMONITOR_TOKEN"]
	}
	if err := source.CheckToken(token); err != nil {
		return misuse(t.err, err)
	}
	clients, err := w.clients(token)
	if err != nil {
		return misuse(t.err, err)
	}
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	if w.Continuous && !w.JSON && !w.Plain && t.live(env) {
		return w.live(ctx, env, t, clients)
	}
	return w.report(ctx, env, t, clients)
}

func (w watchCmd) clients(token string) ([]*source.Client, error) {
	clients := make([]*source.Client, 0, len(w.URLs))
	for i, raw := range w.URLs {
		target, err := source.ParseTarget(raw)
		if err != nil {
			return nil, fmt.Errorf("URL %d: %w", i+1, err)
		}
		clients = append(clients, source.NewClient(target, token, time.Duration(w.Timeout)))
	}
	return clients, nil
}

func (w watchCmd) interval(normal time.Duration) time.Duration {
	if w.Interval == 0 {
		return normal
	}
	return time.Duration(w.Interval)
}
