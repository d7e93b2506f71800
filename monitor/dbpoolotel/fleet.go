package dbpoolotel

import (
	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// fleet says how all replicas together fit the server. Gauges, because every
// replica says the same of the whole: their sum would mean nothing.
func fleet() []instrument {
	return []instrument{
		{"dbpool.fleet.replicas", gauge, "{replica}", "", "Live replicas of this service, or DB_FLEET_REPLICAS if that is more.",
			looked(func(f *pool.FleetStats) int { return f.Replicas })},
		{"dbpool.fleet.demand", gauge, "{connection}", "", "Connections that all replicas together can ask for, with the surge of a rolling deploy.",
			looked(func(f *pool.FleetStats) int { return f.Need })},
		{"dbpool.fleet.budget", gauge, "{connection}", "", "Connections that all replicas together may have on the server.",
			looked(func(f *pool.FleetStats) int { return f.Usable })},
		{"dbpool.fleet.fits", gauge, "1", "", "1 when the demand is within the budget, and the budgets of all services within the server.",
			looked(func(f *pool.FleetStats) int { return bit(f.Fits) })},
		{"dbpool.fleet.share", gauge, "{connection}", "", "Most connections that this replica may have now (DB_FLEET=enforce).",
			enforced(func(f *pool.FleetStats) int { return f.Share })},
		{"dbpool.fleet.tokens", gauge, "{connection}", "", "Connections of the budget that this replica has (DB_FLEET=enforce).",
			enforced(func(f *pool.FleetStats) int { return f.Tokens })},
		{"dbpool.fleet.headroom", gauge, "{connection}", "", "Connections kept free for replicas that start (DB_FLEET=enforce).",
			enforced(func(f *pool.FleetStats) int { return f.Headroom })},
		{"dbpool.fleet.fallback", gauge, "1", "", "1 while the budget is divided by number because it cannot be shared (DB_FLEET=enforce).",
			enforced(func(f *pool.FleetStats) int { return bit(f.Fallback != "") })},
	}
}

// looked reads what is absent with DB_FLEET=off and before the first look.
func looked(value func(*pool.FleetStats) int) read {
	return func(s *pool.Stats, put put) {
		if !s.Fleet.At.IsZero() {
			put("", float64(value(&s.Fleet)))
		}
	}
}

// enforced reads what is absent unless DB_FLEET=enforce.
func enforced(value func(*pool.FleetStats) int) read {
	return func(s *pool.Stats, put put) {
		if s.Fleet.Mode == config.FleetEnforce {
			put("", float64(value(&s.Fleet)))
		}
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
