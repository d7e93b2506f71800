package pool

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What the database and the client see, in which order, for each way to answer.
func TestMiddlewareEndsTheSessionBeforeTheFirstByte(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(strings.Repeat("x", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  int // 0: the server hangs up
		events  string
	}{
		{"write", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) },
			200, "begin exec commit 200 body"},
		{"write string", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") },
			200, "begin exec commit 200 body"},
		{"status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) },
			201, "begin exec commit 201"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", 303) },
			303, "begin exec commit 303 body"},
		{"nothing", func(http.ResponseWriter, *http.Request) {},
			200, "begin exec commit"},
		{"not found", http.NotFound,
			404, "begin exec rollback 404 body"},
		{"error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "sorry", 500) },
			500, "begin exec rollback 500 body"},
		{"flush", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
			200, "begin exec commit 200 flush"},
		{"controlled flush", func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() },
			200, "begin exec commit 200 flush"},
		{"copy", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(strings.NewReader("ok"), 9))
		},
			200, "begin exec commit 200 body file"},
		{"file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) },
			200, "begin exec commit 200 file"},
		{"early hints", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(200) },
			200, "begin exec 103 commit 200"},
		{"two statuses", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(500) },
			200, "begin exec commit 200 500"},
		{"error, then success", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); w.WriteHeader(200) },
			500, "begin exec rollback 500 200"},
		{"impossible status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(1000) },
			0, "begin exec 1000 rollback"},
		{"no status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(0) },
			0, "begin exec 0 rollback"},
		{"panic", func(http.ResponseWriter, *http.Request) { panic("oops") },
			0, "begin exec rollback"},
		{"abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			0, "begin exec rollback"},
		{"panic after the response began", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil); panic("oops") },
			0, "begin exec commit 200 body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, hookDriver{}, insertAnd(tt.handler))
			resp, _ := s.get(t)
			if tt.status == 0 && resp != nil {
				t.Errorf("the client sees %d", resp.StatusCode)
			}
			if tt.status != 0 {
				wantStatus(t, resp, tt.status)
				wantHeader(t, resp, "X-Outer", "kept")
			}
			s.wantEvents(t, tt.events)
		})
	}
}

func TestMiddlewareKeepsThePanicValue(t *testing.T) {
	value := errors.New("original")
	s := newSite(t, hookDriver{}, func(http.ResponseWriter, *http.Request) { panic(value) })
	s.get(t)
	if v := receive(t, s.panics); v != value {
		t.Errorf("panicked with %v", v)
	}
}

func TestMiddlewareLeavesRequestsWithoutStatementsAlone(t *testing.T) {
	s := newSite(t, hookDriver{}, func(w http.ResponseWriter, r *http.Request) {
		if FromContext(r.Context()) == nil {
			t.Error("no session")
		}
		_, _ = io.WriteString(w, "static")
	})
	resp, body := s.get(t)
	wantStatus(t, resp, 200)
	if body != "static" {
		t.Error(body)
	}
	s.wantEvents(t, "200 body")
}

func TestStatementsAfterTheResponseBegan(t *testing.T) {
	for _, code := range []int{200, 404} {
		s := newSite(t, hookDriver{}, insertAnd(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			if err := insert(r.Context(), FromContext(r.Context())); !errors.Is(err, ErrSessionDone) {
				t.Errorf("after %d: %v", code, err)
			}
		}))
		s.get(t)
	}
}

func TestMiddlewareRefusesToCutRowsShort(t *testing.T) {
	s := newSite(t, hookDriver{}, func(w http.ResponseWriter, r *http.Request) {
		rows, err := FromContext(r.Context()).QueryContext(r.Context(), "select")
		if err != nil || !rows.Next() {
			t.Error(err, rows.Err())
			return
		}
		defer rows.Close()
		if _, err := io.WriteString(w, "first"); !errors.Is(err, errRowsOpen) {
			t.Errorf("Write returned %v", err)
		}
	})
	resp, body := s.get(t)
	wantStatus(t, resp, 500)
	if strings.Contains(body, "first") {
		t.Error("part of the result went out")
	}
	s.wantEvents(t, "begin rollback 500 body")
	if len(s.log.with(t, "request failed")) != 1 {
		t.Error("not logged")
	}
}

