package pool

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// response is what the handler writes to. What would let the first byte out ends
// the session before. It has every method that a ResponseWriter may have; writer
// shows the handler those that the outer writer has.
type response struct {
	http.ResponseWriter
	session  *Session
	before   http.Header // as it was before the handler ran
	http1    bool        // not HTTP/2, where a connection is shared
	begun    bool        // the final status was passed on, or the connection hijacked
	refused  bool        // the status was 400 or more, or gRPC's was not 0
	finished bool        // the handler has returned
	failure  error       // why the handler's response was replaced
}

// WriteHeader ends the session, then passes the status on, or another if the
// commit failed. Codes that net/http refuses are left to it.
func (w *response) WriteHeader(code int) {
	informational := code < 200 && code != http.StatusSwitchingProtocols
	if w.begun || informational || code > 999 {
		w.ResponseWriter.WriteHeader(code)
		return
	}
	w.begun = true
	if w.finished && code >= 400 {
		w.tooLate(code)
	}
	if w.refused = code >= 400 || grpcFailed(w.Header()); w.refused {
		w.rollback()
		w.ResponseWriter.WriteHeader(w.refuse(code))
		return
	}
	if err := w.commit(); err != nil {
		w.replace(err)
		return
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write sends a part of the body. It fails when the commit has failed.
func (w *response) Write(b []byte) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(b)
}

// WriteString spares the copy that Write would need.
func (w *response) WriteString(s string) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return io.WriteString(w.ResponseWriter, s)
}

// sniffLen is how much net/http reads of a body before it says anything.
const sniffLen = 512

// ReadFrom keeps the server's fast path for files. As net/http does, it reads
// before it begins the response: a source that fails at once, or is empty, leaves
// the handler free to say so.
func (w *response) ReadFrom(src io.Reader) (n int64, err error) {
	if !w.begun {
		var ended error
		if n, ended, err = w.readFirst(src); err != nil || ended == io.EOF {
			return n, err
		} else if ended != nil {
			return n, ended
		}
	}
	if w.failure != nil {
		return n, w.failure
	}
	rest, err := io.Copy(w.ResponseWriter, src)
	return n + rest, err
}

// readFirst passes the first bytes of src on, as soon as there are some. It
// returns how src ended, if it did, and how the writing failed, if it did.
func (w *response) readFirst(src io.Reader) (n int64, ended, failed error) {
	first := make([]byte, sniffLen)
	got := 0
	for got == 0 && ended == nil {
		got, ended = src.Read(first)
	}
	if got > 0 {
		got, failed = w.Write(first[:got])
	}
	return int64(got), ended, failed
}

// Flush commits before anything goes out, as Write does.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError sends what was written so far. The first byte may be among it, so
// it commits like Write.
func (w *response) FlushError() error {
	if !flushable(w.ResponseWriter) {
		return http.ErrNotSupported
	}
	if err := w.begin(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack commits, then hands the connection over.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !supports[http.Hijacker](w.ResponseWriter) {
		return nil, nil, http.ErrNotSupported
	}
	if !w.begun {
		if err := w.commit(); err != nil {
			w.begun = true
			w.replace(err)
		}
	}
	if w.failure != nil {
		return nil, nil, w.failure
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.begun = w.begun || err == nil
	return conn, rw, err
}

// Push announces another response; nothing of this one goes out.
func (w *response) Push(target string, opts *http.PushOptions) error {
	return w.ResponseWriter.(http.Pusher).Push(target, opts)
}

// CloseNotify is the outer writer's.
func (w *response) CloseNotify() <-chan bool {
	return w.ResponseWriter.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // frameworks ask for it
}

// supports reports whether w, or a writer that it wraps, is a T.
func supports[T any](w http.ResponseWriter) bool {
	_, ok := outermost[T](w)
	return ok
}

// outermost returns w, or the first writer that it wraps, that is a T.
func outermost[T any](w http.ResponseWriter) (t T, ok bool) {
	for {
		if t, ok := w.(T); ok {
			return t, true
		}
		outer, wraps := w.(interface{ Unwrap() http.ResponseWriter })
		if !wraps {
			return t, false
		}
		w = outer.Unwrap()
	}
}

func flushable(w http.ResponseWriter) bool {
	return supports[http.Flusher](w) || supports[errFlusher](w)
}
