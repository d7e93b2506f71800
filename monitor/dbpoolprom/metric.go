package dbpoolprom

import (
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/prometheus/client_golang/prometheus"
)

// snapshot is all that one scrape shows.
type snapshot struct {
	pool.Stats
	view   serverview.View
	viewed bool // view is known
}

// metric is one exported metric: what docs/metrics.md says of it, and how it is
// read from a snapshot. Beside the label of its pool it has at most one.
type metric struct {
	name  string
	kind  kind
	unit  string
	label string // empty: one value
	help  string

	read      func(s *snapshot, put put)       // counters and gauges
	histogram func(s *snapshot) pool.Histogram // histograms
}

// put takes one value; label is its label's value, "" where the metric has none.
type put func(label string, v float64)

type kind string

const (
	kindCounter   kind = "counter"
	kindGauge     kind = "gauge"
	kindHistogram kind = "histogram"
)

func (k kind) valueType() prometheus.ValueType {
	if k == kindCounter {
		return prometheus.CounterValue
	}
	return prometheus.GaugeValue
}

func gauge(name, unit, help string, value func(*snapshot) int) metric {
	return metric{name: name, kind: kindGauge, unit: unit, help: help,
		read: func(s *snapshot, put put) { put("", float64(value(s))) }}
}

func counter(name, unit, help string, value func(*snapshot) uint64) metric {
	return metric{name: name, kind: kindCounter, unit: unit, help: help,
		read: func(s *snapshot, put put) { put("", float64(value(s))) }}
}

func gaugeBy(label, name, unit, help string, read func(*snapshot, put)) metric {
	return metric{name: name, kind: kindGauge, unit: unit, label: label, help: help, read: read}
}

func counterBy(label, name, unit, help string, read func(*snapshot, put)) metric {
	return metric{name: name, kind: kindCounter, unit: unit, label: label, help: help, read: read}
}

func histogram(name, help string, h func(*snapshot) pool.Histogram) metric {
	return metric{name: name, kind: kindHistogram, unit: "seconds", help: help, histogram: h}
}

// constHistogram turns the pool's buckets into Prometheus' cumulative ones.
// Prometheus adds the one without a bound itself, from the count.
func constHistogram(desc *prometheus.Desc, h pool.Histogram) prometheus.Metric {
	bounds := pool.HistogramBounds()
	buckets, seen := make(map[float64]uint64, len(bounds)), uint64(0)
	for i, bound := range bounds {
		seen += h.Counts[i]
		buckets[bound.Seconds()] = seen
	}
	return prometheus.MustNewConstHistogram(desc, h.Count, h.Sum.Seconds(), buckets)
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
