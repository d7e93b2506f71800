package pool

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// naming returns a handler that notes under which name its statements acquire.
func naming(t *testing.T, begun *string) (*Pool, http.HandlerFunc) {
	p, _ := hookPool(t, &hookDriver{begin: func(ctx context.Context) error {
		*begun = nameOf(ctx)
		return nil
	}})
	return p, insertAnd(func(http.ResponseWriter, *http.Request) {})
}

func TestConnectionIsNamedAfterTheRoute(t *testing.T) {
	var name string
	p, h := naming(t, &name)
	around := func(outer func(http.Handler) http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /orders/{id}", h)
		return outer(mux)
	}
	inside := http.NewServeMux()
	inside.Handle("GET /orders/{id}", p.Middleware(h))
	named := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(ContextWithName(r.Context(), "mine")))
		})
	}
	wrap := func(next http.Handler) http.Handler { return p.Middleware(next) }
	tests := []struct {
		name    string
		handler http.Handler
		target  string
		want    string
	}{
		{"inside the mux", inside, "/orders/7", "GET /orders/{id}"},
		{"around the mux", around(wrap), "/orders/7", "GET /orders/{id}"},
		{"set outside", named(around(wrap)), "/orders/7", "mine"},
		{"set inside", around(func(next http.Handler) http.Handler { return p.Middleware(named(next)) }), "/orders/7", "mine"},
		{"no mux", p.Middleware(h), "/hunterpassword?token=secret", "GET other"},
		{"no match", around(wrap), "/hunterpassword", ""},
		{"inside another Middleware", p.Middleware(around(wrap)), "/orders/7", "GET /orders/{id}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name = ""
			serve(t, tt.handler, "GET", tt.target)
			if name != tt.want {
				t.Errorf("named %q, want %q", name, tt.want)
			}
		})
	}
}

// A log or metric around Middleware still learns what a mux inside matched.
func TestPatternIsSeenOutside(t *testing.T) {
	var name string
	p, h := naming(t, &name)
	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", h)
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/orders/7", nil)
	p.Middleware(mux).ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "GET /orders/{id}" {
		t.Errorf("pattern %q", r.Pattern)
	}
}

func TestInnermostMiddlewareCounts(t *testing.T) {
	for _, fail := range []bool{false, true} {
		d := hookDriver{}
		if fail {
			d.commit = failing(errBoom)
		}
		var inner http.Handler
		s := newSite(t, d, func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(w, r) })
		inner = s.pool.Middleware(insertAnd(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }))
		resp, _ := s.get(t)
		want, events := 201, "begin exec commit 201"
		if fail {
			want, events = 500, "begin exec commit 500 body"
		}
		wantStatus(t, resp, want)
		s.wantEvents(t, events)
	}
}
