package dbpoolotel

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// fixed is a Source whose figures the test sets; it counts how often it is asked.
type fixed struct {
	stats pool.Stats
	calls int
}

func (f *fixed) Stats() pool.Stats {
	f.calls++
	return f.stats
}

// busy is a snapshot in which no two figures are alike.
func busy() pool.Stats {
	return pool.Stats{
		Name: "orders", PoolSize: 20, MaxOverflow: 12, Limit: 31,
		InUse: 11, Idle: 7, Dialing: 3, Closing: 6, Quarantined: 2, Waiting: 62,
		Lanes:        [3]pool.LaneStats{{InUse: 1, Waiting: 0}, {InUse: 8, Waiting: 51}, {InUse: 2, Waiting: 11}},
		AcquireCount: 1001, WaitCount: 303, WaitDuration: 404500 * time.Millisecond,
		TimeoutCount: 17, ShedCount: 18, AcquireCanceledCount: 19, NestedCount: 21,
		OpenedCount: 122, Closed: pool.ClosedStats{Recycled: 131, Surplus: 132, Broken: 133, Canceled: 134, Unclean: 135, Shutdown: 136},
		Ended:       pool.EndedStats{Terminated: 1, Crashed: 2, DatabaseDropped: 3, IdleSession: 4, IdleTransaction: 5, Transaction: 6, Conflict: 7, OtherError: 8, Silent: 9, Network: 10, GivenUp: 12, ReadOnly: 13, Unknown: 14},
		CancelCount: 41, DialCount: 142, DialErrorCount: 43,
		Server:           pool.ServerState{Reason: "role limit"},
		StatementTimeout: pool.StatementTimeout{Want: 30 * time.Second, InForce: true},
		LeakWarningCount: 5, Leaking: 4,
		Tasks: pool.TaskStats{Running: make([]pool.RunningTask, 3), StartedCount: 52, FailedCount: 53, PanicCount: 54, RefusedCount: 55},
		Standby: &pool.StandbyStats{
			OK: true, Behind: true, Budget: 37, Limit: 15, InUse: 71, Idle: 72, Dialing: 73, Closing: 74, Waiting: 75,
			ReadCount: 76, UnusableCount: 77, BehindCount: 78, WaitCount: 79, WaitDuration: 80 * time.Second,
		},
		Fleet: pool.FleetStats{
			Mode: config.FleetEnforce, At: time.Unix(1, 0), Replicas: 8, Usable: 97, Need: 96, Fits: true,
			Share: 13, Tokens: 14, Headroom: 9, Fallback: "no advisory locks through this pooler",
		},
	}
}

// collect reads everything once, as an exporter does.
func collect(t *testing.T, r sdk.Reader) map[string]metricdata.Metrics {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	out := map[string]metricdata.Metrics{}
	for _, scope := range rm.ScopeMetrics {
		if scope.Scope.Name != scopeName || scope.Scope.SchemaURL != schemaURL {
			t.Errorf("scope %+v", scope.Scope)
		}
		for _, m := range scope.Metrics {
			out[m.Name] = m
		}
	}
	return out
}

// reader is a provider without an exporter: the test collects.
func reader(t *testing.T) (sdk.Reader, metric.MeterProvider) {
	r := sdk.NewManualReader()
	mp := sdk.NewMeterProvider(sdk.WithReader(r))
	t.Cleanup(func() { _ = mp.Shutdown(context.WithoutCancel(t.Context())) })
	return r, mp
}

func register(t *testing.T, src Source, mp metric.MeterProvider, opts ...Option) metric.Registration {
	t.Helper()
	reg, err := Register(src, append(opts, WithMeterProvider(mp))...)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// value finds the number under one attribute; with attr empty, the only one.
func value(t *testing.T, m metricdata.Metrics, attr, of string) (float64, attribute.Set) {
	t.Helper()
	for _, p := range points(t, m) {
		if got, _ := p.attrs.Value(attribute.Key(attr)); attr == "" || got.AsString() == of {
			return p.value, p.attrs
		}
	}
	t.Errorf("%s: nothing with %s=%q", m.Name, attr, of)
	return 0, attribute.Set{}
}

type point struct {
	value float64
	attrs attribute.Set
}

func points(t *testing.T, m metricdata.Metrics) (out []point) {
	t.Helper()
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			out = append(out, point{float64(p.Value), p.Attributes})
		}
	case metricdata.Sum[float64]:
		for _, p := range d.DataPoints {
			out = append(out, point{p.Value, p.Attributes})
		}
	case metricdata.Gauge[int64]:
		for _, p := range d.DataPoints {
			out = append(out, point{float64(p.Value), p.Attributes})
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			out = append(out, point{p.Value, p.Attributes})
		}
	default:
		t.Fatalf("%s is a %T", m.Name, m.Data)
	}
	return out
}

