package dbpoolprom

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// What is not known, or does not apply, is absent: a 0 would look like a fleet
// that may have nothing.
func TestFleetMetricsThatApply(t *testing.T) {
	looks := []string{"budget_connections", "demand_connections", "fits", "look_timestamp_seconds", "replicas"}
	shares := []string{"fallback", "headroom_connections", "share_connections", "token_connections"}
	for _, tc := range []struct {
		name  string
		fleet pool.FleetStats
		want  []string // beside info
	}{
		{"off", pool.FleetStats{Mode: config.FleetOff}, nil},
		{"warn, not looked yet", pool.FleetStats{Mode: config.FleetWarn}, nil},
		{"warn", pool.FleetStats{Mode: config.FleetWarn, At: epoch}, looks},
		{"enforce, not looked yet", pool.FleetStats{Mode: config.FleetEnforce}, shares},
		{"enforce", pool.FleetStats{Mode: config.FleetEnforce, At: epoch}, append(slices.Clone(looks), shares...)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for name := range parse(t, scrape(t, registry(t, NewCollector(&fixed{stats: pool.Stats{Name: "db", Fleet: tc.fleet}})))) {
				if short, ok := strings.CutPrefix(name, "dbpool_fleet_"); ok && short != "info" {
					got = append(got, short)
				}
			}
			slices.Sort(got)
			slices.Sort(tc.want)
			if !slices.Equal(got, tc.want) {
				t.Errorf("exported %v, want %v", got, tc.want)
			}
		})
	}
}
