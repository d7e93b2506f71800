package pool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fullWriter has every method that a ResponseWriter may have, and notes which was called.
type fullWriter struct {
	*httptest.ResponseRecorder
	called string
}

func (f *fullWriter) call(what string) error               { f.called = what; return nil }
func (f *fullWriter) SetReadDeadline(time.Time) error      { return f.call("SetReadDeadline") }
func (f *fullWriter) SetWriteDeadline(time.Time) error     { return f.call("SetWriteDeadline") }
func (f *fullWriter) EnableFullDuplex() error              { return f.call("EnableFullDuplex") }
func (f *fullWriter) FlushError() error                    { return f.call("FlushError") }
func (f *fullWriter) Flush()                               { _ = f.call("Flush") }
func (f *fullWriter) Push(string, *http.PushOptions) error { return f.call("Push") }
func (f *fullWriter) ReadFrom(r io.Reader) (int64, error)  { return 0, f.call("ReadFrom") }
func (f *fullWriter) WriteString(s string) (int, error)    { return len(s), f.call("WriteString") }
func (f *fullWriter) CloseNotify() <-chan bool             { _ = f.call("CloseNotify"); return nil }
func (f *fullWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, f.call("Hijack")
}

// writerMethods is every interface that a ResponseWriter may have, how to ask for it,
// and how to use it.
var writerMethods = []struct {
	method string
	bit    int
	has    func(http.ResponseWriter) bool
	use    func(http.ResponseWriter)
}{
	{"FlushError", hasFlushError, is[errFlusher], func(w http.ResponseWriter) { _ = w.(errFlusher).FlushError() }},
	{"Flush", hasFlusher, is[http.Flusher], func(w http.ResponseWriter) { w.(http.Flusher).Flush() }},
	{"Hijack", hasHijacker, is[http.Hijacker], func(w http.ResponseWriter) { _, _, _ = w.(http.Hijacker).Hijack() }},
	{"Push", hasPusher, is[http.Pusher], func(w http.ResponseWriter) { _ = w.(http.Pusher).Push("", nil) }},
	{"ReadFrom", hasReaderFrom, is[io.ReaderFrom], func(w http.ResponseWriter) { _, _ = w.(io.ReaderFrom).ReadFrom(io.MultiReader(&onceReader{})) }},
	{"WriteString", hasStringWriter, is[io.StringWriter], func(w http.ResponseWriter) { _, _ = w.(io.StringWriter).WriteString("x") }},
	{"CloseNotify", hasCloseNotifier, is[http.CloseNotifier], func(w http.ResponseWriter) { w.(http.CloseNotifier).CloseNotify() }}, //nolint:staticcheck // see there
}

func is[T any](w http.ResponseWriter) bool { _, ok := w.(T); return ok }

// onceReader gives one byte in each of two reads.
type onceReader struct{ n int }

func (r *onceReader) Read(p []byte) (int, error) {
	if r.n++; r.n > 2 {
		return 0, io.EOF
	}
	return copy(p, "x"), nil
}

// writerWith returns a writer with the optional methods of bits, and what is below it.
func writerWith(bits int) (http.ResponseWriter, *fullWriter) {
	full := &fullWriter{ResponseRecorder: httptest.NewRecorder()}
	w := &response{ResponseWriter: full, begun: true} // passes everything on
	return having(bits, plainResponse{w}, w), full
}

// Whatever the outer writer has the handler's has, and nothing else but the error
// of a flush.
func TestWriterHasTheOuterWritersInterfaces(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	for bits := range 1 << len(writerMethods) {
		outer, b := writerWith(bits)
		if got := interfacesOf(outer); got != bits {
			t.Fatalf("the test's writer has %07b, want %07b", got, bits)
		}
		p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for _, o := range writerMethods {
				offered := bits
				if bits&hasFlusher != 0 {
					offered |= hasFlushError
				}
				if has, want := o.has(w), offered&o.bit != 0; has != want {
					t.Errorf("%07b: %s: %v, want %v", bits, o.method, has, want)
				} else if has {
					b.called = ""
					o.use(w)
					if strings.TrimSuffix(b.called, "Error") != strings.TrimSuffix(o.method, "Error") {
						t.Errorf("%07b: %s called %q", bits, o.method, b.called)
					}
				}
			}
			rc := http.NewResponseController(w)
			err := errors.Join(rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{}), rc.EnableFullDuplex())
			if err != nil || b.called != "EnableFullDuplex" {
				t.Errorf("%07b: %v, called %q", bits, err, b.called)
			}
		})).ServeHTTP(outer, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	}
}

// Nothing reaches the outer writer past the commit, whichever way it is asked.
func TestNoWayAroundTheCommit(t *testing.T) {
	unwrapped := func(w http.ResponseWriter) http.ResponseWriter {
		return w.(interface{ Unwrap() http.ResponseWriter }).Unwrap()
	}
	ways := map[string]func(w http.ResponseWriter){
		"controlled flush":  func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		"controlled hijack": func(w http.ResponseWriter) { _, _, _ = http.NewResponseController(w).Hijack() },
		"unwrapped write":   func(w http.ResponseWriter) { _, _ = unwrapped(w).Write([]byte("x")) },
		"unwrapped status":  func(w http.ResponseWriter) { unwrapped(w).WriteHeader(204) },
	}
	for _, o := range writerMethods {
		if o.method != "Push" && o.method != "CloseNotify" { // these send nothing of this response
			ways[o.method] = o.use
		}
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			committed := false
			p, _ := hookPool(t, &hookDriver{commit: func(context.Context) error { committed = true; return nil }})
			outer, b := writerWith(1<<len(writerMethods) - 1)
			p.Middleware(insertAnd(func(w http.ResponseWriter, _ *http.Request) {
				b.called = ""
				way(w)
				if !committed {
					t.Errorf("not committed after %s", fmt.Sprint(b.called, " ", b.Code))
				}
			})).ServeHTTP(outer, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
		})
	}
}
