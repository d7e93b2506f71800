// Package alerts holds no code: dbpool.rules.yml is a Prometheus rule file and
// dbpool.dashboard.json a Grafana dashboard, both made of the metrics of
// monitor/dbpoolprom.
//
// Its tests need Prometheus itself, a heavy tree that nobody who uses dbpool
// should meet. So this is a module of its own, in a workspace of its own:
//
//	cd monitor/alerts && go test ./...
//
// They read both files with Prometheus' own parsers, look every metric and
// label value up in what the collector really exports, and let Prometheus
// scrape a pool through each seeded trouble: its alert must fire, and none
// other; and none at all on a healthy pool.
package alerts
