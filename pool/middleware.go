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
// A request's route names its connection in timeouts, leak warnings and status
// pages: the pattern that http.ServeMux matched, unless ContextWithName set another.
//
// The writer given to next also implements http.Flusher if the outer one does,
// and http.ResponseController works as without Middleware. Where several wrap
// one another the innermost session counts; the unused ones cost no connection.
//
// Middleware panics when the options exclude one another.
func (p *Pool) Middleware(next http.Handler, opts ...SessionOption) http.Handler {
	o, err := sessionOptionsOf(opts)
	if err != nil {
		panic(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, outer *http.Request) {
		var r *http.Request
		ctx, unlabel := p.labelled(outer.Context(), cmp.Or(nameOf(outer.Context()), routeName(outer)))
		defer unlabel()
		s := p.startSession(ctx, o, FromContext(ctx), nil)
		if nameOf(ctx) == "" {
			s.route = func() string { return routeName(r) }
		}
		r = outer.WithContext(s.ctx)
		defer func() { outer.Pattern = r.Pattern }() // as if a mux inside had had it itself
		defer s.abandon()
		resp := &response{ResponseWriter: w, session: s, before: w.Header().Clone()}
		next.ServeHTTP(resp.writer(), r)
		resp.finish()
	})
}

// routeName is the pattern the request matched, else its method and the first
// segment of its path if that looks like a word, not like an identifier or a
// secret: few different names, whatever clients send.
func routeName(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	segment, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case len(segment) > 24 || strings.Trim(segment, "abcdefghijklmnopqrstuvwxyz_-") != "":
		segment = "…"
	case rest != "":
		segment += "/…"
	}
	return r.Method + " /" + segment
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
