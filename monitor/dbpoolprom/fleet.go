package dbpoolprom

import "github.com/dbpool-go/dbpool/config"

// fleetMetrics say how all replicas together fit the server. They are absent
// with DB_FLEET=off and before the fleet was looked at.
func fleetMetrics() []metric {
	return []metric{
		gaugeBy("mode", "dbpool_fleet_info", "1", "Always 1; its label is DB_FLEET (off, warn, enforce).",
			func(s *snapshot, put put) {
				if s.Fleet.Mode != "" {
					put(string(s.Fleet.Mode), 1)
				}
			}),
		looked("dbpool_fleet_replicas", "replicas", "Live replicas of this service, or DB_FLEET_REPLICAS if that is more.",
			func(s *snapshot) float64 { return float64(s.Fleet.Replicas) }),
		looked("dbpool_fleet_demand_connections", "connections", "Connections that all replicas together can ask for, with the surge of a rolling deploy.",
			func(s *snapshot) float64 { return float64(s.Fleet.Need) }),
		looked("dbpool_fleet_budget_connections", "connections", "Connections that all replicas together may have on the server.",
			func(s *snapshot) float64 { return float64(s.Fleet.Usable) }),
		looked("dbpool_fleet_fits", "0 or 1", "1 when the demand is within the budget, and the budgets of all services within the server.",
			func(s *snapshot) float64 { return bit(s.Fleet.Fits) }),
		looked("dbpool_fleet_look_timestamp_seconds", "seconds", "When the fleet was looked at last, in Unix time.",
			func(s *snapshot) float64 { return unix(s.Fleet.At) }),
		enforced("dbpool_fleet_share_connections", "connections", "Most connections that this replica may have now (DB_FLEET=enforce).",
			func(s *snapshot) float64 { return float64(s.Fleet.Share) }),
		enforced("dbpool_fleet_token_connections", "connections", "Connections of the budget that this replica has (DB_FLEET=enforce).",
			func(s *snapshot) float64 { return float64(s.Fleet.Tokens) }),
		enforced("dbpool_fleet_headroom_connections", "connections", "Connections kept free for replicas that start (DB_FLEET=enforce).",
			func(s *snapshot) float64 { return float64(s.Fleet.Headroom) }),
		enforced("dbpool_fleet_fallback", "0 or 1", "1 while the budget is divided by number because it cannot be shared (DB_FLEET=enforce).",
			func(s *snapshot) float64 { return bit(s.Fleet.Fallback != "") }),
	}
}

func looked(name, unit, help string, value func(*snapshot) float64) metric {
	return gaugeBy("", name, unit, help, func(s *snapshot, put put) {
		if !s.Fleet.At.IsZero() {
			put("", value(s))
		}
	})
}

func enforced(name, unit, help string, value func(*snapshot) float64) metric {
	return gaugeBy("", name, unit, help, func(s *snapshot, put put) {
		if s.Fleet.Mode == config.FleetEnforce {
			put("", value(s))
		}
	})
}
