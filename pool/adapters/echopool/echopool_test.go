package echopool

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/dbpool-go/dbpool/internal/adaptertest"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { pgtest.Main(m, func() error { return goleak.Find() }) }

var errBoom = errors.New("boom")

func engine(p *pool.Pool, h echo.HandlerFunc, inner ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.Logger = slog.New(slog.DiscardHandler)
	e.Use(middleware.Recover(), Middleware(p))
	e.Use(inner...)
	e.GET("/items/:id", h)
	return e
}

// after inserts an item, or one that cannot be committed, and goes on.
func after(t *testing.T, insert func(context.Context) error, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c *echo.Context) error {
		if err := insert(c.Request().Context()); err != nil {
			t.Error(err)
		}
		return next(c)
	}
}

// Every way in which echo says a success or an error, with work that can be
// committed and with work that cannot.
func TestOutcomes(t *testing.T) {
	s := adaptertest.Open(t)
	for name, tt := range map[string]struct {
		handler echo.HandlerFunc
		status  int
		items   int
	}{
		"JSON":        {func(c *echo.Context) error { return c.JSON(201, "ok") }, 201, 1},
		"nothing":     {func(*echo.Context) error { return nil }, 200, 1},
		"no content":  {func(c *echo.Context) error { return c.NoContent(204) }, 204, 1},
		"redirect":    {func(c *echo.Context) error { return c.Redirect(303, "/") }, 303, 1},
		"flush":       {func(c *echo.Context) error { return http.NewResponseController(c.Response()).Flush() }, 200, 1},
		"400":         {func(c *echo.Context) error { return c.JSON(400, "no") }, 400, 0},
		"error":       {func(*echo.Context) error { return errBoom }, 500, 0},
		"HTTPError":   {func(*echo.Context) error { return echo.NewHTTPError(409, "no") }, 409, 0},
		"not found":   {func(*echo.Context) error { return echo.ErrNotFound }, 404, 0},
		"HTTPError 3": {func(*echo.Context) error { return echo.NewHTTPError(304, "") }, 304, 0},
		"panic":       {func(*echo.Context) error { panic("boom") }, 500, 0},
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

// Whoever writes the error finds that nothing was written and nothing is committed.
func TestErrorsAreWrittenByOthers(t *testing.T) {
	s := adaptertest.Open(t)
	h := after(t, adaptertest.Insert, func(*echo.Context) error { return errBoom })
	write := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			if err := next(c); err != nil {
				return c.JSON(422, "refused")
			}
			return nil
		}
	}
	handler := engine(s.Pool, h)
	handler.HTTPErrorHandler = func(c *echo.Context, err error) {
		if n := s.Items(); n != 0 || err != errBoom {
			t.Errorf("%d items, %v", n, err)
		}
		_ = c.String(418, "refused")
	}
	outside := echo.New()
	outside.Use(write, Middleware(s.Pool))
	outside.GET("/items/:id", h)
	for name, tt := range map[string]struct {
		echo   *echo.Echo
		status int
	}{
		"handler": {handler, 418}, "inside": {engine(s.Pool, h, write), 422}, "outside": {outside, 422},
		"recovery inside": {engine(s.Pool, after(t, adaptertest.Insert, func(*echo.Context) error { panic("boom") }), middleware.Recover()), 500},
	} {
		if a := adaptertest.Get(t, tt.echo, "/items/7"); a.Status != tt.status || s.Items() != 0 {
			t.Errorf("%s: status %d %q", name, a.Status, a.Body)
		}
	}
}

// The first byte of a stream proves that the work is done.
func TestCommitComesBeforeTheFirstByte(t *testing.T) {
	s := adaptertest.Open(t)
	h := after(t, adaptertest.Insert, func(c *echo.Context) error {
		_, _ = io.WriteString(c.Response(), "first")
		if n := s.Items(); n != 1 {
			t.Errorf("%d items while it streams", n)
		}
		if err := adaptertest.Insert(c.Request().Context()); !errors.Is(err, pool.ErrSessionDone) {
			t.Errorf("a statement after the first byte: %v", err)
		}
		return nil
	})
	if a := adaptertest.Get(t, engine(s.Pool, h), "/items/7"); a.Body != "first" {
		t.Errorf("%d %q", a.Status, a.Body)
	}
}

func TestFullPool(t *testing.T) {
	s := adaptertest.Open(t)
	defer s.Fill()()
	for name, say := range map[string]func(*echo.Context, error) error{
		"returned":  func(_ *echo.Context, err error) error { return err },
		"HTTPError": func(_ *echo.Context, err error) error { return echo.NewHTTPError(500, "sorry").Wrap(err) },
		"nothing":   func(*echo.Context, error) error { return nil },
		"written":   func(c *echo.Context, _ error) error { return c.String(500, "sorry") },
	} {
		a := adaptertest.Get(t, engine(s.Pool, func(c *echo.Context) error { return say(c, adaptertest.InsertSoon(c.Request().Context())) }), "/items/7")
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", name, a.Status, a.Header)
		}
	}
}

func TestNamesAreRoutes(t *testing.T) {
	s := adaptertest.Open(t)
	var got string
	look := after(t, adaptertest.Insert, func(*echo.Context) error { got = s.Route(); return nil })
	e := engine(s.Pool, look)
	e.RouteNotFound("/lost/*", look)
	for target, want := range map[string]string{"/items/secret": "GET /items/:id", "/lost/secret": "GET /lost/*"} {
		if adaptertest.Get(t, e, target); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	e = engine(s.Pool, look, func(echo.HandlerFunc) echo.HandlerFunc { return look })
	if adaptertest.Get(t, e, "/secret"); got != "GET other" {
		t.Errorf("no route: %q", got)
	}
}
