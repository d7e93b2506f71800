// Package echopool gives each request of echo (v5) a session of a pool: commit
// before the first byte of a success, rollback on every way in which echo says an
// error.
//
//	e := echo.New()
//	e.Use(middleware.Recover(), echopool.Middleware(p))
//
// The session is in c.Request().Context(). It is rolled back by a returned error, a
// status of 400 or more, a panic and a request whose client has gone. A returned
// error goes on to the middleware outside and to echo's HTTPErrorHandler, which
// writes it after the rollback.
//
// Traps:
//
//   - Any returned error rolls back, an echo.HTTPError with a status below 400 too.
//   - An error returned after the first byte of a success comes too late, as do
//     statements after it: they get pool.ErrSessionDone. To stream rows, pass
//     pool.WithReadOnly or pool.WithAutocommit.
//   - Middleware inside that swallows an error and writes nothing has it committed.
//   - Use it with Use, not with Pre: before routing there is no pattern for the name.
//   - Hooks of the echo.Response (Before, After) that the handler adds are those of
//     the response inside; those added by middleware outside run too.
package echopool

import (
	"net/http"

	"github.com/dbpool-go/dbpool/pool"
	"github.com/labstack/echo/v5"
)

// Middleware returns echo's form of [pool.Pool.Middleware], which says when the
// session begins and ends and what a client is told of a failed commit (500, or 503
// with Retry-After) and of a full pool (503 with Retry-After). The name of the
// session is the method and the pattern of the route ("GET /orders/:id"), or
// "GET other". It panics when the options exclude one another.
func Middleware(p *pool.Pool, opts ...pool.SessionOption) echo.MiddlewareFunc {
	around := p.MiddlewareFunc(opts...)
	around(http.NotFoundHandler()) // panics now rather than at the first request
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) (err error) {
			outer, request := c.Response(), c.Request()
			defer func() { c.SetResponse(outer); c.SetRequest(request) }()
			if path := c.RouteInfo().Path; path != "" {
				request.Pattern = request.Method + " " + path
			}
			around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.SetResponse(echo.NewResponse(w, c.Logger()))
				c.SetRequest(r)
				if err = next(c); err != nil {
					// Nobody has written it yet. A failed rollback is the server's to do: the work is lost as well.
					_ = p.FromContext(r.Context()).Rollback()
				}
			})).ServeHTTP(outer, request)
			return err
		}
	}
}
