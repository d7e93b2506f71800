package pool

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// response is the ResponseWriter given to the handler. What would let the first
// byte out ends the session before.
type response struct {
	http.ResponseWriter
	session *Session
	before  http.Header // as it was before the handler ran
	begun   bool        // the final status was passed on, or the connection hijacked
	refused bool        // the status was 400 or more
	failure error       // why the handler's response was replaced
}

// flushingResponse is a response over a writer that can flush.
type flushingResponse struct{ *response }

var (
	_ http.Hijacker = (*response)(nil)
	_ http.Pusher   = (*response)(nil)
	_ io.ReaderFrom = (*response)(nil)
	_ http.Flusher  = flushingResponse{}
)

// Flush commits before anything goes out, as Write does.
func (w flushingResponse) Flush() { _ = w.FlushError() }

// writer claims http.Flusher only if there is one underneath.
func (w *response) writer() http.ResponseWriter {
	if flushable(w.ResponseWriter) {
		return flushingResponse{w}
	}
	return w
}

// Unwrap lets http.ResponseController reach what response does not guard:
// deadlines and full duplex.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader ends the session, then passes the status on, or another if the
// commit failed. Codes that net/http refuses are left to it.
func (w *response) WriteHeader(code int) {
	informational := code < 200 && code != http.StatusSwitchingProtocols
	if w.begun || informational || code > 999 {
		w.ResponseWriter.WriteHeader(code)
		return
	}
	w.begun = true
	if w.refused = code >= 400; w.refused {
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

// ReadFrom keeps the server's fast path for files.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return io.Copy(w.ResponseWriter, src)
}

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

// supports reports whether w, or a writer that it wraps, is a T.
func supports[T any](w http.ResponseWriter) bool {
	for {
		if _, ok := w.(T); ok {
			return true
		}
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = outer.Unwrap()
	}
}

func flushable(w http.ResponseWriter) bool {
	return supports[http.Flusher](w) || supports[interface{ FlushError() error }](w)
}

// Push announces another response; nothing of this one goes out.
func (w *response) Push(target string, opts *http.PushOptions) error {
	if pusher, ok := w.ResponseWriter.(http.Pusher); ok {
		return pusher.Push(target, opts)
	}
	return http.ErrNotSupported
}
