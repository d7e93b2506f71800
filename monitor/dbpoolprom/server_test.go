package dbpoolprom

import (
	"testing"

	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
)

func TestServerRefusing(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server pool.ServerState
		want   string // the one reason that is 1; empty: none
	}{
		{"granting", pool.ServerState{OK: true}, ""},
		{"granting again, the reason kept", pool.ServerState{OK: true, Reason: "server full"}, ""},
		{"never dialed", pool.ServerState{}, ""},
		{"full", pool.ServerState{Reason: "server full"}, "server full"},
		{"role limit", pool.ServerState{Reason: "role limit"}, "role limit"},
		{"a new word", pool.ServerState{Reason: "out of coffee"}, reasonOther},
	} {
		t.Run(tc.name, func(t *testing.T) {
			families := parse(t, scrape(t, registry(t, NewCollector(&fixed{stats: pool.Stats{Name: "db", Server: tc.server}}))))
			series := families["dbpool_server_refusing"].GetMetric()
			if len(series) != len(serverReasons()) {
				t.Fatalf("%d series, want %d: an alert resolves only on a 0", len(series), len(serverReasons()))
			}
			for _, m := range series {
				want := 0.0
				if label(m, "reason") == tc.want {
					want = 1
				}
				if got := m.GetGauge().GetValue(); got != want {
					t.Errorf("reason %q is %g, want %g", label(m, "reason"), got, want)
				}
			}
		})
	}
}

// What has not happened yet has no time: a 0 would be read as 1970.
func TestTimestampsAreAbsentBeforeTheEvent(t *testing.T) {
	families := parse(t, scrape(t, registry(t, NewCollector(&fixed{stats: pool.Stats{Name: "db"}}))))
	for _, name := range []string{"dbpool_last_dial_error_timestamp_seconds", "dbpool_server_state_timestamp_seconds"} {
		if families[name] != nil {
			t.Errorf("%s exported", name)
		}
	}
	if got := label(families["dbpool_info"].GetMetric()[0], "pooler"); got != "none" {
		t.Errorf("pooler %q, want none", got)
	}
}

func TestServerView(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []Option
		want map[string]float64
	}{
		{"not asked for", nil, nil},
		{"not known", []Option{WithServerView(func() (serverview.View, bool) { return serverview.View{Free: 4}, false })}, nil},
		{"known", []Option{known()}, map[string]float64{
			"dbpool_server_usable_connections": 27, "dbpool_server_free_connections": 4, "dbpool_server_usage_ratio": 0.85,
			"dbpool_server_sessions": 23, "dbpool_server_role_sessions": 19,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			families := parse(t, scrape(t, registry(t, NewCollector(&fixed{stats: busy()}, tc.opts...))))
			for _, m := range viewMetrics() {
				want, wanted := tc.want[m.name]
				f := families[m.name]
				if (f != nil) != wanted {
					t.Errorf("%s exported %t, want %t", m.name, f != nil, wanted)
				} else if wanted && f.GetMetric()[0].GetGauge().GetValue() != want {
					t.Errorf("%s is %g, want %g", m.name, f.GetMetric()[0].GetGauge().GetValue(), want)
				}
			}
		})
	}
}
