package fiberpool

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/dbpool-go/dbpool/internal/adaptertest"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/gofiber/fiber/v3"
	fiberrecover "github.com/gofiber/fiber/v3/middleware/recover"
)

func TestMain(m *testing.M) { pgtest.Main(m) } // fasthttp keeps goroutines for the process

var errBoom = errors.New("boom")

func app(p *pool.Pool, h fiber.Handler, onError fiber.ErrorHandler) *fiber.App {
	a := fiber.New(fiber.Config{ErrorHandler: onError})
	a.Use(fiberrecover.New(), func(c fiber.Ctx) error {
		c.Set("X-Before", "yes")
		return c.Next()
	})
	a.Get("/items/:id", New(p), h)
	return a
}

func get(t *testing.T, a *fiber.App, target string) adaptertest.Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := a.Test(req, fiber.TestConfig{Timeout: 0})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return adaptertest.Answer{Status: resp.StatusCode, Body: string(body), Header: resp.Header}
}

// after inserts an item, or one that cannot be committed, and goes on.
func after(t *testing.T, insert func(context.Context) error, next fiber.Handler) fiber.Handler {
	return func(c fiber.Ctx) error {
		if err := insert(c.Context()); err != nil {
			t.Error(err)
		}
		return next(c)
	}
}

// Every way in which fiber says a success or an error, with work that can be
// committed and with work that cannot.
func TestOutcomes(t *testing.T) {
	s := adaptertest.Open(t)
	for name, tt := range map[string]struct {
		handler fiber.Handler
		status  int
		items   int
	}{
		"JSON":       {func(c fiber.Ctx) error { c.Set("X-Own", "yes"); return c.Status(201).JSON("ok") }, 201, 1},
		"nothing":    {func(fiber.Ctx) error { return nil }, 200, 1},
		"SendStatus": {func(c fiber.Ctx) error { return c.SendStatus(204) }, 204, 1},
		"redirect":   {func(c fiber.Ctx) error { return c.Redirect().To("/") }, 303, 1},
		"stream": {func(c fiber.Ctx) error {
			return c.SendStreamWriter(func(w *bufio.Writer) { _, _ = w.WriteString("x") })
		}, 200, 1},
		"400":         {func(c fiber.Ctx) error { return c.Status(400).SendString("no") }, 400, 0},
		"500":         {func(c fiber.Ctx) error { return c.SendStatus(500) }, 500, 0},
		"error":       {func(fiber.Ctx) error { return errBoom }, 500, 0},
		"fiber.Error": {func(fiber.Ctx) error { return fiber.NewError(409, "no") }, 409, 0},
		"body, error": {func(c fiber.Ctx) error { _ = c.Status(201).JSON("ok"); return fiber.ErrTeapot }, 418, 0},
		"panic":       {func(fiber.Ctx) error { panic("boom") }, 500, 0},
	} {
		if a := get(t, app(s.Pool, after(t, adaptertest.Insert, tt.handler), nil), "/items/7"); a.Status != tt.status || a.Header.Get("X-Before") == "" {
			t.Errorf("%s: %+v, want %d", name, a, tt.status)
		}
		if n := s.Items(); n != tt.items {
			t.Errorf("%s: %d items, want %d", name, n, tt.items)
		}
		want := max(tt.status, 500*tt.items)
		a := get(t, app(s.Pool, after(t, adaptertest.InsertBad, tt.handler), nil), "/items/7")
		if a.Status != want || a.Header.Get("X-Before") == "" || a.Header.Get("X-Own") != "" || a.Header.Get("Location") != "" {
			t.Errorf("%s, commit fails: %+v, want %d", name, a, want)
		}
		if tt.items == 1 && a.Body != "Internal Server Error" {
			t.Errorf("%s, commit fails: the client reads %q", name, a.Body)
		}
	}
}

