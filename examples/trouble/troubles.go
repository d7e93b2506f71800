package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of those who make trouble
)

// outsider opens sessions of another role and application.
func (s *stage) outsider(ctx context.Context, role, application string) (*sql.DB, *sql.Conn, error) {
	db, err := sql.Open("pgx", s.srv.DSN("postgres", role, "")+"&application_name="+application)
	if err != nil {
		return nil, nil, err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, c, nil
}

func holdLock(ctx context.Context, s *stage) (func(), error) {
	db, c, err := s.outsider(ctx, "alice", "psql")
	if err != nil {
		return nil, err
	}
	for _, q := range []string{"begin", "lock table stock in access exclusive mode"} {
		if _, err := c.ExecContext(ctx, q); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return func() { _ = c.Close(); _ = db.Close() }, nil
}

// leak takes all connections but those that a monitor keeps, and does nothing with them.
func leak(ctx context.Context, s *stage) (func(), error) {
	var held []*sql.Tx
	var err error
	for err == nil && len(held) < 9 {
		var tx *sql.Tx
		if tx, err = s.pool.BeginTx(ctx, nil); err == nil {
			held = append(held, tx)
		}
	}
	if len(held) == 0 {
		return nil, err
	}
	// Where the load was faster, what is held is enough.
	return func() {
		for _, tx := range held {
			_ = tx.Rollback()
		}
	}, nil
}

// fillServer takes the slots, after ending the pool's own sessions so that it
// has to ask for new ones.
func fillServer(ctx context.Context, s *stage) (func(), error) {
	db, first, err := s.outsider(ctx, "alice", "billing")
	if err != nil {
		return nil, err
	}
	_ = first.Close()
	db.SetMaxIdleConns(30)
	killed := false
	var held []*sql.Conn
	for len(held) < 27 {
		c, err := db.Conn(ctx)
		if err != nil && killed {
			break // the server is full
		}
		if err != nil {
			if err := s.admin(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'"); err != nil {
				return nil, errors.Join(err, db.Close())
			}
			killed = true
			continue
		}
		held = append(held, c)
	}
	return func() {
		for _, c := range held {
			_ = c.Close()
		}
		_ = db.Close()
	}, nil
}

func killSessions(ctx context.Context, s *stage) (func(), error) {
	return func() {}, s.admin(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
}

// stopServer stops the postmaster and all its processes, as a debugger, a full
// disk or an overcommitted host would.
func stopServer(ctx context.Context, s *stage) (func(), error) {
	pids, err := s.processes(ctx)
	if err != nil {
		return nil, err
	}
	signal := func(sig syscall.Signal) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, sig) // one that has ended meanwhile is no trouble
		}
	}
	signal(syscall.SIGSTOP)
	return func() { signal(syscall.SIGCONT) }, nil
}

// processes are the postmaster and all that it started.
func (s *stage) processes(ctx context.Context) ([]int, error) {
	db, err := sql.Open("pgx", s.srv.DSN("postgres", "postgres", ""))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var dir string
	if err := db.QueryRowContext(ctx, "show data_directory").Scan(&dir); err != nil {
		return nil, err
	}
	file, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(file), "\n")
	postmaster, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return nil, fmt.Errorf("postmaster.pid: %w", err)
	}
	pids := []int{postmaster}
	rows, err := db.QueryContext(ctx, "select pid from pg_stat_activity where pid <> pg_backend_pid()")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, rows.Err()
}
