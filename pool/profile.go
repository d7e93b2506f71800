package pool

import (
	"context"
	"runtime/pprof"
)

// The pprof labels of work that has a session: `go tool pprof -tagfocus` and
// the goroutine profile tell by them which route or task it is.
const (
	labelPool = "dbpool"      // Config.Name
	labelWork = "dbpool_work" // the route, the task, or what ContextWithName says
)

// labelled puts the labels of the work called name on this goroutine, until
// end is called, and on the context, for goroutines and labels of the work's
// own. Work without a name gets none.
func (p *Pool) labelled(ctx context.Context, name string) (inner context.Context, end func()) {
	if name == "" {
		return ctx, func() {}
	}
	inner = pprof.WithLabels(ctx, pprof.Labels(labelPool, p.cfg.Name, labelWork, name))
	pprof.SetGoroutineLabels(inner)
	return inner, func() { pprof.SetGoroutineLabels(ctx) }
}
