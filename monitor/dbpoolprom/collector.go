package dbpoolprom

import (
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/prometheus/client_golang/prometheus"
)

// Source is what a collector reads. A *pool.Pool is one.
type Source interface {
	Stats() pool.Stats
}

var _ Source = (*pool.Pool)(nil)

// Option changes what a collector exports.
type Option func(*options)

type options struct {
	name  string
	goSQL bool
	view  func() (serverview.View, bool)
}

// WithPoolName sets the value of the pool label (db_name for the go_sql_*
// metrics). Default: Stats.Name, which is Config.Name. Two pools of one name in
// one registry are refused by Register; this option tells them apart.
func WithPoolName(name string) Option { return func(o *options) { o.name = name } }

// WithoutGoSQL leaves out the go_sql_* metrics. By default they are exported,
// filled from the pool's own figures, with these differences from what
// database/sql would count:
//
//   - go_sql_max_open_connections is the limit in force now, which a resize, a
//     full server or a fleet share may have lowered.
//   - go_sql_open_connections and go_sql_in_use_connections leave out
//     connections that are being dialed, which database/sql counts as in use;
//     dbpool_connections has them.
//   - go_sql_max_idle_closed_total also counts connections closed because the
//     limit was lowered, and lingering overflow.
//   - go_sql_max_lifetime_closed_total also counts those replaced by Recycle.
//   - go_sql_max_idle_time_closed_total is always 0: this pool closes surplus
//     connections and has no idle time limit.
//
// Connections closed for other reasons have no go_sql_* counterpart; see
// dbpool_connections_closed_total.
func WithoutGoSQL() Option { return func(o *options) { o.goSQL = false } }

// WithServerView adds the metrics of the server's own view, such as
// dbpool_server_free_connections. view returns the last one that is known, and
// false while none is or it is too old to be believed: then they are absent
// from the scrape. It is called once per scrape, concurrently if scrapes are,
// and must not ask the database; a monitor keeps such a view. By default these
// metrics are not exported.
func WithServerView(view func() (serverview.View, bool)) Option {
	return func(o *options) { o.view = view }
}

// NewCollector returns a collector of p's figures, to be registered by the
// caller. It calls p.Stats once now, for the name, and once per scrape. It may
// be scraped concurrently and after the pool was closed. Collectors of pools
// with different names share a registry; the second of one name is refused by
// Register with a prometheus.AlreadyRegisteredError.
func NewCollector(p Source, opts ...Option) prometheus.Collector {
	o := options{goSQL: true}
	for _, opt := range opts {
		opt(&o)
	}
	if o.name == "" {
		o.name = p.Stats().Name
	}
	c := &collector{source: p, view: o.view}
	c.add(dbpoolMetrics(), prometheus.Labels{"pool": o.name})
	if o.view != nil {
		c.add(viewMetrics(), prometheus.Labels{"pool": o.name})
	}
	if o.goSQL {
		c.add(goSQLMetrics(), prometheus.Labels{"db_name": o.name})
	}
	return c
}

// collector is immutable once made.
type collector struct {
	source  Source
	view    func() (serverview.View, bool) // nil: not exported
	metrics []described
}

// described is a metric with the description that a registry knows it by.
type described struct {
	metric
	desc *prometheus.Desc
}

func (c *collector) add(ms []metric, constant prometheus.Labels) {
	for _, m := range ms {
		var labels []string
		if m.label != "" {
			labels = []string{m.label}
		}
		c.metrics = append(c.metrics, described{m, prometheus.NewDesc(m.name, m.help, labels, constant)})
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector: one snapshot, every metric.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := snapshot{Stats: c.source.Stats()}
	if c.view != nil {
		s.view, s.viewed = c.view()
	}
	for _, m := range c.metrics {
		m.collect(&s, ch)
	}
}

func (m described) collect(s *snapshot, ch chan<- prometheus.Metric) {
	if m.kind == kindHistogram {
		ch <- constHistogram(m.desc, m.histogram(s))
		return
	}
	m.read(s, func(label string, v float64) {
		if m.label == "" {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind.valueType(), v)
			return
		}
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind.valueType(), v, label)
	})
}
