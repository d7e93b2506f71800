package pool

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// open serves h for one request and returns its response; nil when the server hung up.
func (s *shop) open(t *testing.T, h http.HandlerFunc, opts ...SessionOption) *http.Response {
	t.Helper()
	srv := httptest.NewUnstartedServer(s.Middleware(h, opts...))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(srv.Close)
	resp, err := srv.Client().Post(srv.URL+"/items", "", nil)
	if err != nil {
		return nil
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// adding runs query in the request's session, then next.
func adding(t *testing.T, query string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := run(query)(r.Context(), FromContext(r.Context())); err != nil {
			t.Error(err)
		}
		next(w, r)
	}
}

func created(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, "created")
}

func TestServedWorkIsCommitted(t *testing.T) {
	s := newShop(t)
	wantStatus(t, s.open(t, adding(t, goodItem, created)), 201)
	s.wantItems(t, 1)
}

// The three of issue 2's last paragraph: the client never sees success, and
// nothing is written.
func TestServedWorkThatIsLost(t *testing.T) {
	s := newShop(t)
	resp := s.open(t, adding(t, badItem, created))
	wantStatus(t, resp, 500)
	if body, _ := io.ReadAll(resp.Body); string(body) != "Internal Server Error\n" {
		t.Errorf("body %q", body)
	}
	if resp := s.open(t, adding(t, goodItem, func(http.ResponseWriter, *http.Request) { panic("oops") })); resp != nil {
		t.Errorf("after a panic the client sees %d", resp.StatusCode)
	}
	wantStatus(t, s.open(t, adding(t, goodItem, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "sorry", 500)
	})), 500)
	wantStatus(t, s.open(t, adding(t, badItem, func(http.ResponseWriter, *http.Request) {})), 500)
	s.wantItems(t, 0)
}

func TestRequestCancelledOnTheServer(t *testing.T) {
	s := newShop(t)
	gone := make(chan struct{})
	srv := httptest.NewServer(s.Middleware(adding(t, goodItem, func(w http.ResponseWriter, r *http.Request) {
		close(gone)
		// A statement under way is cancelled with the request.
		_, err := FromContext(r.Context()).ExecContext(r.Context(), "select pg_sleep(60)")
		if err == nil {
			t.Error("slept through")
		}
		created(w, r)
	})))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-gone
		cancel()
	}()
	req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	if resp, err := srv.Client().Do(req); err == nil {
		t.Errorf("the client sees %d", resp.StatusCode)
	}
	srv.Close() // waits for the handler
	s.wantItems(t, 0)
}

// The first bytes of a stream prove that the work is done, while the handler runs on.
func TestStreamedWorkIsCommittedBeforeTheFirstByte(t *testing.T) {
	s := newShop(t)
	seen := make(chan struct{})
	resp := s.open(t, adding(t, goodItem, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		_ = http.NewResponseController(w).Flush()
		receive(t, seen)
		_, _ = io.WriteString(w, "second\n")
	}))
	wantStatus(t, resp, 200)
	body := bufio.NewReader(resp.Body)
	line, err := body.ReadString('\n')
	if line != "first\n" {
		t.Fatal(line, err)
	}
	s.wantItems(t, 1)
	close(seen)
	if line, err = body.ReadString('\n'); line != "second\n" {
		t.Error(line, err)
	}
}

func TestFailedCommitIsNotFlushed(t *testing.T) {
	s := newShop(t)
	resp := s.open(t, adding(t, badItem, func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err == nil {
			t.Error("flushed")
		}
	}))
	wantStatus(t, resp, 500)
	s.wantItems(t, 0)
}

func TestHijackedConnectionComesAfterTheCommit(t *testing.T) {
	s := newShop(t)
	for query, want := range map[string]string{goodItem: "hijacked", badItem: "HTTP/1.1 500 Internal Server Error\r\n"} {
		srv := httptest.NewServer(s.Middleware(adding(t, query, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			s.wantItems(t, 1)
			_, _ = io.WriteString(conn, "hijacked")
		})))
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Errorf("the client sees %q, want %q (%v)", got, want, err)
		}
		_ = conn.Close()
		srv.Close()
	}
	s.wantItems(t, 1)
}

// Rows stream out of a read-only session while they come in.
func TestRowsAreStreamed(t *testing.T) {
	s := newShop(t)
	resp := s.open(t, func(w http.ResponseWriter, r *http.Request) {
		rows, err := FromContext(r.Context()).QueryContext(r.Context(), "select repeat('x', 1000) || chr(10) from generate_series(1, 1000)")
		if err != nil {
			t.Error(err)
			return
		}
		defer rows.Close()
		var line string
		for rows.Next() {
			if err := rows.Scan(&line); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, line)
		}
		if err := rows.Err(); err != nil {
			t.Error(err)
		}
	}, WithReadOnly())
	wantStatus(t, resp, 200)
	if n, err := io.Copy(io.Discard, resp.Body); n != 1001000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Two serializable units of work that each miss what the other writes: the one
// that commits second is refused, and told to come again.
func TestSerializationFailureAsksToComeAgain(t *testing.T) {
	s := newShop(t)
	look := func(ctx context.Context, sess *Session) error {
		var n int
		return errors.Join(
			sess.QueryRowContext(ctx, "select count(*) from items").Scan(&n),
			run(goodItem)(ctx, sess))
	}
	serializable := WithIsolation(sql.LevelSerializable)
	resp := s.open(t, func(w http.ResponseWriter, r *http.Request) {
		err := errors.Join(
			look(r.Context(), FromContext(r.Context())),
			s.WithSession(r.Context(), look, serializable))
		if err != nil {
			t.Error(err)
		}
		created(w, r)
	}, serializable)
	wantStatus(t, resp, 503)
	wantHeader(t, resp, "Retry-After", "1")
	s.wantItems(t, 1)
}

// The only connection is taken: the handler says 500, the client hears when to
// come again.
func TestRealSaturationAnswers503(t *testing.T) {
	s := newShop(t, func(cfg *config.Config) {
		cfg.PoolSize, cfg.MaxOverflow, cfg.PoolTimeout = 1, 0, 50*time.Millisecond
	})
	if err := s.Ready(t.Context()); err != nil { // a dial may take longer than that
		t.Fatal(err)
	}
	held, err := s.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	handlers := map[string]http.HandlerFunc{
		"500":     insertAnd(created),
		"nothing": func(_ http.ResponseWriter, r *http.Request) { _ = insert(r.Context(), FromContext(r.Context())) },
	}
	for name, h := range handlers {
		resp := s.open(t, h)
		wantStatus(t, resp, 503)
		if resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
}
