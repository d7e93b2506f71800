package monitor

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

func status(t *testing.T, m *Monitor, query string) statusjson.Status {
	t.Helper()
	w := get(m.PoolStatus(), "/debug/pool-status"+query, "Accept: */*")
	if w.Code != http.StatusOK {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	return decode[statusjson.Status](t, w)
}

func TestStatusTellsEverything(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		var wait pool.Histogram
		wait.Counts[0], wait.Counts[18], wait.Count, wait.Sum = 98, 2, 100, 200*time.Second
		r.src.Set(func(s *pool.Stats) {
			*s = pool.Stats{
				Name: "orders", PoolSize: 5, MaxOverflow: 5, Limit: 9, InUse: 4, Idle: 2, Dialing: 1, Closing: 2, Quarantined: 1, Waiting: 3,
				Lanes:        [3]pool.LaneStats{{InUse: 1}, {InUse: 2, Waiting: 3}, {InUse: 1}},
				AcquireCount: 100, WaitCount: 7, WaitDuration: 9 * time.Second, HoldDuration: time.Minute, TimeoutCount: 5, ShedCount: 6, AcquireCanceledCount: 8, NestedCount: 9,
				Pipeline:    pool.PipelineStats{Mode: config.PipelineReads, SharedCount: 30, RunCount: 4, RunLengths: pool.RunLengths{0, 3, 0, 0, 0, 0, 1}, Unshared: pool.UnsharedStats{Slow: 2, Text: 3}},
				OpenedCount: 40, Closed: pool.ClosedStats{Recycled: 1, Surplus: 2, Broken: 3, Canceled: 4, Unclean: 5, Shutdown: 6}, CancelCount: 11, DialCount: 50, DialErrorCount: 12,
				LastDialError:    &pool.DialError{At: time.Now(), SQLState: "53300", Reason: "server full", Message: "sorry, too many clients already", Remedy: "raise it"},
				Server:           pool.ServerState{Reason: "server full", Since: time.Now()},
				StatementTimeout: pool.StatementTimeout{Want: 30 * time.Second, InForce: true, How: "startup parameter"},
				Pooler:           "pgbouncer", LeakWarningCount: 2, Leaking: 1, Wait: wait,
				Tasks: pool.TaskStats{StartedCount: 40, FailedCount: 3, PanicCount: 2, RefusedCount: 1},
			}
			for i := range 25 {
				s.Tasks.Running = append(s.Tasks.Running, pool.RunningTask{Name: "reindex " + strconv.Itoa(i), Since: time.Now().Add(-time.Minute)})
			}
		})
		r.src.Hold(pool.Holder{Lane: pool.LaneBackground, Name: "reindex", Caller: "jobs/reindex.go:12", Held: 90 * time.Second, Activity: "running", PID: 77, Stack: []string{"main.main main.go:1"}, Leaking: true})
		r.src.Run(serverview.Query{PID: 78, State: "active", QuerySeconds: 3})
		tick()
		st := status(t, r.Monitor, "")
		if p := st.Pool; p.Size != 5 || p.CheckedIn != 2 || p.CheckedOut != 4 || p.Overflow != 1 || p.MaxOpen != 10 || p.Limit != 9 || p.UsagePercent != 57.1 || p.ThresholdPercent != 80 || p.Quarantined != 1 {
			t.Errorf("pool: %+v", p)
		}
		l := st.Pipeline
		if l.Mode != "reads" || l.SharedCount != 30 || l.RunCount != 4 || l.UnsharedCount != 5 || l.Unshared.Slow != 2 ||
			!slices.Equal(l.Lengths, []statusjson.PipelineRuns{{UpTo: 4, Count: 3}, {Count: 1}}) {
			t.Errorf("pipeline: %+v", l)
		}
		if q := st.Queue; q.Waiting != 3 || q.TimedOutCount != 5 || q.ShedCount != 6 || q.CanceledCount != 8 || q.NestedCount != 9 || q.WaitTotalSeconds != 9 || q.HoldTotalSeconds != 60 {
			t.Errorf("queue: %+v", q)
		}
		if d := st.Queue.Wait; d.Count != 100 || d.MeanSeconds != 2 || d.P50Seconds != 0.0001 || d.P99Seconds != 60 || len(d.Buckets) != 2 || d.Buckets[1] != (statusjson.Bucket{Count: 2}) {
			t.Errorf("wait: %+v", d)
		}
		if c := st.Connections; c.ClosedCount != 21 || c.Closed.Unclean != 5 || c.CanceledStatementCount != 11 || c.DialErrorCount != 12 || c.OpenedCount != 40 {
			t.Errorf("connections: %+v", c)
		}
		if len(st.Lanes) != 3 || st.Lanes[1] != (statusjson.LaneFigures{Lane: "request", InUse: 2, Waiting: 3}) || st.Leaks.Now != 1 || st.Leaks.ThresholdSeconds != 60 {
			t.Errorf("lanes %+v, leaks %+v", st.Lanes, st.Leaks)
		}
		if k := st.Tasks; k.RunningCount != 25 || k.StartedCount != 40 || k.FailedCount != 3 || k.PanicCount != 2 || k.RefusedCount != 1 || len(k.Running) != 20 {
			t.Errorf("tasks: %+v", k)
		} else if first := k.Running[0]; first.Name != "reindex 0" || first.RunningSeconds < 60 || first.RunningSeconds > 70 || first.Since.IsZero() {
			t.Errorf("the oldest task: %+v", first)
		}
		if st.LastDialError.Message != "sorry, too many clients already" || st.Access.OK || st.Access.Reason != "server full" || !st.StatementTimeout.InForce || st.Pooler != "pgbouncer" {
			t.Errorf("%+v %+v %+v", st.LastDialError, st.Access, st.StatementTimeout)
		}
		if h := st.Holders; len(h) != 1 || h[0].Caller != "jobs/reindex.go:12" || h[0].Lane != "background" || h[0].HeldSeconds != 90 || h[0].Stack != nil || !h[0].Leaking {
			t.Errorf("holders: %+v", h)
		}
		if v := st.Server.View; v == nil || v.MaxConnections != 100 || v.Usable != 97 || st.Server.Error != "" {
			t.Errorf("server: %+v", st.Server)
		}
		if q := st.Queries; len(q.Longest) != 1 || q.Longest[0].PID != 78 || q.TextShown {
			t.Errorf("queries: %+v", q)
		}
		if st.Service != "dbpool" || st.Format != 1 || st.Name != "orders" || st.Monitoring != statusjson.MonitoringOn || st.Health.Status != statusjson.Degraded || st.Settings.PoolTimeoutSeconds != 30 {
			t.Errorf("%+v", st)
		}
	})
}

