package gate

// Lane says what kind of work asks for a connection. Lanes share one limit.
type Lane uint8

// The lanes, in the order in which they are served.
const (
	Probe      Lane = iota // one connection at a time, always next in line
	Request                // everything a caller waits for
	Background             // never more than half of the limit
	lanes
)
