// Package pgtest starts real PostgreSQL servers, for the tests and the examples
// of this module: private, on a free loopback port, with any settings, able to
// be restarted and killed, and gone with the process that started them, however
// that process ends.
//
// A test says
//
//	srv := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": "15"}})
//
// or, when any server will do, pgtest.Shared(t), which starts one per test
// binary and hands out a fresh database. A program says pgtest.Open and Close.
//
// Servers come from binaries on this machine (see [Options.Version] for where
// they are looked for). They refuse to run as root, so under root they run as
// the user postgres, or nobody where there is no such user, in a folder made
// for that user.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Superuser is the role every server is made with.
const Superuser = "postgres"

// Auth is how a server checks passwords.
type Auth string

// The two that matter to a client: none at all, and what servers do by default.
const (
	AuthTrust Auth = "trust"
	AuthSCRAM Auth = "scram-sha-256"
)

// Options say what kind of server is wanted. The zero value is a server of the
// machine's own version with PostgreSQL's defaults that trusts everyone on
// loopback.
type Options struct {
	// Version is the major version, such as 18. 0 takes the first one found
	// in $DBPOOL_PG_BIN, PATH, `pg_config --bindir`, the packagers' usual
	// folders and the cache that scripts/install.sh fills. For 18, $DBPOOL_PG18_BIN
	// comes before all of these, and so on for other versions.
	Version int

	// Bin is the folder of initdb and postgres, when the caller knows better
	// than the search for Version. Default "".
	Bin string

	// Settings are put into postgresql.conf, so ALTER SYSTEM can still
	// change them. They win over this package's own (fsync=off and the like)
	// but for the port and the addresses, which keep the server private.
	Settings map[string]string

	// Auth is what pg_hba.conf asks of TCP clients. Default AuthTrust.
	Auth Auth

	// Everywhere makes the server listen on ::1 and on a Unix socket in its own
	// folder too; see [Server.Addresses].
	Everywhere bool
}

// Server is a running PostgreSQL. Its methods may be called from several
// goroutines, but Halt, Kill, Restart and Stop take turns.
type Server struct {
	// URL connects as Superuser to the database of this Server: postgres, or
	// for [Shared] the fresh one.
	URL string

	Host     string // always 127.0.0.1
	Port     int    // stays the same across Restart
	Database string // the database of URL
	Version  int    // major version, such as 15

	*cluster
	shared bool
}

// Start runs a server for the length of the test. It fails the test when none
// can be had, and tells what the server's log said. Only a version that was
// asked for by number and is not on this machine skips the test, unless
// DBPOOL_REQUIRE_SERVERS=1.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	srv, err := Open(ctx, opts)
	failOrSkip(t, err)
	t.Cleanup(srv.Stop)
	return srv
}

// failOrSkip ends the test when err is set.
func failOrSkip(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var missing *MissingError
	if errors.As(err, &missing) && missing.optional() && os.Getenv("DBPOOL_REQUIRE_SERVERS") != "1" {
		t.Skip(err)
	}
	t.Fatal(err)
}

// startTimeout bounds a start on a machine that is busy with other tests.
const startTimeout = 90 * time.Second

// Open starts a server and returns when it answers. ctx bounds the start, not
// the server's life: that ends with Close, or with this process.
func Open(ctx context.Context, opts Options) (*Server, error) {
	c, err := newCluster(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	srv := &Server{Host: host, Port: c.port, Database: "postgres", Version: c.bin.major, cluster: c}
	srv.URL = srv.DSN(srv.Database, "", "")
	return srv, nil
}

// DSN is a connection URL for a database, user and password of this server.
// An empty user is Superuser, whose password is then filled in where one is needed.
func (s *Server) DSN(database, user, password string) string {
	if user == "" {
		user = Superuser
	}
	if user == Superuser && password == "" && s.opts.Auth == AuthSCRAM {
		password = s.password
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(user),
		Host:     net.JoinHostPort(s.Host, strconv.Itoa(s.Port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	if password != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}

// Addresses are DSNs of one database and role that lead to this server in different ways:
// 127.0.0.1, localhost, ::1 and its Unix socket. It needs Options.Everywhere.
func (s *Server) Addresses(database, user string) []string {
	port := strconv.Itoa(s.Port)
	var all []string
	for _, at := range []string{s.Host, "localhost", "::1"} {
		u := url.URL{Scheme: "postgres", User: url.User(user), Host: net.JoinHostPort(at, port), Path: "/" + database, RawQuery: "sslmode=disable"}
		all = append(all, u.String())
	}
	socket := url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + database, RawQuery: url.Values{"host": {s.dir}, "port": {port}}.Encode()}
	return append(all, socket.String())
}

// Restart stops the server as an operator would (pg_ctl restart -m fast) and
// starts it on the same port and data. After Halt or Kill it only starts it.
// It returns when the server answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.mustOwn(t, "Restart")
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.Reboot(ctx); err != nil {
		t.Fatalf("pgtest: restart: %v", err)
	}
}

// Reboot is Restart for programs.
func (s *Server) Reboot(ctx context.Context) error {
	s.dropAdmin()
	return s.restart(ctx)
}

// Halt stops the server as an operator would and keeps its data for Restart.
func (s *Server) Halt(t testing.TB) {
	t.Helper()
	s.mustOwn(t, "Halt")
	s.dropAdmin()
	s.halt()
}

// Kill ends the postmaster and all its children at once with SIGKILL, as a
// crash of the machine would: clients get no goodbye. Restart brings it back.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.mustOwn(t, "Kill")
	s.kill()
	s.dropAdmin()
}

// mustOwn keeps one test from pulling the shared server from under the others.
func (s *Server) mustOwn(t testing.TB, verb string) {
	t.Helper()
	if s.shared {
		t.Fatalf("pgtest: %s on the shared server would disturb other tests: use Start", verb)
	}
}

// Stop shuts the server down and removes its folder. It may be called twice.
func (s *Server) Stop() {
	if s.shared {
		return
	}
	s.dropAdmin()
	s.close()
}

// Close is Stop for programs; it never fails.
func (s *Server) Close() error {
	s.Stop()
	return nil
}

// Log is what the server has written so far, its statements' errors included.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.logPath())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (c *cluster) logPath() string { return filepath.Join(c.dir, "log") }

// logTail is the end of the log, for an error message.
func (c *cluster) logTail() string {
	b, err := os.ReadFile(c.logPath())
	if err != nil {
		return "no log: " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
