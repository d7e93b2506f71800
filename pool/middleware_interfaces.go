package pool

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

//go:generate sh -c "go run ../internal/writergen > middleware_writers.go"

// A ResponseWriter's optional interfaces, one bit each. Some frameworks assert one
// without asking, others take one as a promise: so the handler's writer has those
// of the outer writer and no other, but for an error of Flush. Go makes no such types at run time, so all 128
// are generated.
const (
	hasFlushError = 1 << iota
	hasFlusher
	hasHijacker
	hasPusher
	hasReaderFrom
	hasStringWriter
	hasCloseNotifier
)

// The interfaces, under names that can be embedded side by side.
type (
	errFlusher    interface{ FlushError() error }
	flusher       interface{ http.Flusher }
	hijacker      interface{ http.Hijacker }
	pusher        interface{ http.Pusher }
	readerFrom    interface{ io.ReaderFrom }
	stringWriter  interface{ io.StringWriter }
	closeNotifier interface{ http.CloseNotifier } //nolint:staticcheck // frameworks ask for it
)

// plainResponse is a response with none of them.
type plainResponse struct{ w *response }

func (p plainResponse) Header() http.Header         { return p.w.Header() }
func (p plainResponse) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p plainResponse) WriteHeader(code int)        { p.w.WriteHeader(code) }

// Unwrap lets http.ResponseController reach deadlines and full duplex.
func (p plainResponse) Unwrap() http.ResponseWriter { return responseBelow(p) }

// responseBelow is what plainResponse wraps: the outer writer, guarded where
// http.ResponseController would let the first byte out.
type responseBelow struct{ w *response }

func (b responseBelow) Header() http.Header         { return b.w.Header() }
func (b responseBelow) Write(p []byte) (int, error) { return b.w.Write(p) }
func (b responseBelow) WriteHeader(code int)        { b.w.WriteHeader(code) }
func (b responseBelow) FlushError() error           { return b.w.FlushError() }

// Hijack is for http.ResponseController too.
func (b responseBelow) Hijack() (net.Conn, *bufio.ReadWriter, error) { return b.w.Hijack() }

// Unwrap is the outer writer.
func (b responseBelow) Unwrap() http.ResponseWriter { return b.w.ResponseWriter }

// writer returns what the handler gets.
func (w *response) writer() http.ResponseWriter {
	bits := interfacesOf(w.ResponseWriter)
	if bits&hasFlusher != 0 {
		bits |= hasFlushError // a flush commits, and a failed commit has to be told
	}
	return having(bits, plainResponse{w}, w)
}

// interfacesOf returns the bits of what w has.
func interfacesOf(w http.ResponseWriter) int {
	return bitIf[errFlusher](w, hasFlushError) | bitIf[flusher](w, hasFlusher) | bitIf[hijacker](w, hasHijacker) |
		bitIf[pusher](w, hasPusher) | bitIf[readerFrom](w, hasReaderFrom) | bitIf[stringWriter](w, hasStringWriter) |
		bitIf[closeNotifier](w, hasCloseNotifier)
}

func bitIf[T any](w http.ResponseWriter, bit int) int {
	if _, ok := w.(T); ok {
		return bit
	}
	return 0
}
