package pool

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// secretive starts a server that does not let the role app see who else is connected.
func secretive(t *testing.T, mode config.FleetMode) config.Config {
	srv := pgtest.Start(t, pgtest.Options{})
	srv.Exec(t, "create role app login")
	srv.Exec(t, "revoke select on pg_locks from public")
	cfg := settled(srv.DSN("postgres", "app", ""), 2, 0)
	cfg.Fleet, cfg.Name = mode, "orders"
	return cfg
}

// TestFleetProofRefused has the server refuse to say who else is connected. That
// costs no connection, and is said once, with the remedy.
func TestFleetProofRefused(t *testing.T) {
	log := &logLines{}
	p, err := Open(secretive(t, config.FleetWarn), WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if again := p.fleetCheck.round(t.Context()); again != proveInterval {
			t.Errorf("asks again after %s", again)
		}
	}
	if st := p.Stats(); st.OpenedCount != 1 || st.Closed.Total() != 0 || !st.Fleet.At.IsZero() {
		t.Errorf("opened %d, closed %+v, proved at %s", st.OpenedCount, st.Closed, st.Fleet.At)
	}
	said := log.with(t, "fleet: cannot read replica state, so nobody proves that the fleet fits")
	if len(said) != 1 || !log.contains("GRANT SELECT ON pg_catalog.pg_locks") {
		t.Errorf("said %v", said)
	}
}

// TestFleetProofCutOff closes the pool while the server is asked who else is
// connected. The question's cancellation is not the server's refusal.
func TestFleetProofCutOff(t *testing.T) {
	warning := func(cfg *config.Config) { sized(2, 0)(cfg); cfg.Fleet = config.FleetWarn }
	inWire(t, warning, func(t *testing.T, p *Pool, s *wireServer, log *logLines) {
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		var asked atomic.Bool
		s.with(func(f *wireFaults) {
			f.script = func(_ *wireSession, msg pgproto3.FrontendMessage) bool {
				if q, ok := msg.(*pgproto3.Query); ok && strings.Contains(q.String, "pg_stat_activity") {
					asked.Store(true)
					q.String = "sleep 1h"
				}
				return true
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		p.fleetCheck.round(ctx)
		if !asked.Load() {
			t.Error("the server was not asked")
		}
		if log.contains("cannot read replica state") {
			t.Errorf("said %v", log.with(t, "fleet: cannot read replica state, so nobody proves that the fleet fits"))
		}
	})
}

// TestFleetBudgetRefused has the same server and a budget that is to be kept.
func TestFleetBudgetRefused(t *testing.T) {
	p := open(t, secretive(t, config.FleetEnforce))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := p.Ready(ctx)
	var dial *DialError
	if !errors.As(err, &dial) || dial.Reason != "fleet unreadable" || !strings.Contains(dial.Remedy, "pg_locks") {
		t.Errorf("got %v, want what is missing", err)
	}
	if ctx.Err() != nil {
		t.Error("Ready waited for what does not change")
	}
}

// TestFleetProofAfterResize asks for what the pool may have now.
func TestFleetProofAfterResize(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	cfg := settled(srv.URL, 2, 0)
	cfg.Fleet, cfg.Name = config.FleetWarn, "orders"
	p := open(t, cfg)
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.fleetCheck.round(t.Context())
	if f := p.Stats().Fleet; !f.Fits {
		t.Errorf("2 connections do not fit: %+v", f)
	}
	if err := p.Resize(60, 40); err != nil {
		t.Fatal(err)
	}
	p.fleetCheck.round(t.Context())
	if f := p.Stats().Fleet; f.Need < 100 || f.Fits {
		t.Errorf("100 connections allowed, and the proof asks for %d (fits: %v)", f.Need, f.Fits)
	}
}