func TestFigures(t *testing.T) {
	r, mp := reader(t)
	src := &fixed{stats: busy()}
	register(t, src, mp)
	got := collect(t, r)
	for _, tc := range []struct {
		name, attr, of string
		want           float64
	}{
		{"db.client.connection.count", attrState, "used", 11},
		{"db.client.connection.count", attrState, "idle", 7},
		{"db.client.connection.idle.max", "", "", 20},
		{"db.client.connection.idle.min", "", "", 0},
		{"db.client.connection.max", "", "", 31},
		{"db.client.connection.pending_requests", "", "", 62},
		{"db.client.connection.timeouts", "", "", 17},
		{"dbpool.connection.max_open", "", "", 32},
		{"dbpool.connection.dialing", "", "", 3},
		{"dbpool.connection.closing", "", "", 6},
		{"dbpool.connection.quarantined", "", "", 2},
		{"dbpool.connection.leaking", "", "", 4},
		{"dbpool.leak.warnings", "", "", 5},
		{"dbpool.connection.opened", "", "", 122},
		{"dbpool.connection.closed", attrReason, "recycled", 131},
		{"dbpool.connection.closed", attrReason, "surplus", 132},
		{"dbpool.connection.closed", attrReason, "broken", 133},
		{"dbpool.connection.closed", attrReason, "canceled", 134},
		{"dbpool.connection.closed", attrReason, "unclean", 135},
		{"dbpool.connection.closed", attrReason, "shutdown", 136},
		{"dbpool.dial.count", "", "", 142},
		{"dbpool.dial.errors", "", "", 43},
		{"dbpool.statement.cancels", "", "", 41},
		{"dbpool.lane.used", attrLane, "request", 8},
		{"dbpool.lane.used", attrLane, "background", 2},
		{"dbpool.lane.pending_requests", attrLane, "request", 51},
		{"dbpool.lane.pending_requests", attrLane, "probe", 0},
		{"dbpool.acquire.count", attrResult, "ok", 1001},
		{"dbpool.acquire.count", attrResult, "timeout", 17},
		{"dbpool.acquire.count", attrResult, "shed", 18},
		{"dbpool.acquire.count", attrResult, "canceled", 19},
		{"dbpool.acquire.queued", "", "", 303},
		{"dbpool.acquire.queued_time", "", "", 404.5},
		{"dbpool.acquire.nested", "", "", 21},
		{"dbpool.server.refusing", attrReason, "role limit", 1},
		{"dbpool.statement.timeout", "", "", 30},
		{"dbpool.statement.timeout_in_force", "", "", 1},
		{"dbpool.background.running", "", "", 3},
		{"dbpool.background.started", "", "", 52},
		{"dbpool.background.failed", "", "", 53},
		{"dbpool.background.panics", "", "", 54},
		{"dbpool.background.refused", "", "", 55},
		{"dbpool.standby.connections", attrPlace, "in_use", 71},
		{"dbpool.standby.connections", attrPlace, "closing", 74},
		{"dbpool.standby.limit", "", "", 15},
		{"dbpool.standby.budget", "", "", 37},
		{"dbpool.standby.pending_requests", "", "", 75},
		{"dbpool.standby.up", "", "", 1},
		{"dbpool.standby.behind", "", "", 1},
		{"dbpool.standby.reads", attrServed, "standby", 76},
		{"dbpool.standby.reads", attrServed, "unusable", 77},
		{"dbpool.standby.reads", attrServed, "behind", 78},
		{"dbpool.standby.waits", "", "", 79},
		{"dbpool.standby.wait_time", "", "", 80},
		{"dbpool.fleet.replicas", "", "", 8},
		{"dbpool.fleet.demand", "", "", 96},
		{"dbpool.fleet.budget", "", "", 97},
		{"dbpool.fleet.fits", "", "", 1},
		{"dbpool.fleet.share", "", "", 13},
		{"dbpool.fleet.tokens", "", "", 14},
		{"dbpool.fleet.headroom", "", "", 9},
		{"dbpool.fleet.fallback", "", "", 1},
	} {
		v, attrs := value(t, got[tc.name], tc.attr, tc.of)
		if v != tc.want {
			t.Errorf("%s %s is %g, want %g", tc.name, tc.of, v, tc.want)
		}
		if name, _ := attrs.Value(attrPoolName); name.AsString() != "orders" {
			t.Errorf("%s: pool name %q", tc.name, name.AsString())
		}
		if system, _ := attrs.Value(attrSystem); system.AsString() != systemPostgreSQL {
			t.Errorf("%s: system %q", tc.name, system.AsString())
		}
	}
}

