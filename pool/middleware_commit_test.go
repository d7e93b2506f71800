package pool

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func failing(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

func TestFailedCommitIsNeverASuccess(t *testing.T) {
	session := func(r *http.Request) *Session { return FromContext(r.Context()) }
	tests := []struct {
		name    string
		commit  error
		handler http.HandlerFunc
		status  int
		retry   string
		events  string
	}{
		{"written", errBoom, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			w.Header().Set("Set-Cookie", "a=b")
			w.Header().Set("X-Outer", "changed")
			if n, err := io.WriteString(w, "done"); n != 0 || !errors.Is(err, errBoom) {
				t.Errorf("the handler is told %d, %v", n, err)
			}
			if _, err := w.Write([]byte("done")); !errors.Is(err, errBoom) {
				t.Errorf("the handler is told %v", err)
			}
		}, 500, "", "begin exec commit 500 body"},
		{"status", errBoom, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(201) },
			500, "", "begin exec commit 500 body 201"},
		{"redirect", errBoom, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/done", 303) },
			500, "", "begin exec commit 500 body"},
		{"nothing written", errBoom, func(http.ResponseWriter, *http.Request) {},
			500, "", "begin exec commit 500 body"},
		{"flush", errBoom, func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).Flush(); !errors.Is(err, errBoom) {
				t.Errorf("Flush returned %v", err)
			}
		}, 500, "", "begin exec commit 500 body"},
		{"copied", errBoom, func(w http.ResponseWriter, _ *http.Request) {
			if n, err := io.Copy(w, io.LimitReader(strings.NewReader("done"), 9)); n != 0 || !errors.Is(err, errBoom) {
				t.Errorf("the handler is told %d, %v", n, err)
			}
		}, 500, "", "begin exec commit 500 body"},
		{"hijack", errBoom, func(w http.ResponseWriter, _ *http.Request) {
			if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, errBoom) {
				t.Errorf("Hijack returned %v", err)
			}
		}, 500, "", "begin exec commit 500 body"},
		{"serialization failure", sqlStateError("40001"), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) },
			503, "1", "begin exec commit 503 body"},
		{"unique violation", sqlStateError("23505"), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) },
			500, "", "begin exec commit 500 body"},
		{"seen by the handler", errBoom, func(w http.ResponseWriter, r *http.Request) {
			if err := session(r).Commit(); err != nil {
				w.Header().Set("Set-Cookie", "")
				w.WriteHeader(409)
			}
		}, 409, "", "begin exec commit 409"},
		{"overlooked by the handler", errBoom, func(w http.ResponseWriter, r *http.Request) {
			_ = session(r).Commit()
			w.WriteHeader(200)
		}, 500, "", "begin exec commit 500 body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, hookDriver{commit: failing(tt.commit)}, insertAnd(tt.handler))
			resp, _ := s.get(t)
			wantStatus(t, resp, tt.status)
			wantHeader(t, resp, "Retry-After", tt.retry)
			wantHeader(t, resp, "Set-Cookie", "")
			wantHeader(t, resp, "Location", "")
			wantHeader(t, resp, "X-Outer", "kept")
			s.wantEvents(t, tt.events)
			lines := s.log.with(t, "request failed")
			if tt.status != 409 && (len(lines) != 1 || lines[0]["name"] != "GET other") {
				t.Errorf("log: %v", lines)
			}
		})
	}
}

func TestRollbackThatFailsIsLogged(t *testing.T) {
	s := newSite(t, hookDriver{rollback: failing(errBoom)}, insertAnd(http.NotFound))
	resp, _ := s.get(t)
	wantStatus(t, resp, 404)
	if len(s.log.with(t, "rollback failed")) != 1 {
		t.Error("dropped")
	}
}

func TestDeliberateRollbackIsASuccess(t *testing.T) {
	s := newSite(t, hookDriver{}, insertAnd(func(w http.ResponseWriter, r *http.Request) {
		if err := FromContext(r.Context()).Rollback(); err != nil {
			t.Error(err)
		}
		w.WriteHeader(200)
	}))
	resp, _ := s.get(t)
	wantStatus(t, resp, 200)
	s.wantEvents(t, "begin exec rollback 200")
}

func TestEndOfAStreamThatFailsIsLogged(t *testing.T) {
	s := newSite(t, hookDriver{commit: failing(errBoom)}, insertAnd(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
	}), WithReadOnly())
	resp, _ := s.get(t)
	wantStatus(t, resp, 200)
	if len(s.log.with(t, "ending the transaction after the response failed")) != 1 {
		t.Error("dropped")
	}
}

func TestSaturatedPoolAnswers503(t *testing.T) {
	overloaded := &AcquireError{Kind: ErrOverloaded, PredictedWait: 2400 * time.Millisecond}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = insert(r.Context(), FromContext(r.Context()))
			w.Header().Set("X-Handler", "kept")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "by the handler")
		}
	}
	nothing := func(_ http.ResponseWriter, r *http.Request) {
		_ = insert(r.Context(), FromContext(r.Context()))
	}
	tests := []struct {
		name    string
		begin   error
		handler http.HandlerFunc
		status  int
		retry   string
		body    string
	}{
		{"500", overloaded, status(500), 503, "2", "by the handler"},
		{"502", &AcquireError{Kind: ErrServerFull}, status(502), 503, "1", "by the handler"},
		{"503", &AcquireError{Kind: ErrPoolTimeout}, status(503), 503, "1", "by the handler"},
		{"nothing", overloaded, nothing, 503, "2", "Service Unavailable\n"},
		{"sentinel", ErrPoolTimeout, nothing, 503, "1", "Service Unavailable\n"},
		{"429", overloaded, status(429), 429, "", "by the handler"},
		{"200", overloaded, status(200), 200, "", "by the handler"},
		{"500, other reason", errBoom, status(500), 500, "", "by the handler"},
		{"500, nested", &AcquireError{Kind: ErrNested}, status(500), 500, "", "by the handler"},
		{"nothing, other reason", errBoom, nothing, 500, "", "Internal Server Error\n"},
		{"nothing, closed", ErrClosed, nothing, 503, "", "Service Unavailable\n"},
		{"own Retry-After", overloaded, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "99")
			status(500)(w, r)
		}, 503, "99", "by the handler"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, hookDriver{begin: failing(tt.begin)}, tt.handler)
			resp, body := s.get(t)
			wantStatus(t, resp, tt.status)
			wantHeader(t, resp, "Retry-After", tt.retry)
			if body != tt.body {
				t.Errorf("body %q, want %q", body, tt.body)
			}
			if tt.body == "by the handler" {
				wantHeader(t, resp, "X-Handler", "kept")
			}
			if quiet := saturated(tt.begin); quiet && len(s.log.with(t, "request failed")) != 0 {
				t.Error("an overload fills the log")
			}
		})
	}
}

// A session that got its connection at the second attempt was served.
func TestSaturationThatPassedIsForgotten(t *testing.T) {
	full := true
	s := newSite(t, hookDriver{begin: func(context.Context) error {
		if full {
			full = false
			return &AcquireError{Kind: ErrOverloaded}
		}
		return nil
	}}, func(w http.ResponseWriter, r *http.Request) {
		s := FromContext(r.Context())
		_ = insert(r.Context(), s)
		_ = insert(r.Context(), s)
		http.Error(w, "for another reason", 500)
	})
	resp, _ := s.get(t)
	wantStatus(t, resp, 500)
	wantHeader(t, resp, "Retry-After", "")
}
