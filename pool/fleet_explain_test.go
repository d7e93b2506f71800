package pool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/dial"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// bounded makes the pool a member of a fleet of eight as far as errors are concerned.
func bounded(r *rig, share int) {
	r.cfg.Fleet = config.FleetEnforce
	r.fleetCheck = &fleetCheck{p: r.Pool, last: FleetStats{At: time.Now(), Replicas: 8, Usable: 16}}
	r.gate.SetShare(share)
}

// A caller that waits for the fleet's sake is not told to make the pool larger.
func TestErrorNamesTheFleetsShare(t *testing.T) {
	inRig(t, 4, func(t *testing.T, r *rig) {
		bounded(r, 2)
		held := r.fill(2)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		others := []*visit{r.ask(t.Context()), r.ask(t.Context())}
		late := r.ask(ctx)
		time.Sleep(time.Second)
		releaseAll(held) // connections come and go, and there are too few
		time.Sleep(3 * time.Second)
		late.wantError(ErrServerFull)
		wantVerdict(t, late.err, ErrServerFull, VerdictShare)
		wantText(t, late.err, `pool "db": no connection within 3s (size 4, overflow 0, in use 2, idle 0, dialing 0, closing 0, waiting 0; `+
			`the fleet's budget leaves it 2 now, of 16 for 8 replicas; oldest held 2s by pool/rig_test.go:N, idle, then 2s by pool/rig_test.go:N, idle); `+
			`verdict: fleet share; the fleet's budget leaves this replica 2 of 4 (16 for 8 replicas), and that is not enough: run fewer replicas, or raise DB_FLEET_BUDGET or what the server allows`)
		releaseAll(others)
	})
}

// A replica that finds no place at all says so, and for how many there is one.
func TestErrorTellsThatTheFleetIsTooLarge(t *testing.T) {
	inRig(t, 4, func(t *testing.T, r *rig) {
		bounded(r, 1)
		setConns(t, r.gate, 0)
		sl := r.gate.Reserve()
		sl.SocketOpens(nil) // the session that found no place
		full := &fleet.NoRoomError{Members: 20, Plan: fleet.Plan{Tokens: 15, Headroom: 1}}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		waiting := r.ask(ctx)
		failDial(r, sl, &fleetError{full})
		r.gate.SetShare(0)
		time.Sleep(4 * time.Second)
		waiting.wantError(ErrServerFull)
		got := wantVerdict(t, waiting.err, ErrServerFull, VerdictShare)
		var cause *fleet.NoRoomError
		if !errors.As(got.Stats.LastDialError, &cause) {
			t.Errorf("last dial error: %v", got.Stats.LastDialError)
		}
		wantText(t, waiting.err, `pool "db": no connection within 3s (size 4, overflow 0, in use 0, idle 0, dialing 0, closing 1, waiting 0; `+
			`the fleet's budget leaves it 0 now, of 16 for 8 replicas; `+
			`last dial error 3s ago: fleet: 20 live replicas and this one do not fit into 16 connections: run fewer, or raise max_connections or DB_FLEET_BUDGET); `+
			`verdict: fleet share; the fleet's budget leaves this replica 0 of 4 (16 for 8 replicas), and that is not enough: run fewer replicas, or raise DB_FLEET_BUDGET or what the server allows`)
	})
}

// A replica that has had no connection yet knows nothing of the budget, and what
// the server says of a full server is not this pool's to mend.
func TestErrorOfAReplicaThatNeverGotIn(t *testing.T) {
	inRig(t, 4, func(t *testing.T, r *rig) {
		setConns(t, r.gate, 0)
		sl := r.gate.Reserve()
		bounded(r, 0)
		r.fleetCheck.last = FleetStats{}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		waiting := r.ask(ctx)
		failDial(r, sl, &pgconn.PgError{Code: pgdriver.StateTooManyConnections, Message: "sorry, too many clients already"})
		time.Sleep(4 * time.Second)
		waiting.wantError(ErrServerFull)
		text := waiting.err.Error()
		if !strings.Contains(text, "the fleet's budget is not known yet: this replica has had no connection") || !strings.HasSuffix(text, remedyFleetFull) || strings.Contains(text, "DB_POOL_SIZE") {
			t.Error(text)
		}
	})
}

// failDial has the dial of sl end with err.
func failDial(r *rig, sl *gate.Slot, err error) {
	f := dial.Explain(err)
	r.gate.DialFailed(sl, failureOf(f, newDialError(f, time.Now())), time.Now())
}
