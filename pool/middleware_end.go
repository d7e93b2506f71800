package pool

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"
)

var (
	errRowsOpen       = errors.New("pool: rows were open when the response began, so the work was rolled back; close them before writing, or stream with WithReadOnly or WithAutocommit")
	errResponseBegun  = overBecause("it was committed before the response began; run statements before writing, or use WithReadOnly or WithAutocommit")
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
	if err := w.session.neverServed(); err != nil && !w.begun {
		w.replace(err)
	}
	w.session.returned = true
	err := w.session.finish(ending{commit: !w.refused, why: errWorkReturned})
	switch {
	case err == nil || w.failure != nil:
	case !w.begun:
		w.replace(err)
	case !w.canceled(err):
		w.log("ending the transaction after the response failed", err)
	}
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
	if saturated(err) || repeatable(err) {
		w.retryAfter(err)
	}
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
func (w *response) refuse(code int) int {
	err := w.session.neverServed()
	if code < 500 || !saturated(err) {
		return code
	}
	w.retryAfter(err)
	return http.StatusServiceUnavailable
}

func (w *response) retryAfter(err error) {
	if w.Header().Get("Retry-After") != "" {
		return
	}
	wait := time.Second
	var refused *AcquireError
	if errors.As(err, &refused) {
		wait = refused.RetryAfter()
	}
	seconds := int((wait + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
}

func (w *response) log(what string, err error) {
	p := w.session.pool
	p.log.Error(what, "pool", p.cfg.Name, "name", nameOf(w.session.ctx), "error", err)
}
