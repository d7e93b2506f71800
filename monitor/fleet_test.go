package monitor

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// five is a fleet that does not fit a server of 47 usable connections.
func five() pool.FleetStats {
	return pool.FleetStats{
		Mode: config.FleetWarn, At: time.Now(), Replicas: 5, Usable: 47, Need: 60,
		Arithmetic: []string{"usable: 47", "fleet: (5 replicas + 1 surge) x (5 pool size + 5 overflow) = 60", "does not fit: 60 > 47"},
		Remedies:   []string{"remedy: DB_FLEET=enforce shares the 47 among the live replicas", `remedy: ALTER ROLE "orders" CONNECTION LIMIT 60;`},
	}
}

func TestStatusTellsOfTheFleet(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		if w := get(r.PoolStatus(), "/"); strings.Contains(w.Body.String(), "\n  \"fleet\"") {
			t.Error("a fleet is told of though nobody looks at it")
		}
		r.src.Set(func(s *pool.Stats) {
			s.Fleet = pool.FleetStats{Mode: config.FleetEnforce, Share: 4, Tokens: 2, Headroom: 1}
		})
		f := status(t, r.Monitor, "").Fleet
		if f == nil || f.Mode != "enforce" || f.Fits != nil || !f.At.IsZero() || f.AgeSeconds != 0 || f.Share != 4 || f.Tokens != 2 || f.Headroom != 1 {
			t.Errorf("before the first look: %+v", f)
		}
		r.src.Set(func(s *pool.Stats) { s.Fleet = five(); s.Fleet.Fallback = "a pooler" })
		time.Sleep(3 * time.Second)
		f = status(t, r.Monitor, "").Fleet
		if f.Mode != "warn" || *f.Fits || f.Replicas != 5 || f.Surge != 1 || f.Usable != 47 || f.Need != 60 || f.AgeSeconds != 3 || f.Fallback != "a pooler" || len(f.Arithmetic) != 3 {
			t.Errorf("%+v", f)
		}
		if want := []string{"DB_FLEET=enforce shares the 47 among the live replicas", `ALTER ROLE "orders" CONNECTION LIMIT 60;`}; !slices.Equal(f.Remedies, want) {
			t.Errorf("remedies: %q", f.Remedies)
		}
	})
}

func TestFleetListsAreListsInJSON(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.Set(func(s *pool.Stats) { s.Fleet = pool.FleetStats{Mode: config.FleetWarn} })
		var doc struct{ Fleet map[string]any }
		if err := json.Unmarshal(get(r.PoolStatus(), "/").Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"arithmetic", "remedies"} {
			if _, ok := doc.Fleet[key].([]any); !ok {
				t.Errorf("%s is %v", key, doc.Fleet[key])
			}
		}
	})
}

func TestAFleetThatDoesNotFitDegrades(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		began := time.Now()
		r.src.Set(func(s *pool.Stats) { s.Fleet = five() })
		wantHealth(t, r.Monitor, statusjson.Degraded, statusjson.ProblemFleetMisfit)
		time.Sleep(time.Minute)
		h := r.HealthReport()
		want := "the fleet does not fit: it can ask for 60 connections, and 47 are usable (5 replicas + 1 in a deploy)"
		if h.Problems[0].Message != want || !h.Problems[0].Since.Equal(began) {
			t.Errorf("%+v", h.Problems)
		}
		if w := get(r.Health(), "/health"); w.Code != http.StatusOK {
			t.Errorf("/health answers %d: its traffic would be taken away", w.Code)
		}
		r.src.Set(func(s *pool.Stats) { s.Fleet.Fits = true })
		wantHealth(t, r.Monitor, statusjson.Healthy)
		r.src.Set(func(s *pool.Stats) { s.Fleet = pool.FleetStats{Mode: config.FleetWarn} })
		wantHealth(t, r.Monitor, statusjson.Healthy)
	})
}

// Once per change, however often the fleet is looked at; the pool logs it.
func TestEventsOfTheFleet(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		for _, step := range []func(*pool.FleetStats){
			func(f *pool.FleetStats) { *f = pool.FleetStats{Mode: config.FleetWarn} }, // not looked at
			func(f *pool.FleetStats) { *f = five(); f.Fits = true },                   // what is well is no news
			func(f *pool.FleetStats) { *f = five() },
			func(f *pool.FleetStats) { f.Need, f.At = 70, time.Now() },
			func(f *pool.FleetStats) { f.Need, f.Replicas, f.Fits = 20, 1, true },
			func(f *pool.FleetStats) { f.Fits = false }, // the budgets of all services
			func(f *pool.FleetStats) {
				f.Mode, f.Replicas, f.Need, f.Usable, f.Fits = config.FleetEnforce, 47, 48, 50, true
			},
			func(f *pool.FleetStats) { f.Fallback = "a pooler in transaction mode" },
			func(f *pool.FleetStats) { f.Fallback = "connections go to several servers" },
			func(f *pool.FleetStats) { f.Fallback = "" },
		} {
			r.src.Set(func(s *pool.Stats) { step(&s.Fleet) })
			tick()
		}
		wantKinds(t, r.Monitor, statusjson.EventFleetMisfit, statusjson.EventFleetFits, statusjson.EventFleetMisfit, statusjson.EventFleetFits, statusjson.EventFleetFallback, statusjson.EventFleetShared)
		var said []string
		for _, e := range slices.Backward(r.Status().Events) {
			said = append(said, e.Message)
		}
		for i, want := range []string{
			"does not fit: it can ask for 60 connections, and 47 are usable (5 replicas + 1 in a deploy)",
			"fits again: it can ask for 20 connections, and 47 are usable (1 replica + 1 in a deploy)",
			"the budgets of all services together are more than the server has",
			"fits again: it needs at least 48 connections, and 50 are usable (47 replicas + 1 in a deploy)",
			"divided by number, not shared by need: a pooler in transaction mode",
			"shared by need again",
		} {
			if !strings.Contains(said[i+1], want) {
				t.Errorf("event %d: %q; want %q", i, said[i+1], want)
			}
		}
		if got := r.log.with("fleet"); len(got) != 0 {
			t.Errorf("logged though the pool does: %q", got)
		}
	})
}
