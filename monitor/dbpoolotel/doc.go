// Package dbpoolotel exports a pool's figures to OpenTelemetry, and the time
// spent waiting for a connection as spans. It is a module of its own, so that
// programs without OpenTelemetry do not carry it.
//
// Two parts, because OpenTelemetry's histograms cannot be observed from a snapshot:
//
//	obs, err := dbpoolotel.NewObserver(cfg.Name)             // create_time, wait_time, use_time, spans
//	p, err := pool.Open(cfg, pool.WithObserver(obs))
//	reg, err := dbpoolotel.Register(p)                       // everything else, once per collection
//	defer reg.Unregister()
//
// Names, units and attributes follow the semantic conventions for
// db.client.connection.*; what the conventions do not know is named dbpool.*.
// The conventions are still in development: all names are in one file, names.go,
// and a test compares them with the convention's own package.
// docs/metrics.md lists every instrument with its type, unit and meaning.
package dbpoolotel
