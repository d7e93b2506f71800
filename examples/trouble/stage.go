package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/pool"
)

// stage is a server, a service under load, and what its callers and its log say.
type stage struct {
	srv  *pgtest.Server
	pool *pool.Pool
	url  string
	said *said

	stop    context.CancelFunc
	running sync.WaitGroup
}

// callers is how many ask the service at the same time.
const callers = 30

func openStage(ctx context.Context) (*stage, error) {
	srv, err := pgtest.Open(ctx, pgtest.Options{Settings: map[string]string{"max_connections": "30"}})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	s := &stage{srv: srv, said: &said{}, stop: stop}
	if err := s.start(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) start(ctx context.Context) error {
	if err := s.admin(ctx, "create role app login", "create role alice login", "create table stock (id int primary key, n int)",
		"insert into stock select g, 100 from generate_series(1, 1000) g", "grant all on stock to app, alice"); err != nil {
		return err
	}
	cfg, err := config.From(map[string]string{
		"DATABASE_URL": s.srv.DSN("postgres", "app", ""), "DB_POOL_NAME": "orders", "DB_POOL_TIMEOUT": "5", "DB_CONNECT_TIMEOUT": "5", "DB_LEAK_THRESHOLD": "5",
	})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(s.said, nil))
	if s.pool, err = pool.Open(cfg, pool.WithLogger(log)); err != nil {
		return err
	}
	if err := s.pool.Ready(ctx); err != nil {
		return err
	}
	return s.serve(ctx, monitor.New(s.pool, monitor.WithLogger(log)))
}

// serve puts the load on and the monitor's endpoints up.
func (s *stage) serve(ctx context.Context, m *monitor.Monitor) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.url = "http://" + listener.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("/health", m.Health())
	mux.Handle("/debug/pool-status", m.PoolStatus())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	s.running.Go(func() { _ = server.Serve(listener) })
	s.running.Go(func() { <-ctx.Done(); _ = server.Close() })
	s.running.Go(func() { _ = m.Run(ctx) })
	for i := range callers {
		s.running.Go(func() { s.call(ctx, i) })
	}
	return nil
}

// call is one caller: it asks, thinks for a moment and asks again.
func (s *stage) call(ctx context.Context, id int) {
	for ctx.Err() == nil {
		work, cancel := context.WithTimeout(pool.ContextWithName(ctx, "GET /stock"), 8*time.Second)
		var n int
		err := s.pool.QueryRowContext(work, "select n from stock where id = $1", id+1).Scan(&n)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.said.failed(err)
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// admin runs statements as the superuser, on a session that ends with them.
func (s *stage) admin(ctx context.Context, statements ...string) error {
	db, err := sql.Open("pgx", s.srv.DSN("postgres", pgtest.Superuser, ""))
	if err != nil {
		return err
	}
	defer db.Close()
	for _, q := range statements {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

func (s *stage) close() {
	s.stop()
	s.running.Wait()
	if s.pool != nil {
		_ = s.pool.Close()
	}
	s.srv.Stop()
}

// said keeps the last error of each kind and the warnings of the log.
type said struct {
	mu             sync.Mutex // guards everything below
	timedOut, shed error
	failures       int
	warnings       []string
}

func (s *said) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	switch {
	case errors.Is(err, pool.ErrOverloaded):
		s.shed = err
	case errors.Is(err, pool.ErrPoolTimeout):
		s.timedOut = err
	}
}

// Write takes one line of the log.
func (s *said) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnings = append(s.warnings, string(line))
	return len(line), nil
}

func (s *said) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timedOut, s.shed, s.failures, s.warnings = nil, nil, 0, nil
}
