package pgtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PgBouncerOptions say what kind of pooler is wanted.
type PgBouncerOptions struct {
	// Mode is pool_mode: session, transaction or statement. Default transaction.
	Mode string
	// Settings are pgbouncer.ini's, such as default_pool_size or
	// ignore_startup_parameters. Default: PgBouncer's own.
	Settings map[string]string
}

// PgBouncer is a pooler in front of a Server. Every role of the server may log
// in, and Superuser also to its console, the database pgbouncer.
type PgBouncer struct {
	URL  string // as Superuser, to the server's database
	Host string // always 127.0.0.1
	Port int

	server *Server
	guard  *guard
	dir    string
	proc   *child
}

// StartPgBouncer runs a pooler in front of srv for the length of the test.
// Where PgBouncer is not installed the test is skipped, or fails under
// DBPOOL_REQUIRE_SERVERS=1.
func StartPgBouncer(t testing.TB, srv *Server, opts PgBouncerOptions) *PgBouncer {
	t.Helper()
	bin, err := findPgBouncer()
	if err != nil && os.Getenv("DBPOOL_REQUIRE_SERVERS") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	b, err := openPgBouncer(ctx, bin, srv, opts)
	if err != nil {
		t.Fatalf("pgtest: pgbouncer: %v", err)
	}
	t.Cleanup(b.Stop)
	return b
}

// findPgBouncer also looks where Debian puts it, which is on root's PATH only.
func findPgBouncer() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no pgbouncer on this machine: run scripts/install.sh")
}

// openPgBouncer tries other ports when somebody took ours meanwhile.
func openPgBouncer(ctx context.Context, bin string, srv *Server, opts PgBouncerOptions) (*PgBouncer, error) {
	g, dir, err := newGuard(srv.who)
	if err != nil {
		return nil, err
	}
	b := &PgBouncer{Host: host, server: srv, guard: g, dir: dir}
	for {
		err := b.start(ctx, bin, opts)
		if err == nil {
			return b, nil
		}
		if !strings.Contains(err.Error(), "Address already in use") || ctx.Err() != nil {
			b.Stop()
			return nil, err
		}
	}
}

func (b *PgBouncer) start(ctx context.Context, bin string, opts PgBouncerOptions) (err error) {
	if b.Port, err = freePort(); err != nil {
		return err
	}
	b.URL = b.DSN(b.server.Database, "", "")
	if err := b.writeConfig(opts); err != nil {
		return err
	}
	log, err := os.OpenFile(b.path("log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := b.server.who.command(bin, b.path("pgbouncer.ini"))
	cmd.Stdout, cmd.Stderr = log, log
	if b.proc, err = startChild(cmd); err != nil {
		return err
	}
	if err := b.guard.watch(b.proc.pid()); err != nil {
		return err
	}
	return b.awaitReady(ctx)
}

func (b *PgBouncer) path(name string) string { return filepath.Join(b.dir, name) }

// DSN is a connection URL through the pooler; see [Server.DSN].
func (b *PgBouncer) DSN(database, user, password string) string {
	u, err := url.Parse(b.server.DSN(database, user, password))
	if err != nil {
		panic(err) // DSN builds it from a url.URL
	}
	u.Host = net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
	return u.String()
}

// Log is what the pooler has written so far.
func (b *PgBouncer) Log() string {
	text, err := os.ReadFile(b.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Stop ends the pooler and removes its folder. It may be called twice.
func (b *PgBouncer) Stop() {
	if b.proc != nil {
		b.proc.stop(5*time.Second, syscall.SIGQUIT, os.Kill)
		b.proc = nil
		_ = b.guard.watch(0) // a dead guard leaves only the folder behind
	}
	if b.guard != nil {
		b.guard.close()
		b.guard = nil
	}
}

// writeConfig lets every role of the server in, by asking the server for it.
func (b *PgBouncer) writeConfig(opts PgBouncerOptions) error {
	settings := map[string]string{
		"listen_addr": host, "listen_port": strconv.Itoa(b.Port), "unix_socket_dir": "",
		"pool_mode": cmp.Or(opts.Mode, "transaction"),
		"auth_type": string(cmp.Or(b.server.opts.Auth, AuthTrust)),
		"auth_file": b.path("users.txt"), "auth_user": Superuser,
		"admin_users": Superuser,
	}
	maps.Copy(settings, opts.Settings)
	var ini strings.Builder
	fmt.Fprintf(&ini, "[databases]\n* = host=%s port=%d\n[pgbouncer]\n", b.server.Host, b.server.Port)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&ini, "%s = %s\n", name, settings[name])
	}
	users := fmt.Sprintf("%q %q\n", Superuser, b.server.password)
	return errors.Join(b.write("users.txt", users), b.write("pgbouncer.ini", ini.String()))
}

func (b *PgBouncer) write(name, text string) error {
	if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
		return err
	}
	return b.server.who.give(b.path(name))
}

// awaitReady asks until the server behind the pooler answers through it.
func (b *PgBouncer) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := b.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-b.proc.done:
			return fmt.Errorf("exited:\n%s", b.Log())
		case <-ctx.Done():
			return fmt.Errorf("did not answer in time: %w\n%s", err, b.Log())
		}
	}
}

// ping uses the simple protocol, which every pool mode can carry.
func (b *PgBouncer) ping(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(b.URL)
	if err != nil {
		return err
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var port int
	if err := conn.QueryRow(ctx, "select inet_server_port()").Scan(&port); err != nil {
		return err
	}
	if port != b.server.Port {
		return fmt.Errorf("port %d belongs to another pooler", b.Port)
	}
	return nil
}
