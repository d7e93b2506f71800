package pool

import "context"

// Lane says what kind of work asks for a connection. Lanes share one limit.
type Lane uint8

// The lanes, in the order in which they are served.
const (
	LaneProbe      Lane = iota // health probes: one connection at a time, always next in line
	LaneRequest                // everything a caller waits for; the default
	LaneBackground             // Background tasks: never more than half of the limit
	laneCount
)

// String returns "probe", "request" or "background".
func (l Lane) String() string {
	switch l {
	case LaneProbe:
		return "probe"
	case LaneBackground:
		return "background"
	default:
		return "request"
	}
}

type (
	laneKey struct{}
	nameKey struct{}
)

// ContextWithLane returns a context whose acquisitions queue in lane l.
func ContextWithLane(ctx context.Context, l Lane) context.Context {
	return context.WithValue(ctx, laneKey{}, l)
}

// ContextWithName returns a context whose connections are listed under name (a route,
// a task) in timeouts, leak warnings and status pages.
func ContextWithName(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, nameKey{}, name)
}

func laneOf(ctx context.Context) Lane {
	if l, ok := ctx.Value(laneKey{}).(Lane); ok && l < laneCount {
		return l
	}
	return LaneRequest
}

func nameOf(ctx context.Context) string {
	name, _ := ctx.Value(nameKey{}).(string)
	return name
}
