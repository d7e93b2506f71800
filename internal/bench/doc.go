// Package bench measures this library beside its rivals, database/sql and
// pgxpool, on one server and in one run, so that the figures can be compared:
//
//	go test ./internal/bench -bench . -benchtime 1x
//
// It has no code of its own but its benchmarks.
package bench
