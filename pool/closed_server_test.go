package pool

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

func TestClosedPoolSaysSo(t *testing.T) {
	p := openShared(t, 2, 0, nil)
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Close()
	check := func(what string, err error) {
		if !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), `pool "db": closed`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := p.ExecContext(t.Context(), "select 1")
	check("Exec", err)
	_, err = p.BeginTx(t.Context(), nil)
	check("BeginTx", err)
	_, err = p.Conn(t.Context())
	check("Conn", err)
	_, err = p.PrepareContext(t.Context(), "select 1")
	check("Prepare", err)
	check("WithSession", p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		_, err := s.ExecContext(ctx, "select 1")
		return err
	}))
	if p.DB() == nil {
		t.Error("DB() is nil: the next call on it panics")
	}
}

func TestWaitersLearnThatThePoolCloses(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	tx, err := p.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 3)
	go func() { _, err := p.BeginTx(t.Context(), nil); errs <- err }()
	go func() { _, err := p.ExecContext(t.Context(), "select 1"); errs <- err }()
	go func() { errs <- p.DB().QueryRow("select 1").Scan(new(int)) }()
	until(t, time.Second, "three wait", func() bool { return p.Stats().Waiting == 3 })
	go func() { time.Sleep(200 * time.Millisecond); tx.Rollback() }()
	p.Close()
	for range 3 {
		if err := <-errs; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

func TestMiddlewareOfAClosedPoolAnswers503(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	p.Close()
	h := p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = FromContext(r.Context()).ExecContext(r.Context(), "select 1")
	}))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Code != 503 {
		t.Errorf("closed pool: status %d, want 503", rec.Code)
	}
}

func TestShutdownOfAnIdlePoolCutsNothingShort(t *testing.T) {
	n := 0
	for range 40 {
		db := sql.OpenDB(&hookDriver{})
		p, err := New(db, config.Default(), quietly)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Shutdown(canceled(t.Context())); err != nil {
			n++
		}
	}
	if n > 0 {
		t.Errorf("%d of 40 shutdowns of an idle pool report something cut short", n)
	}
}

func TestCloseDoesNotWaitForAStubbornTask(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	stop := make(chan struct{})
	started := make(chan struct{})
	p.Background(t.Context(), "stubborn", func(context.Context, *Session) error { close(started); <-stop; return nil })
	<-started
	done := make(chan struct{})
	go func() { p.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(8 * time.Second):
		t.Error("Close waits longer than a few seconds for a task")
	}
	close(stop)
	<-done
}

// Ready while others wait and MaxWaiters is reached.
func TestReadyOutlastsAFullQueue(t *testing.T) {
	cfg := settled("postgres://u@127.0.0.1:1/x", 1, 0)
	cfg.Fleet, cfg.MaxWaiters = config.FleetOff, 1
	p, err := Open(cfg, quietly)
	if err != nil {
		t.Fatal(err)
	}
	go p.PingContext(t.Context())
	until(t, time.Second, "one waits", func() bool { return p.Stats().Waiting == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	started := time.Now()
	if err := p.Ready(ctx); err == nil || ctx.Err() == nil {
		t.Errorf("Ready gave up after %s: %v", time.Since(started), err)
	}
	p.Close()
}

func TestNilObserverIsNobody(t *testing.T) {
	p := openShared(t, 1, 0, nil, WithObserver(nil))
	defer p.Close()
	t.Log(p.dialer.observer == nil) // the next dial would crash the process
	if p.dialer.observer == nil {
		t.Error("nil observer is called by the dialer")
	}
}
