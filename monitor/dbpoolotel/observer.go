package dbpoolotel

import (
	"context"
	"errors"
	"time"

	"github.com/dbpool-go/dbpool/pool"
	"go.opentelemetry.io/otel/metric"
)

// Observer records what a pool tells it: how long connections took to create,
// to wait for, and were used (db.client.connection.create_time, wait_time,
// use_time), and, given a tracer, a span for every acquisition. Hand it to
// pool.WithObserver. It is safe for concurrent use, never blocks, and holds
// nothing that must be closed.
type Observer struct {
	create, wait, use metric.Float64Histogram
	with              []metric.RecordOption // made once: recording allocates nothing
	spans             *spans                // nil: no tracing
}

// NewObserver returns an observer for the pool that will be named name; the
// options may set another. It fails only when the provider refuses an instrument.
func NewObserver(name string, opts ...Option) (*Observer, error) {
	o := newOptions(append([]Option{WithPoolName(name)}, opts...))
	meter := o.meter()
	create, errCreate := createTime().histogram(meter)
	wait, errWait := waitTime().histogram(meter)
	use, errUse := useTime().histogram(meter)
	if err := errors.Join(errCreate, errWait, errUse); err != nil {
		return nil, err
	}
	return &Observer{
		create: create, wait: wait, use: use,
		with:  []metric.RecordOption{metric.WithAttributes(o.attributes()...)},
		spans: newSpans(o),
	}, nil
}

// AcquireStart begins a span if there is a tracer, and the caller, if it has a
// span, is sampled. Health probes get none: they have no request to belong to
// and would each be a trace.
func (o *Observer) AcquireStart(ctx context.Context, lane pool.Lane, name string) context.Context {
	if o.spans == nil || lane == pool.LaneProbe {
		return ctx
	}
	return o.spans.start(ctx, lane, name)
}

// AcquireEnd records the wait of an acquisition that got a connection, and ends
// its span. Those that got none are counted by how they ended in
// db.client.connection.timeouts and dbpool.acquire.count.
func (o *Observer) AcquireEnd(ctx context.Context, _ pool.Lane, _ string, waited time.Duration, err error) {
	if err == nil {
		o.wait.Record(ctx, waited.Seconds(), o.with...)
	}
	if o.spans != nil {
		o.spans.end(ctx, err)
	}
}

// Released records how long a connection was used.
func (o *Observer) Released(_ pool.Lane, _ string, held time.Duration) {
	o.use.Record(context.Background(), held.Seconds(), o.with...)
}

// Dialed records how long it took to create a connection. Dials that failed
// are counted in dbpool.dial.errors.
func (o *Observer) Dialed(took time.Duration, err error) {
	if err == nil {
		o.create.Record(context.Background(), took.Seconds(), o.with...)
	}
}
