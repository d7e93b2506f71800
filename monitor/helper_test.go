package monitor

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dbpool-go/dbpool/monitor/internal/fakesource"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// logbook keeps log lines as "LEVEL message key=value …", without the time.
type logbook struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, strings.TrimSpace(string(p)))
	return len(p), nil
}

func (b *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// with returns the lines that hold the text.
func (b *logbook) with(text string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.lines), func(l string) bool { return !strings.Contains(l, text) })
}

// running is a monitor that runs over a fake pool in virtual time.
type running struct {
	*Monitor
	src *fakesource.Source
	log *logbook
}

// inBubble runs the test with a running monitor whose first check and probe are done.
func inBubble(t *testing.T, test func(t *testing.T, r running), opts ...Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := running{src: fakesource.New(t), log: &logbook{}}
		r.Monitor = New(r.src, append([]Option{WithLogger(r.log.logger())}, opts...)...)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		test(t, r)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// get asks a handler, with headers given as "Name: value".
func get(h http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var out T
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return out
}

// kinds are the events' kinds, oldest first, without the monitor's own.
func kinds(m *Monitor) []statusjson.EventKind {
	out := []statusjson.EventKind{}
	for _, e := range slices.Backward(m.Status().Events) {
		if e.Kind != statusjson.EventMonitor {
			out = append(out, e.Kind)
		}
	}
	return out
}

func wantKinds(t *testing.T, m *Monitor, want ...statusjson.EventKind) {
	t.Helper()
	if got := kinds(m); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}
