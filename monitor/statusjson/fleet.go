package statusjson

import "time"

// FleetFigures say whether all replicas of the service together fit the server.
//
// The fleet is looked at every 15 seconds, and at the first time when the pool
// has its first connection. Until then at and fits are absent, and replicas,
// usable and need are 0.
type FleetFigures struct {
	Mode       string    `json:"mode"`        // "warn" or "enforce"
	At         time.Time `json:"at,omitzero"` // when the fleet was looked at last, by the service's clock
	AgeSeconds float64   `json:"age_seconds"` // how long ago that is; 0 before the first time

	Replicas int   `json:"replicas"`       // live ones, or DB_FLEET_REPLICAS if that is more
	Surge    int   `json:"surge"`          // more of them while a rolling deploy is under way, DB_FLEET_SURGE
	Usable   int   `json:"usable"`         // connections that all replicas together may have
	Need     int   `json:"need"`           // connections that they can ask for, surge included; with "enforce" one each, the least they need
	Fits     *bool `json:"fits,omitempty"` // need <= usable, and the budgets of all services are within what the server has

	// With "enforce" only, else 0 and empty; these are of this moment.
	Share    int    `json:"share"`              // the most connections that this replica may have
	Tokens   int    `json:"tokens"`             // connections of the budget that this replica has
	Headroom int    `json:"headroom"`           // connections kept free for replicas that start
	Fallback string `json:"fallback,omitempty"` // why the budget is divided by number instead of shared; absent while it is shared

	Arithmetic []string `json:"arithmetic"` // how usable and need come about, a step a line
	Remedies   []string `json:"remedies"`   // what would make it fit: one of the variables, or all of the SQL together; empty when it does
}
