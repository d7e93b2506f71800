// Package ginpool gives each request of gin a session of a pool: commit before the
// first byte of a success, rollback on every way in which gin says an error.
//
//	r := gin.New()
//	r.Use(gin.Recovery(), ginpool.Middleware(p))
//	r.POST("/orders", func(c *gin.Context) {
//		_, err := pool.FromContext(c.Request.Context()).ExecContext(c.Request.Context(), "insert into orders …")
//		…
//	})
//
// The session is in c.Request.Context(). In c itself it is only if the engine's
// ContextWithFallback is set.
//
// A session is rolled back by a status of 400 or more (c.JSON, c.Status,
// c.AbortWithStatus, c.AbortWithError), by c.Error, by a panic and by a request
// whose client has gone. With c.Error the status is never that of a success: one
// that was about to be written becomes 500, the body stays, and when nothing was
// written the status is set to 500 for an error middleware outside to overwrite.
//
// Traps:
//
//   - gin.Recovery may be outside or inside. Middleware that writes responses for
//     c.Errors may be too; one inside decides on the status itself.
//   - c.Error after the first byte of a success comes too late, as do statements
//     after it: they get pool.ErrSessionDone. To stream rows with c.Stream or
//     c.SSEvent, pass pool.WithReadOnly or pool.WithAutocommit.
//   - A goroutine that outlives the handler has no session, with c.Copy neither: use
//     the pool's Background.
//   - Middleware outside sees the request as it was before; what gin.Context carries
//     (Set, Errors) it sees.
package ginpool

import (
	"bufio"
	"net"
	"net/http"

	"github.com/dbpool-go/dbpool/pool"
	"github.com/gin-gonic/gin"
)

// Middleware returns gin's form of [pool.Pool.Middleware], which says when the
// session begins and ends and what a client is told of a failed commit (500, or 503
// with Retry-After) and of a full pool (503 with Retry-After). The name of the
// session is the method and the pattern of the route ("GET /orders/:id"), or
// "GET other". It panics when the options exclude one another.
func Middleware(p *pool.Pool, opts ...pool.SessionOption) gin.HandlerFunc {
	around := p.MiddlewareFunc(opts...)
	around(http.NotFoundHandler()) // panics now rather than at the first request
	return func(c *gin.Context) {
		outer, request := c.Writer, c.Request
		defer func() { c.Writer, c.Request = outer, request }()
		if path := c.FullPath(); path != "" {
			request.Pattern = request.Method + " " + path
		}
		around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.Writer, c.Request = &writer{outer, w, c}, r
			c.Next()
			if len(c.Errors) > 0 && !outer.Written() && outer.Status() < http.StatusBadRequest {
				outer.WriteHeader(http.StatusInternalServerError) // not sent yet; the pool's middleware looks at it
			}
		})).ServeHTTP(outer, request)
	}
}

// writer sends through the pool's writer what gin's own, the embedded one, would
// send by itself. That one still keeps the status and counts the bytes.
type writer struct {
	gin.ResponseWriter
	pool http.ResponseWriter
	c    *gin.Context
}

// WriteHeaderNow ends the session, then sends the status.
func (w *writer) WriteHeaderNow() {
	if w.Written() {
		return
	}
	code := w.Status()
	if len(w.c.Errors) > 0 && code < http.StatusBadRequest {
		code = http.StatusInternalServerError
	}
	w.pool.WriteHeader(code)
	w.ResponseWriter.WriteHeaderNow()
}

func (w *writer) Write(b []byte) (int, error) {
	w.WriteHeaderNow()
	return w.pool.Write(b)
}

func (w *writer) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (w *writer) Flush() {
	w.WriteHeaderNow()
	_ = http.NewResponseController(w.pool).Flush()
}

// Hijack commits before.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.pool).Hijack()
}

// Unwrap lets http.ResponseController reach what gin's writer has not, after the commit.
func (w *writer) Unwrap() http.ResponseWriter { return w.pool }