func TestManyViewersCostOneQuery(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		time.Sleep(freshFor)
		r.src.Slow(100 * time.Millisecond)
		views := r.src.Asked("view")
		var viewers sync.WaitGroup
		for range 50 {
			viewers.Go(func() { status(t, r.Monitor, "") })
		}
		viewers.Wait()
		for range 50 {
			status(t, r.Monitor, "")
		}
		if got := r.src.Asked("view") - views; got != 1 || r.src.Asked("queries") != 1 {
			t.Errorf("100 viewers asked %d times for the view, %d times for the queries", got, r.src.Asked("queries"))
		}
		time.Sleep(freshFor)
		status(t, r.Monitor, "")
		if got := r.src.Asked("view") - views; got != 2 {
			t.Errorf("asked %d times, want again after %s", got, freshFor)
		}
	})
}

func TestAPartThatFailsSaysSoAndTheRestStands(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.Fail(errors.New("dial tcp 10.0.0.5:5432: connection refused"))
		time.Sleep(freshFor)
		st := status(t, r.Monitor, "")
		if st.Server.Error != "the connection failed" || st.Server.View == nil || st.Server.AgeSeconds < 2 || st.Queries.Error == "" || st.Queries.Longest == nil {
			t.Errorf("%+v, %+v", st.Server, st.Queries)
		}
		if st.Pool.Limit != 10 {
			t.Errorf("pool: %+v", st.Pool)
		}
		asked := r.src.Asked("queries")
		time.Sleep(calmFor - time.Second)
		status(t, r.Monitor, "")
		if r.src.Asked("queries") != asked {
			t.Error("asked again too soon after a failure")
		}
		r.src.Fail(nil)
		time.Sleep(time.Second)
		if st := status(t, r.Monitor, ""); st.Server.Error != "" || st.Queries.Error != "" {
			t.Errorf("still: %+v", st.Server)
		}
	})
}

func TestAServerThatHangsDelaysOneViewerBriefly(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		time.Sleep(freshFor)
		r.src.Slow(time.Hour)
		first := make(chan time.Duration)
		go func() {
			began := time.Now()
			status(t, r.Monitor, "")
			first <- time.Since(began)
		}()
		synctest.Wait()
		began := time.Now()
		status(t, r.Monitor, "")
		if took := time.Since(began); took > askTimeout {
			t.Errorf("the second viewer waited %s", took)
		}
		if took := <-first; took > 2*askTimeout {
			t.Errorf("the first viewer waited %s", took)
		}
		if st := r.Status(); st.Server.Error != "no answer in time" {
			t.Errorf("%+v", st.Server)
		}
	})
}

