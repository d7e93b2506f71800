// Package adaptertest is what the tests of pool/adapters share: a pool on a real
// server, with work whose commit succeeds or fails.
package adaptertest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

// Shop is a pool of one connection and a table. The table's constraint is checked
// at the commit.
type Shop struct {
	*pool.Pool
	t *testing.T
}

// Open returns a Shop whose connection is open. At the end of the test the pool is
// closed, after a check that the connection was given back. The package's TestMain
// must be pgtest.Main.
func Open(t *testing.T) *Shop {
	t.Helper()
	cfg := config.Default()
	cfg.DatabaseURL = config.DSN(pgtest.Shared(t).URL)
	cfg.Name, cfg.PoolSize, cfg.MaxOverflow = t.Name(), 1, 0
	p, err := pool.Open(cfg, pool.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	s := &Shop{p, t}
	t.Cleanup(func() {
		if n := p.Stats().InUse; n != 0 {
			t.Errorf("%d connections were not given back: %v", n, p.Holders(0))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	const table = "create table items (id bigserial primary key, parent bigint references items deferrable initially deferred)"
	if _, err := p.ExecContext(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	return s
}

// Insert adds an item in the session of ctx.
func Insert(ctx context.Context) error {
	_, err := pool.FromContext(ctx).ExecContext(ctx, "insert into items default values")
	return err
}

// InsertBad adds an item that the server refuses when it is committed.
func InsertBad(ctx context.Context) error {
	_, err := pool.FromContext(ctx).ExecContext(ctx, "insert into items (parent) values (-1)")
	return err
}

// InsertSoon is Insert for a full pool: it waits for a connection for a moment only.
func InsertSoon(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	return Insert(short)
}

// Conflict has the commit of every item refused as a serialization failure.
func (s *Shop) Conflict() {
	s.t.Helper()
	const raise = `create function conflict() returns trigger language plpgsql as 'begin raise sqlstate ''40001''; end';
		create constraint trigger conflict after insert on items deferrable initially deferred for each row execute function conflict()`
	if _, err := s.ExecContext(s.t.Context(), raise); err != nil {
		s.t.Fatal(err)
	}
}

// Items returns how many items are committed, and leaves none. No session may be
// open: it needs the pool's only connection.
func (s *Shop) Items() int {
	s.t.Helper()
	r, err := s.ExecContext(s.t.Context(), "delete from items")
	if err != nil {
		s.t.Error(err)
		return -1
	}
	n, _ := r.RowsAffected()
	return int(n)
}

// Route is the name of the one who holds the pool's only connection.
func (s *Shop) Route() string {
	if h := s.Holders(1); len(h) > 0 {
		return h[0].Name
	}
	return ""
}

// Fill takes the pool's only connection until release is called.
func (s *Shop) Fill() (release func()) {
	s.t.Helper()
	c, err := s.Conn(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return func() { _ = c.Close() }
}

// Answer is an HTTP response as a client saw it. Status is 0 when there was none.
type Answer struct {
	Status int
	Body   string
	Header http.Header
}

// Get asks h for target over a real connection, and returns when the handler has too.
func Get(t *testing.T, h http.Handler, target string) Answer {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close() // waits for the handler
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, string(body), resp.Header}
}
