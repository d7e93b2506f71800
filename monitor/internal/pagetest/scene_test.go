package pagetest

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/monitor/internal/fakesource"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// recording is what a monitor said after a quarter of an hour.
type recording struct {
	page http.Handler // the real one: it serves the HTML
	full []byte       // ?history=0
	rest []byte       // ?history=<next>
	long []byte       // ?history=0&step=60
}

func (r recording) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch history, step := req.URL.Query().Get("history"), req.URL.Query().Get("step"); {
	case history == "":
		r.page.ServeHTTP(w, req)
	case step == "60":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(r.long)
	case history == "0":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(r.full)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(r.rest)
	}
}

// record runs a real monitor over a made-up afternoon in virtual time: ordinary
// traffic, a rush with a full pool, and a report that keeps its connection.
func record(t *testing.T) recording {
	var out recording
	synctest.Test(t, func(t *testing.T) {
		src := fakesource.New(t)
		m := monitor.New(src, monitor.WithLogger(slog.New(slog.DiscardHandler)), monitor.WithQueryText())
		time.Sleep(14*time.Hour + 27*time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		a := &afternoon{src: src, random: rand.New(rand.NewPCG(7, 7))}
		time.Sleep(500 * time.Millisecond) // never at the instant of a check
		for s := range 15*60 - 8 {
			a.second(s)
			time.Sleep(time.Second)
		}
		out = recording{page: m.PoolStatus(), full: ask(t, m, 0)}
		var st statusjson.Status
		if err := json.Unmarshal(out.full, &st); err != nil {
			t.Fatal(err)
		}
		out.rest = ask(t, m, st.History.Next)
		out.long = ask(t, m, 0, "&step=60")
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
	return out
}

func ask(t *testing.T, m *monitor.Monitor, from uint64, more ...string) []byte {
	w := httptest.NewRecorder()
	m.PoolStatus().ServeHTTP(w, httptest.NewRequest("GET", "/debug/pool-status?history="+strconv.FormatUint(from, 10)+strings.Join(more, ""), nil))
	if w.Code != http.StatusOK {
		t.Fatalf("answered %d", w.Code)
	}
	return w.Body.Bytes()
}

// afternoon is the story the page is to tell.
type afternoon struct {
	src    *fakesource.Source
	random *rand.Rand
	load   float64 // connections asked for, smoothed
}

func (a *afternoon) second(s int) {
	load := 3.2 + 1.2*math.Sin(float64(s)/90) + 0.8*math.Sin(float64(s)/23) + a.random.Float64()
	rush := s > 330 && s < 450
	if rush {
		load = 6 + 8*math.Sin(math.Pi*float64(s-330)/120) + a.random.Float64()
	}
	stuck := s > 560
	if stuck {
		load++
	}
	a.load += (min(load, 10) - a.load) / 5
	inUse := min(int(load), 10)
	a.src.Set(func(st *pool.Stats) { a.figures(st, s, inUse, max(int((load-10)*4), 0), rush) })
	a.server(s, inUse)
	a.fleet(s)
	a.holders(s, inUse, stuck)
}

func (a *afternoon) figures(st *pool.Stats, s, inUse, waiting int, rush bool) {
	open := st.InUse + st.Idle
	if inUse > open {
		st.OpenedCount += uint64(inUse - open)
		st.DialCount += uint64(inUse - open)
	}
	st.InUse, st.Waiting = inUse, waiting
	st.Idle = max(open-inUse, 0)
	if !rush && st.Idle+inUse > 5 && s%25 == 0 {
		st.Idle--
		st.Closed.Surplus++
	}
	if s%61 == 0 {
		st.Closed.Recycled++
		st.OpenedCount++
		st.DialCount++
	}
	st.Dialing, st.Closing = 0, 0
	if inUse+st.Idle < 10 && s%17 == 0 {
		st.Dialing = 1
	}
	if inUse+st.Idle+st.Dialing < 10 && s%29 == 0 {
		st.Closing = 1
	}
	st.Lanes[pool.LaneRequest] = pool.LaneStats{InUse: inUse, Waiting: waiting}
	served := int(90 + 20*a.load + 25*a.random.Float64())
	if waiting > 6 {
		st.ShedCount += uint64(a.random.IntN(24))
		st.TimeoutCount += uint64(a.random.IntN(8))
	}
	for range served {
		wait := time.Duration(math.Exp(a.random.NormFloat64()*0.9-2) * float64(time.Millisecond))
		if waiting > 0 {
			wait = time.Duration(float64(waiting)*a.random.Float64()*12) * time.Millisecond
			st.WaitCount++
		}
		observe(&st.Wait, wait)
		observe(&st.Hold, time.Duration(math.Exp(a.random.NormFloat64()*1.1+1.4)*float64(time.Millisecond)))
	}
	st.AcquireCount += uint64(served)
	if s == 620 {
		st.LeakWarningCount, st.Leaking = 1, 1
	}
}

// observe does what the pool does.
func observe(h *pool.Histogram, d time.Duration) {
	i := 0
	for _, bound := range pool.HistogramBounds() {
		if d <= bound {
			break
		}
		i++
	}
	h.Counts[i]++
	h.Count++
	h.Sum += d
}

func (a *afternoon) server(s, inUse int) {
	a.src.See(func(v *serverview.View) {
		others := 31 + s/60
		v.Sessions, v.RoleSessions, v.DatabaseSessions = inUse+2+others, inUse+2+8, inUse+2+others-6
		v.SeesAll, v.StatementTimeoutSeconds = true, 30
		v.States = []serverview.StateCount{{State: "idle", Count: others - 4}, {State: "active", Count: inUse + 3}, {State: "idle in transaction", Count: 3}}
		v.Applications = []serverview.Application{
			{Name: "billing", Sessions: others - 14, Active: 2, Idle: others - 16}, {Name: "orders-api", Sessions: inUse + 2 + 8, Active: inUse, Idle: 9, IdleInTransaction: 1},
			{Name: "metabase", Sessions: 4, Active: 1, Idle: 1, IdleInTransaction: 2}, {Name: "psql", Sessions: 2, Idle: 2},
		}
	})
	a.src.Run(
		serverview.Query{PID: 48213, Role: "orders", Database: "shop", ApplicationName: "orders-api", State: "idle in transaction", WaitingFor: "Client: ClientRead", QuerySeconds: float64(max(s-565, 0)), TransactionSeconds: float64(max(s-560, 0)), Text: "SELECT id, total FROM orders WHERE placed > $1 FOR UPDATE"},
		serverview.Query{PID: 47990, Role: "metabase", Database: "shop", ApplicationName: "metabase", State: "active", WaitingFor: "IO: DataFileRead", QuerySeconds: 41.8, TransactionSeconds: 41.8, Text: "SELECT date_trunc('day', placed) AS d, sum(total) FROM orders GROUP BY d ORDER BY d"},
		serverview.Query{PID: 48377, Role: "orders", Database: "shop", ApplicationName: "orders-api", State: "active", WaitingFor: "Lock: transactionid", BlockedBy: []uint32{48213}, QuerySeconds: 6.4, TransactionSeconds: 6.5, Text: "UPDATE orders SET state = 'paid' WHERE id = 81733"},
	)
}

// fleet is four replicas that share 52 connections.
func (a *afternoon) fleet(s int) {
	a.src.Set(func(st *pool.Stats) {
		at := st.Fleet.At
		if s%15 == 0 {
			at = time.Now()
		}
		st.Fleet = pool.FleetStats{
			Mode: config.FleetEnforce, At: at, Replicas: 4, Usable: 52, Need: 5, Fits: true, Share: 10, Tokens: max(st.Open(), 3), Headroom: 4,
			Arithmetic: []string{
				"server: max_connections 100 - superuser_reserved_connections 3 - 45 sessions of others = 52", "usable: 52",
				"fleet: (4 replicas + 1 surge) x at least 1 = 5", "fits: 5 <= 52, shared by need; 10 each when all are busy",
			},
		}
	})
}

func (a *afternoon) holders(s, inUse int, stuck bool) {
	held := []pool.Holder{}
	if stuck {
		held = append(held, pool.Holder{Lane: pool.LaneBackground, Name: "export report", Caller: "api/report.go:88", Held: time.Duration(s-560) * time.Second, Activity: "idle in transaction", PID: 48213, Leaking: s >= 620})
	}
	routes := []pool.Holder{
		{Lane: pool.LaneRequest, Name: "POST /orders/{id}/pay", Caller: "api/pay.go:41", Held: 6512 * time.Millisecond, Activity: "running", PID: 48377},
		{Lane: pool.LaneRequest, Name: "GET /orders", Caller: "api/orders.go:57", Held: 18 * time.Millisecond, Activity: "rows open", PID: 48380},
		{Lane: pool.LaneRequest, Name: "POST /orders", Caller: "api/orders.go:102", Held: 4 * time.Millisecond, Activity: "running", PID: 48391},
	}
	for i, r := range routes {
		figures := pool.RouteStats{Name: r.Name, AcquireCount: uint64(s * (90 - 30*i)), ShedCount: uint64(s / 100)}
		if inUse > i {
			figures.InUse = max(1, inUse-4)
		}
		for range 20 {
			observe(&figures.Hold, r.Held/time.Duration(i+1))
			observe(&figures.Wait, time.Duration(i+1)*time.Millisecond)
		}
		a.src.Serve(append(a.src.Routes()[:min(i, len(a.src.Routes()))], figures)...)
	}
	a.src.Hold(append(held, routes[:min(len(routes), max(inUse-len(held), 0))]...)...)
}
