// Package monitor watches a pool: it logs, warns, answers /health and
// /debug/pool-status, and draws the status page.
package monitor
