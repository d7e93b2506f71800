#!/usr/bin/env bash
# Measures database/sql, pgxpool and dbpool in turn on one server and prints the
# tables of docs/benchmarks.md. It wants a machine that does nothing else.
# Arguments go to go test: scripts/bench.sh -bench Throughput
. "$(dirname "$0")/lib.sh"
scripts/install.sh --quiet >&2
go test ./internal/bench -run '^$' -bench . -benchtime 1x -v -timeout 60m "$@"
