// Package monitor watches a pool: it logs, warns, answers /health and
// /debug/pool-status, and draws the status page.
//
//	m := monitor.New(p)
//	go m.Run(ctx)
//	mux.Handle("/health", m.Health())
//	mux.Handle("/debug/pool-status", m.PoolStatus())
//
// # What runs
//
// Run looks at the pool's figures once a second, which touches no database. It
// logs one line every Config.LogPoolStatusInterval; warns when usage reaches
// Config.MaxConnectionWarnings, and takes it back when usage has stayed 10 points
// below for 10 seconds; counts what comes again within 10 minutes, and tells it
// again only when it stands for a minute, or after an hour; and keeps the last 15 minutes closely and 12 hours by the minute for
// the page. Every 5 seconds it probes the database through the pool's probe lane,
// and every 15 it reads the server's own view in the same lane, so that neither
// takes a place from the application's callers. Config.PoolMonitoring=false
// switches all of it off; the endpoints still answer, from the pool's figures.
//
// Unless DB_FLEET=off the pool itself looks, every 15 seconds, whether all
// replicas of the service together fit the server. A fleet that does not is an
// event and degrades health, but never makes it unhealthy.
//
// # Who may see it
//
// /health is for load balancers and is safe to show to anyone. /debug/pool-status
// by default shows figures, callers' file and line, application names and
// database names, and nothing secret; SQL texts, network addresses and stacks are
// switched on by WithQueryText, WithAddresses and WithStacks. It can be closed to
// strangers by WithToken or WithLoopbackOnly, or by wrapping the handler:
//
//	mux.Handle("/debug/pool-status", requireAdmin(m.PoolStatus()))
//
// With GET parameters it answers JSON (?format=json) or its history (?history=0);
// nothing it answers changes anything.
package monitor
