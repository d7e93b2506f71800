package pool

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// events is what happened at the database and on the wire, in order.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, what)
}

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.list, " ")
}

func (e *events) wrap(what string, h func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		e.add(what)
		return hook(h, ctx)
	}
}

// site is a server whose handler is wrapped in Middleware, over a driver that
// the test controls, watched on both sides.
type site struct {
	*httptest.Server
	pool   *Pool
	db     *sql.DB
	log    *logLines
	events *events
	panics chan any // what the handler panicked with
}

// newSite serves h. Outer, if given, wraps the middleware.
func newSite(t *testing.T, d hookDriver, h http.HandlerFunc, opts ...SessionOption) *site {
	t.Helper()
	e := &events{}
	d.begin = e.wrap("begin", d.begin)
	d.exec = e.wrap("exec", d.exec)
	d.commit = e.wrap("commit", d.commit)
	d.rollback = e.wrap("rollback", d.rollback)
	s := &site{db: sql.OpenDB(&d), events: e, panics: make(chan any, 1)}
	s.pool, s.log = poolOver(t, s.db, config.Default())
	inner := s.pool.Middleware(h, opts...)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if n := s.pool.Stats().InUse; n != 0 {
					t.Error("the panic leaves Middleware before its connection was given back")
				}
				s.panics <- v
				panic(http.ErrAbortHandler) // the server's own log is not the point
			}
		}()
		w.Header().Set("X-Outer", "kept")
		inner.ServeHTTP(&wire{w, e}, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(func() {
		s.Close()
		if n := s.pool.Stats().InUse; n != 0 {
			t.Errorf("%d connections not given back", n)
		}
	})
	return s
}

// get returns the response and its body; nil when the server hung up.
func (s *site) get(t *testing.T) (*http.Response, string) {
	t.Helper()
	client := *s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Get(s.URL + "/orders/7")
	if err != nil {
		return nil, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, string(body)
	}
	return resp, string(body)
}

func (s *site) wantEvents(t *testing.T, want string) {
	t.Helper()
	if got := without(s.events.String(), "unwrap"); got != want {
		t.Errorf("events\n got %s\nwant %s", got, want)
	}
}

// wire notes what leaves the middleware.
type wire struct {
	http.ResponseWriter
	events *events
}

func (w *wire) Unwrap() http.ResponseWriter { w.events.add("unwrap"); return w.ResponseWriter }

func (w *wire) WriteHeader(code int) {
	w.events.add(fmt.Sprint(code))
	w.ResponseWriter.WriteHeader(code)
}

func (w *wire) Write(b []byte) (int, error) {
	w.events.add("body")
	return w.ResponseWriter.Write(b)
}

func (w *wire) ReadFrom(r io.Reader) (int64, error) {
	w.events.add("file")
	return io.Copy(w.ResponseWriter, r)
}

func (w *wire) Flush() {
	w.events.add("flush")
	w.ResponseWriter.(http.Flusher).Flush()
}

// insertAnd runs a statement in the request's session, then next.
func insertAnd(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := insert(r.Context(), FromContext(r.Context())); err != nil {
			http.Error(w, "no database", http.StatusInternalServerError)
			return
		}
		next(w, r)
	}
}

func wantStatus(t *testing.T, resp *http.Response, want int) {
	t.Helper()
	if resp == nil {
		t.Fatalf("no response, want %d", want)
	}
	if resp.StatusCode != want {
		t.Errorf("status %d, want %d", resp.StatusCode, want)
	}
}

func wantHeader(t *testing.T, resp *http.Response, key, want string) {
	t.Helper()
	if got := resp.Header.Get(key); got != want {
		t.Errorf("%s: %q, want %q", key, got, want)
	}
}

// receive fails the test rather than wait for ever.
func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("waited for nothing")
	}
	return v
}

// sqlStateError is an error of the server, as any PostgreSQL driver reports it.
type sqlStateError string

func (e sqlStateError) Error() string    { return "server says " + string(e) }
func (e sqlStateError) SQLState() string { return string(e) }

func without(list string, words ...string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(list), func(w string) bool { return slices.Contains(words, w) }), " ")
}