// The ErrorHandler writes when the work has been rolled back, and hears the cause.
func TestErrorHandler(t *testing.T) {
	s := adaptertest.Open(t)
	var seen error
	var items int
	onError := func(c fiber.Ctx, err error) error {
		seen, items = err, s.Items()
		return c.Status(422).SendString("refused")
	}
	a := get(t, app(s.Pool, after(t, adaptertest.Insert, func(fiber.Ctx) error { return errBoom }), onError), "/items/7")
	if a.Status != 422 || seen != errBoom || items != 0 {
		t.Errorf("%d, %v, %d items", a.Status, seen, items)
	}
	get(t, app(s.Pool, after(t, adaptertest.InsertBad, func(fiber.Ctx) error { return nil }), onError), "/items/7")
	if adaptertest.SQLState(seen) != "23503" {
		t.Error(seen)
	}
}

// A stream is written after the commit.
func TestStreamComesAfterTheCommit(t *testing.T) {
	s := adaptertest.Open(t)
	h := after(t, adaptertest.Insert, func(c fiber.Ctx) error {
		ctx := c.Context()
		return c.SendStreamWriter(func(w *bufio.Writer) {
			if n := s.Items(); n != 1 {
				t.Errorf("%d items while it streams", n)
			}
			if err := adaptertest.Insert(ctx); !errors.Is(err, pool.ErrSessionDone) {
				t.Errorf("a statement of the stream: %v", err)
			}
			_, _ = w.WriteString("streamed")
		})
	})
	if a := get(t, app(s.Pool, h, nil), "/items/7"); a.Body != "streamed" {
		t.Errorf("%+v", a)
	}
}

// A conflict at the commit may be tried again.
func TestConflictAtTheCommit(t *testing.T) {
	s := adaptertest.Open(t)
	s.Conflict()
	a := get(t, app(s.Pool, after(t, adaptertest.Insert, func(c fiber.Ctx) error { return c.SendString("ok") }), nil), "/items/7")
	if a.Status != 503 || a.Header.Get("Retry-After") != "1" {
		t.Errorf("%+v", a)
	}
}

// Nothing is committed when the context of the request has ended.
func TestEndedContext(t *testing.T) {
	s := adaptertest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	a := fiber.New()
	a.Use(func(c fiber.Ctx) error { c.SetContext(ctx); return c.Next() }, New(s.Pool))
	a.Get("/", after(t, adaptertest.Insert, func(c fiber.Ctx) error { cancel(); return c.SendString("ok") }))
	if a := get(t, a, "/"); a.Status != 503 || a.Header.Get("Retry-After") != "" || s.Items() != 0 {
		t.Errorf("%+v", a)
	}
}

func TestFullPool(t *testing.T) {
	s := adaptertest.Open(t)
	defer s.Fill()()
	for name, tt := range map[string]struct {
		say    func(fiber.Ctx, error) error
		status int
	}{
		"returned":    {func(_ fiber.Ctx, err error) error { return err }, 503},
		"own error":   {func(fiber.Ctx, error) error { return errBoom }, 503},
		"fiber.Error": {func(fiber.Ctx, error) error { return fiber.ErrInternalServerError }, 503},
		"written":     {func(c fiber.Ctx, _ error) error { return c.Status(500).SendString("sorry") }, 503},
		"nothing":     {func(fiber.Ctx, error) error { return nil }, 503},
		"own 404":     {func(fiber.Ctx, error) error { return fiber.ErrNotFound }, 404},
		"own answer":  {func(c fiber.Ctx, _ error) error { return c.SendString("from the cache") }, 200},
	} {
		a := get(t, app(s.Pool, func(c fiber.Ctx) error { return tt.say(c, adaptertest.InsertSoon(c.Context())) }, nil), "/items/7")
		if a.Status != tt.status || (a.Header.Get("Retry-After") != "") != (tt.status == 503) {
			t.Errorf("%s: %+v, want %d", name, a, tt.status)
		}
	}
}

func TestNamesAreRoutes(t *testing.T) {
	s := adaptertest.Open(t)
	var got string
	look := after(t, adaptertest.Insert, func(fiber.Ctx) error { got = s.Route(); return nil })
	if get(t, app(s.Pool, look, nil), "/items/secret"); got != "GET /items/:id" {
		t.Errorf("%q", got)
	}
	a := fiber.New()
	a.Use(New(s.Pool))
	a.Get("/items/:id", look)
	if get(t, a, "/items/secret"); got != "GET /" {
		t.Errorf("given to Use: %q", got)
	}
}
