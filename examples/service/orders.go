package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/pool"
)

// requestTime bounds a request, the wait for a connection included.
const requestTime = 15 * time.Second

type app struct {
	pool    *pool.Pool
	monitor *monitor.Monitor
	log     *slog.Logger
	refused refusals
}

type order struct {
	ID       int64     `json:"id"`
	Item     string    `json:"item"`
	Quantity int       `json:"quantity"`
	Created  time.Time `json:"created"`
}

type itemTotal struct {
	Item     string `json:"item"`
	Orders   int    `json:"orders"`
	Quantity int64  `json:"quantity"`
}

// migrate makes the tables, as one unit of work outside any request.
func (a *app) migrate(ctx context.Context) error {
	return a.pool.WithSession(ctx, func(ctx context.Context, s *pool.Session) error {
		for _, ddl := range []string{
			`create schema if not exists dbpool_example`,
			`create table if not exists dbpool_example.orders (
				id bigint generated always as identity primary key,
				item text not null, quantity int not null check (quantity > 0),
				created timestamptz not null default now())`,
			`create table if not exists dbpool_example.totals (
				item text primary key, orders int not null, quantity bigint not null)`,
		} {
			if _, err := s.ExecContext(ctx, ddl); err != nil {
				return fmt.Errorf("migrate: %w", err)
			}
		}
		return nil
	})
}

// routes gives every /orders request a session. The job has one of its own,
// and the monitor's endpoints need none.
func (a *app) routes() http.Handler {
	orders := http.NewServeMux()
	orders.HandleFunc("GET /orders", a.handle(a.list))
	orders.HandleFunc("POST /orders", a.handle(a.create))
	orders.HandleFunc("GET /orders/report", a.handle(a.report))

	mux := http.NewServeMux()
	mux.Handle("/orders", a.pool.Middleware(orders))
	mux.Handle("/orders/", a.pool.Middleware(orders))
	mux.HandleFunc("POST /jobs/totals", a.startTotals)
	mux.Handle("GET /health", a.monitor.Health())
	mux.Handle("GET /health/live", a.monitor.Live())
	mux.Handle("GET /health/ready", a.monitor.Ready())
	mux.Handle("GET /debug/pool-status", a.monitor.PoolStatus())
	mux.Handle("/{$}", http.RedirectHandler("/orders", http.StatusFound))
	return withTimeout(mux, requestTime)
}

func withTimeout(next http.Handler, d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), d)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// badRequestError is an error that the client made and may read.
type badRequestError string

func (e badRequestError) Error() string { return string(e) }

// handle writes what an action returns. The middleware rolls the session back
// because the status of an error is 400 or more, and says 503 where the pool
// was the reason.
func (a *app) handle(action func(*http.Request) (int, any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, body, err := action(r)
		var bad badRequestError
		switch {
		case errors.As(err, &bad):
			status, body = http.StatusBadRequest, map[string]string{"error": bad.Error()}
		case err != nil:
			a.failed(r, err)
			status, body = http.StatusInternalServerError, map[string]string{"error": "sorry, try again later"}
		}
		writeJSON(w, status, body)
	}
}

// failed logs an error, unless the client left, which is its right. When the pool
// had no connection, everybody fails for the same reason: one line a second.
func (a *app) failed(r *http.Request, err error) {
	var none *pool.AcquireError
	switch {
	case r.Context().Err() != nil:
	case errors.As(err, &none):
		if n := a.refused.add(time.Now()); n > 0 {
			a.log.Warn("requests got no connection", "requests", n, "route", r.Pattern, "verdict", string(none.Verdict), "error", err)
		}
	default:
		a.log.Error("request", "route", r.Pattern, "error", err)
	}
}

// refusals counts requests, to be told of once a second.
type refusals struct {
	mu   sync.Mutex // guards everything below
	n    int
	told time.Time
}

// add returns how many there were since somebody was told; 0 if that was a moment ago.
func (c *refusals) add(now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if now.Sub(c.told) < time.Second {
		return 0
	}
	n := c.n
	c.n, c.told = 0, now
	return n
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client left, or the commit failed and it was told
}

// list returns the newest orders.
func (a *app) list(r *http.Request) (int, any, error) {
	rows, err := pool.FromContext(r.Context()).QueryContext(r.Context(),
		`select id, item, quantity, created from dbpool_example.orders order by id desc limit 20`)
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	orders := []order{}
	for rows.Next() {
		var o order
		if err := rows.Scan(&o.ID, &o.Item, &o.Quantity, &o.Created); err != nil {
			return 0, nil, err
		}
		orders = append(orders, o)
	}
	return http.StatusOK, orders, rows.Err()
}

// create stores an order. The client sees 201 only once it is committed.
func (a *app) create(r *http.Request) (int, any, error) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<16)).Decode(&o); err != nil {
		return 0, nil, badRequestError("want a body like {\"item\": \"tea\", \"quantity\": 2}")
	}
	if o.Item == "" || o.Quantity < 1 {
		return 0, nil, badRequestError("item must not be empty, and quantity at least 1")
	}
	err := pool.FromContext(r.Context()).QueryRowContext(r.Context(),
		`insert into dbpool_example.orders (item, quantity) values ($1, $2) returning id, created`,
		o.Item, o.Quantity).Scan(&o.ID, &o.Created)
	return http.StatusCreated, o, err
}

// report is slow on purpose: ?seconds=, 1 unless given, 10 at most.
func (a *app) report(r *http.Request) (int, any, error) {
	seconds := 1.0
	if s := r.FormValue("seconds"); s != "" {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || n < 0 || n > 10 {
			return 0, nil, badRequestError("seconds: want a number from 0 to 10")
		}
		seconds = n
	}
	rows, err := pool.FromContext(r.Context()).QueryContext(r.Context(),
		`select item, count(*), sum(quantity) from dbpool_example.orders, pg_sleep($1) group by item order by 3 desc limit 10`, seconds)
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	totals := []itemTotal{}
	for rows.Next() {
		var t itemTotal
		if err := rows.Scan(&t.Item, &t.Orders, &t.Quantity); err != nil {
			return 0, nil, err
		}
		totals = append(totals, t)
	}
	return http.StatusOK, totals, rows.Err()
}

// startTotals answers at once; the job outlives the request.
func (a *app) startTotals(w http.ResponseWriter, r *http.Request) {
	task := a.pool.Background(r.Context(), "totals", func(ctx context.Context, s *pool.Session) error {
		_, err := s.ExecContext(ctx, `insert into dbpool_example.totals
			select item, count(*), sum(quantity) from dbpool_example.orders group by item
			on conflict (item) do update set orders = excluded.orders, quantity = excluded.quantity`)
		return err
	})
	writeJSON(w, http.StatusAccepted, map[string]string{"started": task.Name()})
}
