package pool

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
)

var (
	errRowsOpen       = errors.New("pool: rows were open when the response began, so the work was rolled back; close them before writing, or stream with WithReadOnly or WithAutocommit")
	errResponseBegun  = overBecause("it was committed before the response began; run statements before writing, or use WithReadOnly or WithAutocommit")
	errGRPCTooLate    = errors.New("pool: gRPC's status follows the response's first message; use the adapter for grpc-go or connect")
	errStatusTooLate  = errors.New("pool: the framework writes errors after its middleware; use the adapter for it")
	errResponseFailed = overBecause("it was rolled back because of the response's status")
)

// begin makes sure that a status was passed on, as net/http would.
func (w *response) begin() error {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.failure
}

// commit ends a session whose work could be lost; others live on.
func (w *response) commit() error {
	if !w.session.opts.losable() {
		return nil
	}
	e := ending{commit: true, why: errResponseBegun}
	if w.session.isReading() {
		e = ending{commit: true, why: errRowsOpen, lost: errRowsOpen}
	}
	return w.session.finish(e)
}

// rollback gives the connection back before the client is written to.
func (w *response) rollback() {
	if !w.session.opts.losable() {
		return
	}
	if err := w.session.finish(ending{why: errResponseFailed}); err != nil {
		w.log("rollback failed", err)
	}
}

// finish ends the session when the handler has returned.
func (w *response) finish() {
	defer func() { w.finished = true }()
	past := !w.begun && w.writtenPast()
	if err := w.session.Unserved(); err != nil && !w.begun && !past {
		w.replace(err)
	}
	if !w.begun {
		w.refused = w.outerStatus() >= 400 || grpcFailed(w.Header())
	}
	w.session.returned = true
	err := w.session.finish(ending{commit: !w.refused, why: errWorkReturned})
	switch {
	case err == nil && w.begun && !w.refused && grpcFailed(w.Header()):
		w.log("committed before the response said that the call failed", errGRPCTooLate)
	case err == nil || w.failure != nil:
	case !w.begun && !past:
		w.replace(err)
	case !w.canceled(err):
		w.log("ending the transaction after the response failed", err)
	}
}

// outerStatus is the status that the outer writer says it has: of a framework
// whose handlers write past Middleware. 0 when there is none.
func (w *response) outerStatus() int {
	if outer, ok := outermost[interface{ Status() int }](w.ResponseWriter); ok {
		return outer.Status()
	}
	return 0
}

// writtenPast reports whether the outer writer says that a response was written
// to it, and none came by here.
func (w *response) writtenPast() bool {
	outer, ok := outermost[interface{ Written() bool }](w.ResponseWriter)
	return ok && outer.Written()
}

// tooLate says that an error status came when the work had been committed.
func (w *response) tooLate(code int) {
	if w.session.opts.losable() && w.session.hasCommitted() {
		w.log("response failed after the commit", fmt.Errorf("status %d: %w", code, errStatusTooLate))
	}
}

// grpcFailed reports whether a header or trailer says that a gRPC call failed.
func grpcFailed(h http.Header) bool {
	for _, key := range []string{"Grpc-Status", http.TrailerPrefix + "Grpc-Status"} {
		if v := h[key]; len(v) > 0 && v[0] != "0" {
			return true
		}
	}
	return false
}

// replace answers in place of the handler. Nothing that the handler said about
// its response may remain: not its length, its cookies or its caching.
func (w *response) replace(err error) {
	w.begun, w.failure = true, err
	h := w.Header()
	clear(h)
	maps.Copy(h, w.before)
	code := http.StatusInternalServerError
	if w.canceled(err) || saturated(err) || repeatable(err) || errors.Is(err, ErrClosed) {
		code = http.StatusServiceUnavailable
	}
	w.retryAfter(err)
	if !w.canceled(err) && !saturated(err) {
		w.log("request failed", err)
	}
	http.Error(w.ResponseWriter, http.StatusText(code), code)
}

// canceled reports whether err came of the end of the request's context, which
// is the client's doing or a deadline's and needs no log line. A commit that
// failed does.
func (w *response) canceled(err error) bool {
	return w.session.ctx.Err() != nil && !errors.Is(err, errCommit)
}

// refuse turns a server error into 503 when the reason was a saturated pool.
//
// A request body that was too large ends an HTTP/1 connection: http.MaxBytesReader
// tells that to net/http's own writer, which it does not see behind this one.
func (w *response) refuse(code int) int {
	if code == http.StatusRequestEntityTooLarge && w.http1 && w.Header().Get("Connection") == "" {
		w.Header().Set("Connection", "close")
	}
	err := w.session.Unserved()
	if code < 500 || !saturated(err) {
		return code
	}
	w.retryAfter(err)
	return http.StatusServiceUnavailable
}

// retryAfter says when to ask again, if the same request may succeed then.
func (w *response) retryAfter(err error) {
	wait, ok := RetryAfter(err)
	if !ok || w.Header().Get("Retry-After") != "" {
		return
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
}

func (w *response) log(what string, err error) {
	p := w.session.pool
	p.log.Error(what, append(w.session.logAttrs(), loggable(err)...)...)
}
