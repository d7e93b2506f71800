package pool

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"testing"
)

// goroutines is the goroutine profile as text, labels included.
func goroutines(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestProfilesShowWhoseWorkItIs(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	label := func(work string) string { return `"dbpool":"db", "dbpool_work":"` + work + `"` }
	during := func(work string) func(context.Context, *Session) error {
		return func(context.Context, *Session) error {
			if !strings.Contains(goroutines(t), label(work)) {
				t.Errorf("no goroutine is labelled %s", label(work))
			}
			return nil
		}
	}
	if err := p.WithSession(ContextWithName(t.Context(), "nightly"), during("nightly")); err != nil {
		t.Error(err)
	}
	if err := p.Background(t.Context(), "reindex", during("reindex")).Wait(t.Context()); err != nil {
		t.Error(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", p.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = during("GET /orders")(r.Context(), nil)
	})))
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/orders", nil))
	if after := goroutines(t); strings.Contains(after, label("nightly")) || strings.Contains(after, label("GET /orders")) {
		t.Error("the labels outlived the work")
	}
}