func TestOptionsShowMore(t *testing.T) {
	dial := &pool.DialError{Reason: "unreachable", Message: "dial tcp 10.0.0.5:5432: connection refused"}
	seed := func(r running) {
		r.src.Set(func(s *pool.Stats) { s.LastDialError = dial })
		r.src.Hold(pool.Holder{Caller: "a.go:1", Stack: make([]string, 100)})
		r.src.Run(serverview.Query{Text: "SELECT 'secret'"})
		time.Sleep(freshFor)
	}
	inBubble(t, func(t *testing.T, r running) {
		seed(r)
		st := status(t, r.Monitor, "")
		if st.LastDialError.Message != "" || st.LastDialError.Reason != "unreachable" || st.Holders[0].Stack != nil || st.Queries.TextShown {
			t.Errorf("by default: %+v %+v", st.LastDialError, st.Holders)
		}
	})
	inBubble(t, func(t *testing.T, r running) {
		seed(r)
		st := status(t, r.Monitor, "")
		if st.LastDialError.Message != dial.Message || len(st.Holders[0].Stack) != stackShown || !st.Queries.TextShown || st.Queries.Longest[0].Text != "SELECT ?" {
			t.Errorf("with all options: %+v %+v %+v", st.LastDialError, st.Holders, st.Queries)
		}
		if q := r.opts.queryOptions(); !q.Text || !q.Addresses {
			t.Errorf("asks for %+v", q)
		}
	}, WithAddresses(), WithStacks(), WithQueryText())
}

func TestHistory(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		time.Sleep(500 * time.Millisecond) // between two checks
		r.src.Set(func(s *pool.Stats) { s.InUse, s.Idle, s.Waiting, s.AcquireCount = 7, 1, 5, 10 })
		time.Sleep(time.Second)
		r.src.Set(func(s *pool.Stats) { s.InUse, s.Idle, s.Waiting, s.AcquireCount = 2, 4, 0, 30 })
		time.Sleep(time.Second)
		synctest.Wait()
		st := status(t, r.Monitor, "?history=0")
		h := st.History
		if h == nil || len(h.At) != 1 || h.From != 0 || h.Next != 1 || h.StepSeconds != 2 {
			t.Fatalf("%+v", h)
		}
		if h.InUse[0] != 7 || h.Idle[0] != 1 || h.Waiting[0] != 5 || h.Acquired[0] != 30 || h.Limit[0] != 10 || h.ServerUsed[0] != 10 {
			t.Errorf("the moment with the most in use, and everything acquired: %+v", h)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		all := status(t, r.Monitor, "?history=0").History
		if len(all.At) != historyKept || all.At[historyKept-1]-all.At[0] != (historySpan-historyStep).Seconds() || all.Next != all.From+uint64(historyKept) {
			t.Errorf("%d entries over %v seconds, %d to %d", len(all.At), all.At[len(all.At)-1]-all.At[0], all.From, all.Next)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if more := status(t, r.Monitor, "?history="+strconv.FormatUint(all.Next, 10)).History; len(more.At) != 2 || more.From != all.Next {
			t.Errorf("%d new entries from %d", len(more.At), more.From)
		}
		if reset := status(t, r.Monitor, "?history=99999999").History; len(reset.At) != historyKept {
			t.Errorf("%d entries for a sequence that never was", len(reset.At))
		}
		if w := get(r.PoolStatus(), "/debug/pool-status?history=-1"); w.Code != http.StatusBadRequest {
			t.Errorf("a bad sequence: %d", w.Code)
		}
		if st := status(t, r.Monitor, ""); st.History != nil {
			t.Error("history without being asked")
		}
	})
}

// A real ticker is now a moment early, now a moment late, and probes look in
// between: an entry lasts historyStep all the same.
func TestHistoryKeepsItsStep(t *testing.T) {
	h := newTimelines()
	start := time.Unix(1e9, 0)
	look := func(at time.Duration) { h.observe(look{at: start.Add(at)}) }
	jitter := []time.Duration{0, -time.Millisecond, 40 * time.Microsecond, -90 * time.Microsecond, time.Millisecond}
	for i := range 60 {
		look(time.Duration(i)*checkInterval + jitter[i%len(jitter)])
		look(time.Duration(i)*checkInterval + 600*time.Millisecond)
	}
	at := h.fine.since(0).At
	for i := 1; i < len(at); i++ {
		if step := at[i] - at[i-1]; step < 1.99 || step > 2.01 {
			t.Errorf("entry %d lasts %.3f s", i, step)
		}
	}
	if len(at) != 29 {
		t.Errorf("%d entries in a minute", len(at))
	}
	look(time.Hour)
	look(time.Hour + checkInterval)
	look(time.Hour + historyStep)
	if at = h.fine.since(0).At; len(at) != 31 || at[30]-at[29] != historyStep.Seconds() {
		t.Errorf("after a long pause: %v", at[28:])
	}
}

