package dbpoolotel

import (
	"fmt"
	"time"

	"github.com/dbpool-go/dbpool/pool"
	"go.opentelemetry.io/otel/metric"
)

// instrument is one figure: how it is described, and read from a snapshot.
type instrument struct {
	name        string
	kind        kind
	unit        string // UCUM; "s" makes it a float, all else an integer
	attr        string // its own attribute; empty: one value
	description string
	read        read // nil: recorded, not observed
}

type (
	read func(s *pool.Stats, put put)
	// put takes one value; attr is its attribute's value, "" where there is none.
	put func(attr string, v float64)
)

type kind string

const (
	counter       kind = "counter"
	upDownCounter kind = "updowncounter" // adds up over pools and replicas
	gauge         kind = "gauge"         // does not
	histogram     kind = "histogram"
)

func one[N int | uint64 | float64](value func(*pool.Stats) N) read {
	return func(s *pool.Stats, put put) { put("", float64(value(s))) }
}

// observable makes the instrument at m.
func (in instrument) observable(m metric.Meter) (metric.Observable, error) {
	unit, text := metric.WithUnit(in.unit), metric.WithDescription(in.description)
	switch in.kind {
	case counter:
		if in.unit == "s" {
			return m.Float64ObservableCounter(in.name, unit, text)
		}
		return m.Int64ObservableCounter(in.name, unit, text)
	case upDownCounter:
		return m.Int64ObservableUpDownCounter(in.name, unit, text)
	case gauge:
		if in.unit == "s" {
			return m.Float64ObservableGauge(in.name, unit, text)
		}
		return m.Int64ObservableGauge(in.name, unit, text)
	default:
		return nil, fmt.Errorf("dbpoolotel: %s: a %s cannot be observed", in.name, in.kind)
	}
}

// histogram makes the instrument at m, with the pool's own buckets.
func (in instrument) histogram(m metric.Meter) (metric.Float64Histogram, error) {
	return m.Float64Histogram(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.description),
		metric.WithExplicitBucketBoundaries(seconds(pool.HistogramBounds())...))
}

func seconds(ds []time.Duration) []float64 {
	out := make([]float64, len(ds))
	for i, d := range ds {
		out[i] = d.Seconds()
	}
	return out
}

func observe(o metric.Observer, to metric.Observable, v float64, with metric.ObserveOption) {
	switch to := to.(type) {
	case metric.Int64Observable:
		o.ObserveInt64(to, int64(v), with)
	case metric.Float64Observable:
		o.ObserveFloat64(to, v, with)
	}
}