func TestEveryInstrumentIsObserved(t *testing.T) {
	r, mp := reader(t)
	src := &fixed{stats: busy()}
	register(t, src, mp)
	src.calls = 0
	got := collect(t, r)
	if src.calls != 1 {
		t.Errorf("one collection took %d snapshots; figures of different moments contradict each other", src.calls)
	}
	for _, in := range append(conventional(), ours()...) {
		m, ok := got[in.name]
		if !ok || m.Unit != in.unit || m.Description != in.description {
			t.Errorf("%s: collected %t, unit %q, description %q", in.name, ok, m.Unit, m.Description)
		}
		if ok && in.kind != kindOf(m.Data) {
			t.Errorf("%s: is a %s, want %s", in.name, kindOf(m.Data), in.kind)
		}
	}
}

func kindOf(data metricdata.Aggregation) kind {
	v := reflect.ValueOf(data)
	monotonic := v.FieldByName("IsMonotonic")
	switch {
	case monotonic.IsValid() && monotonic.Bool():
		return counter
	case monotonic.IsValid():
		return upDownCounter
	case v.FieldByName("Temporality").IsValid():
		return histogram
	default:
		return gauge
	}
}

// What is not so, not known or does not apply is absent.
func TestAbsent(t *testing.T) {
	r, mp := reader(t)
	register(t, &fixed{stats: pool.Stats{
		Name: "db", Server: pool.ServerState{OK: true, Reason: "server full"}, Fleet: pool.FleetStats{Mode: config.FleetWarn},
	}}, mp)
	got := collect(t, r)
	for _, in := range append(append(fleet(), standby()...), instrument{name: "dbpool.server.refusing"}) {
		if m, ok := got[in.name]; ok {
			t.Errorf("%s: %v", in.name, m)
		}
	}
}

func TestTwoPoolsThenUnregister(t *testing.T) {
	r, mp := reader(t)
	orders := register(t, &fixed{stats: pool.Stats{Name: "db", Waiting: 1}}, mp, WithPoolName("orders"))
	register(t, &fixed{stats: pool.Stats{Name: "db", Waiting: 2}}, mp, WithPoolName("reports"))
	pending := func() map[string]float64 {
		out := map[string]float64{}
		for _, p := range points(t, collect(t, r)["db.client.connection.pending_requests"]) {
			name, _ := p.attrs.Value(attrPoolName)
			out[name.AsString()] = p.value
		}
		return out
	}
	if got := pending(); !reflect.DeepEqual(got, map[string]float64{"orders": 1, "reports": 2}) {
		t.Errorf("pending %v", got)
	}
	if err := orders.Unregister(); err != nil {
		t.Fatal(err)
	}
	if got := pending(); !reflect.DeepEqual(got, map[string]float64{"reports": 2}) {
		t.Errorf("pending %v after orders was unregistered", got)
	}
}

func TestHistogramsCannotBeObserved(t *testing.T) {
	_, mp := reader(t)
	if _, err := createTime().observable(mp.Meter(scopeName)); err == nil {
		t.Error("a histogram was made observable")
	}
}
