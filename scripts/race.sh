#!/usr/bin/env bash
# scripts/test.sh as the gate runs it: with the race detector, fuzz targets on
# their seeds, examples compared with their output. A skipped test is a failure:
# here everything that a test needs is there.
. "$(dirname "$0")/lib.sh"
export DBPOOL_REQUIRE_SERVERS=1

# Without this, every test on a server would fail with the same message.
go run ./internal/pgtest/withpg -- true || fail "PostgreSQL cannot be started, so nothing can be tested"

install_tool "$GOTESTSUM"
"$scratch/gotestsum" --format pkgname --format-hide-empty-pkg --jsonfile "$scratch/tests.json" \
	--ignore-non-json-output-lines --raw-command -- scripts/test.sh -json -race -count=1 -timeout 15m "$@"
if grep '"Action":"skip"' "$scratch/tests.json" | grep '"Test":'; then
	fail "skipped tests count as failed here"
fi
