package ginpool

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/dbpool-go/dbpool/internal/adaptertest"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/gin-gonic/gin"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	gin.DefaultErrorWriter = io.Discard // stacks of panics that are meant
	pgtest.Main(m, func() error { return goleak.Find() })
}

var errBoom = errors.New("boom")

func engine(p *pool.Pool, h gin.HandlerFunc, inner ...gin.HandlerFunc) *gin.Engine {
	r := gin.New()
	r.Use(gin.Recovery(), Middleware(p))
	r.Use(inner...)
	r.GET("/items/:id", h)
	return r
}

// after inserts an item, or one that cannot be committed, and goes on.
func after(t *testing.T, insert func(context.Context) error, next gin.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := insert(c.Request.Context()); err != nil {
			t.Error(err)
		}
		next(c)
	}
}

// Every way in which gin says a success or an error, with work that can be
// committed and with work that cannot.
func TestOutcomes(t *testing.T) {
	s := adaptertest.Open(t)
	for name, tt := range map[string]struct {
		handler gin.HandlerFunc
		status  int
		items   int
	}{
		"JSON":            {func(c *gin.Context) { c.JSON(201, "ok") }, 201, 1},
		"nothing":         {func(*gin.Context) {}, 200, 1},
		"Status":          {func(c *gin.Context) { c.Status(204) }, 204, 1},
		"redirect":        {func(c *gin.Context) { c.Redirect(303, "/") }, 303, 1},
		"abort":           {func(c *gin.Context) { c.AbortWithStatus(202) }, 202, 1},
		"stream":          {func(c *gin.Context) { c.Stream(func(w io.Writer) bool { _, _ = io.WriteString(w, "x"); return false }) }, 200, 1},
		"event":           {func(c *gin.Context) { c.SSEvent("x", "y"); c.Writer.Flush() }, 200, 1},
		"400":             {func(c *gin.Context) { c.JSON(400, "no") }, 400, 0},
		"status 500":      {func(c *gin.Context) { c.Status(500) }, 500, 0},
		"AbortWithStatus": {func(c *gin.Context) { c.AbortWithStatus(409) }, 409, 0},
		"AbortWithError":  {func(c *gin.Context) { _ = c.AbortWithError(422, errBoom) }, 422, 0},
		"Error":           {func(c *gin.Context) { _ = c.Error(errBoom) }, 500, 0},
		"Error, status":   {func(c *gin.Context) { _ = c.Error(errBoom); c.Status(418) }, 418, 0},
		"Error, success":  {func(c *gin.Context) { _ = c.Error(errBoom); c.JSON(200, "ok") }, 500, 0},
		"panic":           {func(*gin.Context) { panic("boom") }, 500, 0},
	} {
		if a := adaptertest.Get(t, engine(s.Pool, after(t, adaptertest.Insert, tt.handler)), "/items/7"); a.Status != tt.status {
			t.Errorf("%s: status %d %q, want %d", name, a.Status, a.Body, tt.status)
		}
		if n := s.Items(); n != tt.items {
			t.Errorf("%s: %d items, want %d", name, n, tt.items)
		}
		want := max(tt.status, 500*tt.items)
		if a := adaptertest.Get(t, engine(s.Pool, after(t, adaptertest.InsertBad, tt.handler)), "/items/7"); a.Status != want {
			t.Errorf("%s, commit fails: status %d %q, want %d", name, a.Status, a.Body, want)
		}
	}
}

// Recovery and the writer of errors may be on either side.
func TestErrorsAreWrittenByMiddleware(t *testing.T) {
	s := adaptertest.Open(t)
	writeErrors := func(c *gin.Context) {
		c.Next()
		if len(c.Errors) > 0 {
			c.JSON(422, "refused")
		}
	}
	failing := after(t, adaptertest.Insert, func(c *gin.Context) { _ = c.Error(errBoom) })
	outside := gin.New()
	outside.Use(writeErrors, Middleware(s.Pool))
	outside.GET("/items/:id", failing)
	panicking := after(t, adaptertest.Insert, func(*gin.Context) { panic("boom") })
	for name, tt := range map[string]struct {
		engine *gin.Engine
		status int
	}{
		"inside":          {engine(s.Pool, failing, writeErrors), 422},
		"outside":         {outside, 422},
		"recovery inside": {engine(s.Pool, panicking, gin.Recovery()), 500},
	} {
		if a := adaptertest.Get(t, tt.engine, "/items/7"); a.Status != tt.status || s.Items() != 0 {
			t.Errorf("%s: status %d %q", name, a.Status, a.Body)
		}
	}
}

// The first byte of a stream proves that the work is done.
func TestCommitComesBeforeTheFirstByte(t *testing.T) {
	s := adaptertest.Open(t)
	h := after(t, adaptertest.Insert, func(c *gin.Context) {
		c.Stream(func(w io.Writer) bool {
			_, _ = io.WriteString(w, "first")
			if n := s.Items(); n != 1 {
				t.Errorf("%d items while it streams", n)
			}
			if err := adaptertest.Insert(c.Request.Context()); !errors.Is(err, pool.ErrSessionDone) {
				t.Errorf("a statement after the first byte: %v", err)
			}
			return false
		})
	})
	if a := adaptertest.Get(t, engine(s.Pool, h), "/items/7"); a.Body != "first" {
		t.Errorf("%d %q", a.Status, a.Body)
	}
}

func TestFullPool(t *testing.T) {
	s := adaptertest.Open(t)
	defer s.Fill()()
	for name, say := range map[string]func(*gin.Context, error){
		"AbortWithError": func(c *gin.Context, err error) { _ = c.AbortWithError(500, err) },
		"Error":          func(c *gin.Context, err error) { _ = c.Error(err) },
		"nothing":        func(*gin.Context, error) {},
		"own error":      func(c *gin.Context, _ error) { c.JSON(500, "sorry") },
	} {
		a := adaptertest.Get(t, engine(s.Pool, func(c *gin.Context) { say(c, adaptertest.InsertSoon(c.Request.Context())) }), "/items/7")
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", name, a.Status, a.Header)
		}
	}
}

func TestNamesAreRoutes(t *testing.T) {
	s := adaptertest.Open(t)
	var got string
	look := func(c *gin.Context) { got = s.Route() }
	r := engine(s.Pool, after(t, adaptertest.Insert, look))
	r.NoRoute(after(t, adaptertest.Insert, look))
	for target, want := range map[string]string{"/items/secret": "GET /items/:id", "/secret": "GET other"} {
		if adaptertest.Get(t, r, target); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

func TestSessionInTheContext(t *testing.T) {
	s := adaptertest.Open(t)
	r := engine(s.Pool, func(c *gin.Context) {
		if pool.FromContext(c) == nil || pool.FromContext(c) != pool.FromContext(c.Request.Context()) {
			t.Error("the session is not in gin's context")
		}
	})
	r.ContextWithFallback = true
	adaptertest.Get(t, r, "/items/7")
}

func TestHijackedConnectionComesAfterTheCommit(t *testing.T) {
	s := adaptertest.Open(t)
	h := func(c *gin.Context) {
		conn, _, err := c.Writer.Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 299 Mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}
	if a := adaptertest.Get(t, engine(s.Pool, after(t, adaptertest.Insert, h)), "/items/7"); a.Status != 299 || s.Items() != 1 {
		t.Errorf("status %d", a.Status)
	}
	if a := adaptertest.Get(t, engine(s.Pool, after(t, adaptertest.InsertBad, h)), "/items/7"); a.Status != 500 {
		t.Errorf("commit fails: status %d", a.Status)
	}
}