// Rows read to the end are closed, though Close was not called yet.
func TestMiddlewareKnowsRowsReadToTheEnd(t *testing.T) {
	s := newSite(t, hookDriver{}, func(w http.ResponseWriter, r *http.Request) {
		rows, err := FromContext(r.Context()).QueryContext(r.Context(), "select")
		if err != nil {
			t.Error(err)
			return
		}
		_ = rows.Close()
		_, _ = io.WriteString(w, "all")
	})
	resp, _ := s.get(t)
	wantStatus(t, resp, 200)
}

func TestStreaming(t *testing.T) {
	for name, tt := range map[string]struct {
		opt    SessionOption
		events string
	}{
		"read-only":  {WithReadOnly(), "begin 200 body flush body flush commit"},
		"autocommit": {WithAutocommit(), "200 body flush body flush"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, hookDriver{}, func(w http.ResponseWriter, r *http.Request) {
				rows, err := FromContext(r.Context()).QueryContext(r.Context(), "select")
				if err != nil {
					t.Error(err)
					return
				}
				defer rows.Close()
				for range 2 {
					var n string
					if !rows.Next() || rows.Scan(&n) != nil {
						t.Error("the rows ended early:", rows.Err())
					}
					_, _ = io.WriteString(w, n)
					w.(http.Flusher).Flush()
				}
			}, tt.opt)
			resp, body := s.get(t)
			wantStatus(t, resp, 200)
			if body != "11" {
				t.Errorf("body %q", body)
			}
			s.wantEvents(t, tt.events)
		})
	}
}

func TestReadOnlySessionRollsBackOnError(t *testing.T) {
	s := newSite(t, hookDriver{}, insertAnd(http.NotFound), WithReadOnly())
	s.get(t)
	s.wantEvents(t, "begin exec 404 body rollback")
}

func TestCancelledRequestRollsBack(t *testing.T) {
	entered := make(chan struct{})
	left := make(chan error, 1)
	s := newSite(t, hookDriver{}, insertAnd(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		_, err := io.WriteString(w, "done")
		left <- err
	}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-entered
		cancel()
	}()
	req, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
	if resp, err := s.Client().Do(req); err == nil {
		t.Errorf("the client sees %d", resp.StatusCode)
	}
	if err := receive(t, left); !errors.Is(err, context.Canceled) {
		t.Errorf("Write returned %v", err)
	}
	s.Close() // waits for the handler
	s.wantEvents(t, "begin exec rollback 503 body")
	if len(s.log.with(t, "request failed")) != 0 {
		t.Error("a client that goes away fills the log")
	}
}

// A request that is given up outside ends while the client still listens.
func TestExpiredRequestIsNoSuccess(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	var giveUp context.CancelFunc
	h := p.Middleware(insertAnd(func(http.ResponseWriter, *http.Request) { giveUp() }))
	rec := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ctx context.Context
		ctx, giveUp = context.WithCancel(r.Context())
		h.ServeHTTP(w, r.WithContext(ctx))
	}), "GET", "/")
	if rec.Code != 503 {
		t.Errorf("status %d", rec.Code)
	}
}

func TestMiddlewareInsideAndAroundTimeoutHandler(t *testing.T) {
	slow := insertAnd(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		_, _ = io.WriteString(w, "late")
	})
	for name, wrap := range map[string]func(p *Pool) http.Handler{
		"around": func(p *Pool) http.Handler { return p.Middleware(http.TimeoutHandler(slow, time.Millisecond, "")) },
		"inside": func(p *Pool) http.Handler { return http.TimeoutHandler(p.Middleware(slow), time.Millisecond, "") },
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := hookPool(t, &hookDriver{commit: func(context.Context) error { t.Error("committed"); return nil }})
			if rec := serve(t, wrap(p), "GET", "/"); rec.Code != 503 {
				t.Errorf("status %d", rec.Code)
			}
		})
	}
}

func TestMiddlewarePanicsOnOptionsThatExcludeOneAnother(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	defer func() {
		if recover() == nil {
			t.Error("accepted")
		}
	}()
	p.Middleware(http.NotFoundHandler(), WithAutocommit(), WithReadOnly())
}
