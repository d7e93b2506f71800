package statusjson

// Readiness is what /health/live and /health/ready answer.
type Readiness struct {
	Service string `json:"service"`       // always "dbpool"
	OK      bool   `json:"ok"`            // whether the answer is 200
	Why     string `json:"why,omitempty"` // why not
}
