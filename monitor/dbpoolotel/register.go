package dbpoolotel

import (
	"context"
	"slices"

	"github.com/dbpool-go/dbpool/pool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Source is what is observed. A *pool.Pool is one.
type Source interface {
	Stats() pool.Stats
}

var _ Source = (*pool.Pool)(nil)

// Register observes p: one p.Stats per collection for all instruments, so its
// figures never contradict each other. It also calls p.Stats once now, for the
// name. Several pools can be registered with one provider; their names tell
// them apart. Unregister the result when p is closed; until then it is observed
// and kept alive. Register fails only when the provider refuses an instrument;
// then nothing is observed.
//
// The conventions' histograms (create_time, wait_time, use_time) are not among
// the instruments, since OpenTelemetry cannot observe histograms: an [Observer]
// records them.
func Register(p Source, opts ...Option) (metric.Registration, error) {
	o := newOptions(opts)
	if o.name == "" {
		o.name = p.Stats().Name
	}
	meter, figures := o.meter(), slices.Concat(conventional(), ours())
	made := make([]metric.Observable, len(figures))
	for i, in := range figures {
		var err error
		if made[i], err = in.observable(meter); err != nil {
			return nil, err
		}
	}
	constant := o.attributes()
	return meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		s := p.Stats()
		for i, in := range figures {
			in.read(&s, func(attr string, v float64) { observe(to, made[i], v, in.with(constant, attr)) })
		}
		return nil
	}, made...)
}

// with adds the instrument's own attribute to those that everything carries.
func (in instrument) with(constant []attribute.KeyValue, value string) metric.ObserveOption {
	if in.attr == "" {
		return metric.WithAttributes(constant...)
	}
	return metric.WithAttributes(append(slices.Clone(constant), attribute.String(in.attr, value))...)
}