func TestHistoryColumnsAreEquallyLong(t *testing.T) {
	h := newTimelines()
	h.observe(look{at: time.Unix(0, 0)})
	h.observe(look{at: time.Unix(2, 0)})
	v := reflect.ValueOf(*h.fine.since(0))
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice && f.Len() != 1 {
			t.Errorf("%s has %d entries", v.Type().Field(i).Name, f.Len())
		}
	}
}

func TestRecentPercentilesForgetAfterFiveMinutes(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		time.Sleep(500 * time.Millisecond)
		r.src.Set(func(s *pool.Stats) { s.Wait.Counts[15], s.Wait.Count = 10, 10 })
		time.Sleep(time.Minute)
		q := status(t, r.Monitor, "").Queue
		if q.RecentWait.Count != 10 || q.RecentWait.P99Seconds != 10 || q.WindowSeconds != 60.5 {
			t.Errorf("%+v", q)
		}
		time.Sleep(5 * time.Minute)
		q = status(t, r.Monitor, "").Queue
		if q.RecentWait.Count != 0 || q.Wait.Count != 10 || q.WindowSeconds > 300 || q.WindowSeconds < 290 {
			t.Errorf("%+v", q)
		}
	})
}

// TestEveryFieldIsNamedAsDocumented keeps to the rules of Status' documentation.
func TestEveryFieldIsNamedAsDocumented(t *testing.T) {
	var walk func(reflect.Type, string)
	walk = func(typ reflect.Type, at string) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || name != strings.ToLower(name) {
				t.Errorf("%s.%s is called %q", at, f.Name, name)
			}
			if fraction := f.Type.Kind() == reflect.Float64 || f.Type == reflect.TypeFor[[]float64](); fraction && !strings.HasSuffix(name, "_seconds") && !strings.HasSuffix(name, "_percent") {
				t.Errorf("%s.%s is called %q: in what unit?", at, f.Name, name)
			}
			if f.Type == reflect.TypeFor[time.Duration]() {
				t.Errorf("%s.%s is a time.Duration, which JSON prints in nanoseconds", at, f.Name)
			}
			walk(f.Type, at+"."+f.Name)
		}
	}
	walk(reflect.TypeFor[statusjson.Status](), "Status")
}

// What dbmonitor doctor needs of the fleet's variables, though nobody looks at the fleet.
func TestStatusTellsTheFleetsSettings(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.Configure(func(c *config.Config) {
			c.Fleet, c.FleetReplicas, c.FleetSurge, c.FleetBudget = config.FleetOff, 8, 2, "50%"
		})
		if s := status(t, r.Monitor, "").Settings; s.Fleet != "off" || s.FleetReplicas != 8 || s.FleetSurge != 2 || s.FleetBudget != "50%" {
			t.Errorf("%+v", s)
		}
	})
}

func TestEmptyListsAreListsInJSON(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		var doc map[string]any
		if err := json.Unmarshal(get(r.PoolStatus(), "/").Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"holders", "events", "lanes"} {
			if _, ok := doc[key].([]any); !ok {
				t.Errorf("%s is %v", key, doc[key])
			}
		}
		if _, ok := doc["tasks"].(map[string]any)["running"].([]any); !ok {
			t.Error("tasks.running is no list")
		}
		if _, ok := doc["queries"].(map[string]any)["longest"].([]any); !ok {
			t.Error("queries.longest is no list")
		}
	})
}

func TestStatusShowsRoutes(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		if got := r.Status().Routes; got == nil || len(got) != 0 {
			t.Errorf("%+v, want an empty list", got)
		}
		hold := pool.Histogram{Count: 2, Sum: 3 * time.Second}
		hold.Counts[12] = 2
		r.src.Serve(pool.RouteStats{Name: "GET /report", AcquireCount: 9, Hold: hold}, pool.RouteStats{Name: "GET /orders", Waiting: 3, ShedCount: 2, TimeoutCount: 1})
		got := r.Status().Routes
		if len(got) != 2 || got[0].Name != "GET /orders" || got[0].Waiting != 3 || got[0].ShedCount != 2 || got[0].TimedOutCount != 1 {
			t.Fatalf("%+v", got)
		}
		if g := got[1]; g.AcquiredCount != 9 || g.HoldP95Seconds != 1 || g.HoldTotalSeconds != 3 {
			t.Errorf("%+v", g)
		}
	})
}
