// Command withpg runs a command with DATABASE_URL pointing to a PostgreSQL that
// lives as long as the command does:
//
//	go run ./internal/pgtest/withpg -- go test ./...
//	go run ./internal/pgtest/withpg -version 18 -set max_connections=20 -- sh -c 'psql $DATABASE_URL'
//
// It exits as the command did.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts := pgtest.Options{Settings: map[string]string{}}
	fs := flag.NewFlagSet("withpg", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&opts.Version, "version", 0, "major `version`; 0 takes the machine's own")
	fs.Func("set", "a server setting, `name=value`; may be repeated", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("want name=value")
		}
		opts.Settings[name] = value
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if fs.NArg() == 0 {
		fmt.Fprintln(stderr, "withpg: no command given; usage: withpg [flags] -- command [argument …]")
		return 2
	}
	srv, err := pgtest.Open(ctx, opts)
	if err != nil {
		fmt.Fprintln(stderr, "withpg:", err)
		return 1
	}
	defer srv.Stop()
	cmd := exec.CommandContext(ctx, fs.Arg(0), fs.Args()[1:]...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+srv.URL)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	return follow(cmd, stderr)
}

// follow lets the command decide what a signal means, and ends as it does.
func follow(cmd *exec.Cmd, stderr io.Writer) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(stderr, "withpg:", err)
		return 1
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			_ = cmd.Process.Signal(sig) // it may have had it from the terminal already
		case err := <-ended:
			return exitCode(err, stderr)
		}
	}
}

func exitCode(err error, stderr io.Writer) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	default:
		fmt.Fprintln(stderr, "withpg:", err)
		return 1
	}
}
