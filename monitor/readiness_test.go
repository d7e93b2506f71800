package monitor

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/monitor/internal/fakesource"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// A process is alive whatever the database does; it is ready
// while the database can be used, until it drains.
func TestLiveAndReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := fakesource.New(t)
		m := New(src, WithLogger((&logbook{}).logger()))
		src.PingError(errLost)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		defer func() { cancel(); <-done }()
		synctest.Wait()
		wantReady(t, m, "cannot be used")
		src.PingError(nil)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		wantReady(t, m, "")
		m.Drain()
		m.Drain()
		wantReady(t, m, "draining")
		if code := get(m.Health(), "/health").Code; code != http.StatusOK {
			t.Errorf("/health answers %d while draining", code)
		}
	})
}

// wantReady wants /health/ready to say why not, or yes if why is empty.
func wantReady(t *testing.T, m *Monitor, why string) {
	t.Helper()
	w := get(m.Ready(), "/health/ready")
	got := decode[statusjson.Readiness](t, w)
	if got.OK != (why == "") || got.OK != (w.Code == http.StatusOK) || !strings.Contains(got.Why, why) || got.OK && got.Why != "" {
		t.Errorf("%d %+v, want %q", w.Code, got, why)
	}
	if w := get(m.Live(), "/health/live"); w.Code != http.StatusOK || !decode[statusjson.Readiness](t, w).OK {
		t.Errorf("not alive: %d %s", w.Code, w.Body)
	}
}
