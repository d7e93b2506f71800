package dbpoolotel

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Option changes what Register and NewObserver export, and where to.
type Option func(*options)

type options struct {
	name   string
	meters metric.MeterProvider
	traces trace.TracerProvider
}

// WithMeterProvider sets where metrics go. Default otel.GetMeterProvider().
func WithMeterProvider(mp metric.MeterProvider) Option { return func(o *options) { o.meters = mp } }

// WithTracerProvider makes an observer trace acquisitions. By default there are
// no spans. Register ignores it.
func WithTracerProvider(tp trace.TracerProvider) Option { return func(o *options) { o.traces = tp } }

// WithPoolName sets the attribute db.client.connection.pool.name, which must
// tell the pools of one program apart. Default: Stats.Name for Register, the
// name given to NewObserver.
func WithPoolName(name string) Option { return func(o *options) { o.name = name } }

func newOptions(opts []Option) options {
	o := options{meters: otel.GetMeterProvider()}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

func (o options) meter() metric.Meter {
	return o.meters.Meter(scopeName, metric.WithSchemaURL(schemaURL))
}

// attributes are on everything that is exported.
func (o options) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String(attrPoolName, o.name),
		attribute.String(attrSystem, systemPostgreSQL),
	}
}
