// Package dbpoolprom exports a pool's figures to Prometheus.
//
//	prometheus.MustRegister(dbpoolprom.NewCollector(p))
//
// It is a module of its own, so that programs without Prometheus do not carry
// it. Nothing is counted here: every scrape reads one [pool.Stats], so the
// figures of one scrape never contradict each other, and between scrapes the
// collector costs nothing.
//
// Two families of metrics are exported. The dbpool_* ones say everything that
// the pool knows. The go_sql_* ones are those of client_golang's own collector
// for a *sql.DB, with its names, labels and help texts, so that dashboards made
// for it keep working; see [WithoutGoSQL] for what they cannot say.
// docs/metrics.md lists every metric with its type, unit and meaning.
package dbpoolprom
