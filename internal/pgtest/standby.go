package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Standby makes a copy of this server that follows it, for the length of the
// test, and returns when it answers. What was written before is on it; what
// comes later arrives a moment after. Nobody should be writing while it is made.
//
// Its settings are those of this server and, over them, the ones given. With
// hot_standby=off, or a primary_conninfo that leads nowhere (which keeps it from
// ever having a consistent state), it refuses all sessions, and Standby returns
// when it does.
func (s *Server) Standby(t testing.TB, settings map[string]string) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := newStandby(ctx, s.cluster, settings)
	if err != nil {
		t.Fatalf("pgtest: standby: %v", err)
	}
	standby := &Server{Host: host, Port: c.port, Database: s.Database, Version: s.Version, cluster: c}
	standby.URL = standby.DSN(s.Database, "", "")
	t.Cleanup(standby.Stop)
	return standby
}

// Promote makes a standby a primary and returns when it takes writes. Its
// sessions stay.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.Exec(t, "select pg_promote(true, 60)")
	if n, err := s.QueryInt(t.Context(), "select count(*) where pg_is_in_recovery()"); n != 0 || err != nil {
		t.Fatalf("pgtest: promote: still in recovery, %v\n%s", err, s.logTail())
	}
}

// StopSmart asks for a smart shutdown (pg_ctl stop -m smart) and returns when the
// server refuses new sessions. It serves those that it has, of which there must
// be one, until the last has left; Halt, Restart and Stop do not wait for that.
func (s *Server) StopSmart(t testing.TB) {
	t.Helper()
	s.mustOwn(t, "StopSmart")
	s.mu.Lock()
	defer s.mu.Unlock()
	signal(t, s.proc.pid(), syscall.SIGTERM)
	s.awaitRefusal(t)
}

// Crash kills one of the server's processes as the kernel's memory killer would:
// the server ends all sessions and recovers. Another process that cannot be
// ended delays the recovery for the five seconds after which the server loses its
// patience. Crash returns when new sessions are refused.
func (s *Server) Crash(t testing.TB) {
	t.Helper()
	s.mustOwn(t, "Crash")
	stuck, victim := s.process(t, "walwriter"), s.process(t, "checkpointer")
	signal(t, stuck, sigStop)
	signal(t, victim, os.Kill)
	s.dropAdmin()
	s.awaitRefusal(t)
}

// awaitRefusal waits until the server says that it takes no sessions now.
func (c *cluster) awaitRefusal(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		conn, err := c.connect(ctx)
		if err == nil {
			_ = conn.Close(ctx) // it was let in at the last moment
			continue
		}
		if refusalIn(err) != "" {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("pgtest: the server still takes sessions, or is gone: %v\n%s", err, c.logTail())
		}
	}
}

// process is the id of the server's own process of a kind.
func (s *Server) process(t testing.TB, kind string) int {
	t.Helper()
	pid, err := s.QueryInt(t.Context(), "select pid from pg_stat_activity where backend_type = $1", kind)
	if err != nil {
		t.Fatalf("pgtest: %s: %v", kind, err)
	}
	return pid
}

func signal(t testing.TB, pid int, sig os.Signal) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Signal(sig)
	}
	if err != nil {
		t.Fatalf("pgtest: signal: %v", err)
	}
}

// newStandby copies a running cluster and starts the copy.
func newStandby(ctx context.Context, primary *cluster, settings map[string]string) (*cluster, error) {
	g, dir, err := newGuard(primary.who)
	if err != nil {
		return nil, err
	}
	slot := fmt.Sprintf("standby_%d", primary.standbys.Add(1))
	opts := primary.opts
	opts.Settings = map[string]string{
		"primary_conninfo":  fmt.Sprintf("host=%s port=%d user=%s password=%s", host, primary.port, Superuser, primary.password),
		"primary_slot_name": slot,
		// A promotion may wait that long to look at its primary once more.
		"wal_retrieve_retry_interval": "100ms",
	}
	maps.Copy(opts.Settings, primary.opts.Settings)
	maps.Copy(opts.Settings, settings)
	c := &cluster{opts: opts, who: primary.who, bin: primary.bin, password: primary.password, dir: dir, guard: g}
	c.refuses = settings["hot_standby"] == "off" || settings["primary_conninfo"] != ""
	return c, c.firstStart(ctx, func() error { return primary.backUp(ctx, slot, c) })
}

// backUp copies the data folder for a standby, as pg_basebackup does, which not
// everybody who brings a server brings too. The slot keeps the log that the
// standby begins with.
func (c *cluster) backUp(ctx context.Context, slot string, to *cluster) error {
	start, stop := "pg_backup_start('standby', true)", "pg_backup_stop(false)"
	if c.bin.major < 15 {
		start, stop = "pg_start_backup('standby', true, false)", "pg_stop_backup(false, false)"
	}
	var label string
	err := c.withAdmin(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "select pg_create_physical_replication_slot($1, true)", slot); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "select "+start); err != nil {
			return err
		}
		if out, err := runCommand(c.who.command("cp", "-a", c.data(), to.data())); err != nil {
			return fmt.Errorf("copy: %w %s", err, out)
		}
		return conn.QueryRow(ctx, "select labelfile from "+stop).Scan(&label)
	})
	if err != nil {
		return err
	}
	return to.becomeStandby(label)
}

// becomeStandby takes out of a copy what belongs to the original alone, and puts
// in what makes it follow.
func (c *cluster) becomeStandby(label string) error {
	err := errors.Join(
		os.Remove(filepath.Join(c.data(), "postmaster.pid")),
		c.writeFile("backup_label", label),
		c.writeFile("standby.signal", ""),
	)
	for _, folder := range []string{"pg_replslot", "pg_dynshmem"} {
		err = errors.Join(err, empty(filepath.Join(c.data(), folder)))
	}
	return err
}

func (c *cluster) writeFile(name, text string) error {
	path := filepath.Join(c.data(), name)
	return errors.Join(os.WriteFile(path, []byte(text), 0o600), c.who.give(path))
}

// empty removes what is in a folder.
func empty(folder string) error {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(folder, e.Name())))
	}
	return err
}

// refusalIn is what a server says that takes no sessions now; empty when err is
// something else.
func refusalIn(err error) string {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == "57P03" {
		return pg.Message
	}
	return ""
}
