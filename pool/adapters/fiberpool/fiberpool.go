// Package fiberpool gives each request of fiber (v3) a session of a pool: commit
// before the response is sent, rollback on every way in which fiber says an error.
//
//	app.Use(recover.New())
//	app.Post("/orders/:id", fiberpool.New(p), create)
//
// The session is in c.Context(), not in c itself. It is rolled back by a returned
// error, which goes on to fiber's ErrorHandler, by a status of 400 or more, and by a
// panic, which goes on too.
//
// fasthttp sends the response when all handlers have returned, so the commit comes
// when the handler has returned, and a failed one replaces the whole response.
//
// Traps:
//
//   - A stream (SendStreamWriter, SetBodyStreamWriter, server-sent events) is written
//     after the handlers have returned, and so after the commit: its statements get
//     pool.ErrSessionDone. Use p.WithSession in the function that writes it.
//   - fasthttp does not say when a client goes away: its request runs to the end and
//     is committed. Bound the work with a context.
//   - fiber finds the route after what was given to Use. Give New with the route, or
//     its name in timeouts and logs is that of the prefix ("GET /").
//   - Strings of fiber.Ctx are overwritten by the next request: copy what goes on in
//     a goroutine. Such goroutines have no session: use the pool's Background.
package fiberpool

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/dbpool-go/dbpool/pool"
	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
)

// errRefused rolls back a response whose status is an error.
var errRefused = errors.New("fiberpool: the response's status is an error")

// New returns the middleware. The session's name is the method and the pattern of
// the route that it was given with ("POST /orders/:id").
//
// When the commit fails, fiber's ErrorHandler gets a *fiber.Error of 500, or of 503
// with Retry-After in the header when the same request may succeed if it is sent
// again, and 503 when the context had ended. When the session got no connection
// because the pool or the server is full, a 5xx becomes 503 with Retry-After, and so
// does a response of which nothing was written. The error wraps the cause; its text
// says nothing of the database. Options that exclude one another fail every request.
func New(p *pool.Pool, opts ...pool.SessionOption) fiber.Handler {
	return func(c fiber.Ctx) error {
		outer := c.Context()
		defer c.SetContext(outer)
		var before fasthttp.ResponseHeader
		c.Response().Header.CopyTo(&before)
		var failed, unserved error // the handler, and its session's last attempt to get a connection
		name := c.Method() + " " + c.FullPath()
		err := p.WithSession(pool.ContextWithName(outer, name), func(ctx context.Context, s *pool.Session) error {
			c.SetContext(ctx)
			failed = c.Next()
			unserved = s.Unserved()
			if failed == nil && c.Response().StatusCode() >= http.StatusBadRequest {
				return errRefused
			}
			return failed
		}, opts...)
		if _, full := pool.RetryAfter(unserved); full && (code(c, failed) >= 500 || failed == nil && untouched(c)) {
			return lost(c, &before, unserved)
		}
		if err == nil || failed != nil || errors.Is(err, errRefused) {
			return failed
		}
		c.SetContext(outer) // the session's has ended in any case
		return lost(c, &before, err)
	}
}

// code is the status that the client would get.
func code(c fiber.Ctx, failed error) int {
	if failed == nil {
		return c.Response().StatusCode()
	}
	var e *fiber.Error
	if errors.As(failed, &e) {
		return e.Code
	}
	return http.StatusInternalServerError
}

// untouched reports whether nothing was written.
func untouched(c fiber.Ctx) bool {
	r := c.Response()
	return r.StatusCode() == http.StatusOK && !r.IsBodyStream() && len(r.Body()) == 0
}

// lost takes back the response and returns what fiber's ErrorHandler is to answer.
func lost(c fiber.Ctx, before *fasthttp.ResponseHeader, cause error) error {
	c.Response().Reset()
	before.CopyTo(&c.Response().Header)
	said := fiber.ErrInternalServerError
	wait, again := pool.RetryAfter(cause)
	if again {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(wait.Seconds())))
	}
	if again || c.Context().Err() != nil {
		said = fiber.ErrServiceUnavailable
	}
	return &failure{said, cause}
}

// failure is what the client reads and, for ErrorHandlers and logs, why.
type failure struct {
	said  *fiber.Error
	cause error
}

func (f *failure) Error() string   { return f.said.Message }
func (f *failure) Unwrap() []error { return []error{f.said, f.cause} }
