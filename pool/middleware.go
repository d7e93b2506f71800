package pool

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
)

// Middleware gives each request a Session, which next and all it calls find
// with FromContext(r.Context()).
//
// The session is committed before the first byte of a success response goes
// out, so a client never sees success for work that was lost. A status of 400
// or more, a panic or a cancelled request rolls back. In particular:
//
//   - The commit happens in the handler's first WriteHeader (below 400), Write,
//     Flush or Hijack, or when it returns having written nothing. Informational
//     1xx responses pass before it. After it, statements fail with
//     ErrSessionDone: run them before writing. Nothing is buffered.
//   - Rows still open at that moment would end in the middle; the work is then
//     rolled back and the client gets a 500. Close them first, or stream with
//     WithReadOnly or WithAutocommit: such sessions have no work to lose and
//     live until the handler returns.
//   - When the commit fails the client gets 500 in place of the handler's
//     response, of which nothing remains (headers set before the handler ran
//     do), and the handler's Write returns the error. It is 503 with Retry-After
//     when the same request may succeed if it is sent again (SQLSTATE class 40:
//     serialization failure, deadlock), and 503 when the request's context had
//     ended. To answer a failed commit yourself, call Session.Commit first.
//   - When the session got no connection because the pool or the server is full
//     and the handler answers with a 5xx status, the status becomes 503 with
//     Retry-After; body and other headers stay the handler's. When it writes
//     nothing, Middleware answers 503 itself (500 for other reasons).
//   - After Hijack the connection is the handler's: work done by then has been
//     committed.
//
// A framework's errors are seen only where they are said to this writer, before
// the handler returns. Use the framework's adapter, or return errors from
// WithSession, where they are not:
//
//   - echo writes the error that a handler returned after its middleware,
//     and so after the commit; gin's handlers write past a net/http middleware.
//   - gRPC and gRPC-Web say errors below HTTP's status, which is 200. A
//     Grpc-Status other than 0 that is in the header when the response begins,
//     or when the handler returns, rolls back. One that follows a message in a
//     trailer, or in the body, comes too late.
//   - http.TimeoutHandler around Middleware answers 503 while the handler goes on
//     and may commit. Put it inside: Middleware(TimeoutHandler(h)) rolls back.
//
// Middleware logs an error status that came after the commit.
//
// A request's route names its connection in timeouts, leak warnings and status
// pages: the name set by ContextWithName, else the pattern that http.ServeMux matched,
// outside Middleware or as the handler given to it, else "GET other". Nothing of
// what the client sent is in it but a known method.
//
// The writer given to next has each optional interface (http.Flusher,
// http.Hijacker, http.Pusher, io.ReaderFrom and so on) if and only if the outer
// one has, and http.ResponseController works as without Middleware. What next
// sets on the request (Form, MultipartForm, Pattern, path values) is on the outer
// request when it returns, so the server removes the files of an upload. Where
// several wrap one another the innermost session counts; the unused ones cost no
// connection.
//
// Middleware panics when the options exclude one another. See [Pool.MiddlewareFunc]
// for routers that take a func(http.Handler) http.Handler.
func (p *Pool) Middleware(next http.Handler, opts ...SessionOption) http.Handler {
	o, err := p.sessionOptions(opts)
	if err != nil {
		panic(err)
	}
	return &middleware{pool: p, next: next, opts: o}
}

// MiddlewareFunc returns Middleware with these options as routers take it:
//
//	router.Use(p.MiddlewareFunc())
func (p *Pool) MiddlewareFunc(opts ...SessionOption) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return p.Middleware(next, opts...) }
}

// middleware is the handler that Middleware returns.
type middleware struct {
	pool *Pool
	next http.Handler
	opts sessionOptions
}

func (m *middleware) ServeHTTP(w http.ResponseWriter, outer *http.Request) {
	around, name := FromContext(outer.Context()), nameOf(outer.Context())
	route := ""
	if name == "" || around != nil && name == around.route {
		route = m.route(outer)
	}
	ctx, unlabel := m.pool.labelled(outer.Context(), cmp.Or(route, name))
	defer unlabel()
	s := m.pool.startSession(ctx, m.opts, around)
	s.route = route
	r := outer.WithContext(s.ctx)
	defer handBack(outer, r)
	defer s.abandon()
	resp := &response{ResponseWriter: w, session: s, before: w.Header().Clone(), http1: outer.ProtoMajor == 1}
	m.next.ServeHTTP(resp.writer(), r)
	resp.finish()
}

// handBack makes outer what it would be if r had been outer: whatever a mux or a
// handler has set on it belongs to those around, and to the server, which removes
// the files of a multipart form.
func handBack(outer, r *http.Request) { *outer = *r.WithContext(outer.Context()) }

// router is a handler that can tell which pattern a request matches, as
// http.ServeMux.
type router interface {
	Handler(r *http.Request) (h http.Handler, pattern string)
}

// route is the pattern that the request matched, or is going to. It is found
// before anything else happens to the request, because goroutines of the handler
// may ask for the name while a mux inside still writes the pattern.
func (m *middleware) route(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	if mux, ok := m.next.(router); ok {
		if _, pattern := mux.Handler(r); pattern != "" {
			return pattern
		}
	}
	return otherRoute(r.Method)
}

// otherRoute is the name of requests that match no pattern: few different ones,
// and nothing that the client made up.
func otherRoute(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method + " other"
	}
	return "other"
}

// saturated reports whether err means that there was no room for a connection,
// so that the same request may succeed a little later.
func saturated(err error) bool {
	return errors.Is(err, ErrPoolTimeout) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrServerFull)
}

// repeatable reports whether err is a transaction that the server rolled back
// only because of what ran beside it.
func repeatable(err error) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && strings.HasPrefix(state.SQLState(), "40")
}
