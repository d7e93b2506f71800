package ecosystem

import (
	"net/http"
	"testing"

	"github.com/dbpool-go/dbpool/internal/adaptertest"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/go-chi/chi/v5"
)

// namePattern sets the pattern that a router's request is going to match, for
// middlewares of the router's own Use: chi sets it after those.
func namePattern(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if routes := chi.RouteContext(r.Context()).Routes; routes != nil {
			r.Pattern = routes.Find(chi.NewRouteContext(), r.Method, r.URL.Path)
		}
		next.ServeHTTP(w, r)
	})
}

// TestChi has each way to use the middleware in chi commit before success, roll
// back otherwise, and name the connection by the whole pattern.
func TestChi(t *testing.T) {
	shop := adaptertest.Open(t)
	session := shop.MiddlewareFunc()
	routers := map[string]func(r chi.Router, h http.HandlerFunc){
		"with": func(r chi.Router, h http.HandlerFunc) { r.With(session).Get("/orders/{id}", h) },
		"group": func(r chi.Router, h http.HandlerFunc) {
			r.Group(func(r chi.Router) { r.Use(session); r.Get("/orders/{id}", h) })
		},
		"route": func(r chi.Router, h http.HandlerFunc) {
			r.Route("/orders", func(r chi.Router) { r.With(session).Get("/{id}", h) })
		},
		"root": func(r chi.Router, h http.HandlerFunc) { r.Use(namePattern, session); r.Get("/orders/{id}", h) },
	}
	work := []struct {
		name          string
		do            http.HandlerFunc
		status, items int
	}{
		{"success", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("done")) }, http.StatusOK, 1},
		{"an error's status", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusConflict) }, http.StatusConflict, 0},
		{"a panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, 0},
		{"a commit that fails", func(_ http.ResponseWriter, r *http.Request) { _ = adaptertest.InsertBad(r.Context()) }, http.StatusInternalServerError, 0},
	}
	for way, mount := range routers {
		for _, c := range work {
			t.Run(way+", "+c.name, func(t *testing.T) {
				var name, id string
				r := chi.NewRouter()
				mount(r, func(w http.ResponseWriter, r *http.Request) {
					if err := adaptertest.Insert(r.Context()); err != nil || pool.FromContext(r.Context()) == nil {
						t.Error(err)
					}
					name, id = shop.Route(), chi.URLParam(r, "id")
					c.do(w, r)
				})
				a := adaptertest.Get(t, r, "/orders/7")
				if n := shop.Items(); a.Status != c.status || n != c.items {
					t.Errorf("status %d, %d committed; want %d and %d", a.Status, n, c.status, c.items)
				}
				if name != "/orders/{id}" || id != "7" {
					t.Errorf("named %q, with the id %q", name, id)
				}
			})
		}
	}
}
