package monitor_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/DATA-DOG/go-sqlmock"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/pool"
)

// A service runs the monitor beside its server and mounts both endpoints.
func Example() {
	p, done := somePool()
	defer done()

	m := monitor.New(p, monitor.WithLogger(slog.New(slog.DiscardHandler)))
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- m.Run(ctx) }()

	mux := http.NewServeMux()
	mux.Handle("/health", m.Health())
	mux.Handle("/debug/pool-status", m.PoolStatus())

	st := m.Status()
	fmt.Println(st.Service, st.Name, st.Pool.Size, "+", st.Pool.MaxOverflow)

	cancel()
	fmt.Println(<-stopped)
	// Output:
	// dbpool orders 5 + 5
	// <nil>
}

// The status page can ask for a token, or be wrapped in the application's own
// middleware like any handler.
func ExampleWithToken() {
	p, done := somePool()
	defer done()
	m := monitor.New(p, monitor.WithToken("from-the-environment"), monitor.WithQueryText())

	srv := httptest.NewServer(m.PoolStatus())
	defer srv.Close()
	for _, token := range []string{"", "from-the-environment"} {
		r, _ := http.NewRequest(http.MethodGet, srv.URL, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			continue
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		fmt.Println(answer.StatusCode)
	}
	// Output:
	// 401
	// 200
}

// somePool is a pool over a mock, as a test of an application would have it.
func somePool() (*pool.Pool, func()) {
	db, _, err := sqlmock.New()
	if err != nil {
		panic(err)
	}
	cfg := config.Default()
	cfg.Name = "orders"
	p, err := pool.New(db, cfg, pool.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		panic(err)
	}
	return p, func() { _ = p.Close(); http.DefaultClient.CloseIdleConnections() }
}
