#!/usr/bin/env bash
# scripts/test.sh as the gate runs it: with the race detector, fuzz targets on
# their seeds, examples compared with their output. A skipped test is a failure:
# here everything that a test needs is there.
. "$(dirname "$0")/lib.sh"
export DBPOOL_REQUIRE_SERVERS=1

# Without this, every test on a server would fail with the same message.
go run ./internal/pgtest/withpg -- true || fail "PostgreSQL cannot be started, so nothing can be tested"

install_tool "$GOTESTSUM"
# Two packages run without the race detector. The alerts' rules are evaluated by one
# goroutine, in Prometheus' own code: it has nothing to find there and makes that take
# seven times as long. A day in virtual time switches goroutines so often that the
# detector itself gives up now and then.
plain=$(go list work | grep -E '/monitor/(alerts|internal/daytest)$')
tests() { # NAME FLAG…
	local name=$1
	shift
	"$scratch/gotestsum" --format pkgname --format-hide-empty-pkg --jsonfile "$scratch/$name.json" \
		--ignore-non-json-output-lines --raw-command -- scripts/test.sh -json -count=1 -timeout 15m "$@"
}
PACKAGES=$(tr '\n' ' ' <<<"$plain") tests plain
PACKAGES=$(go list work | grep -vxF "$plain" | tr '\n' ' ') tests all -race "$@"
if grep -h '"Action":"skip"' "$scratch"/{plain,all}.json | grep '"Test":'; then
	fail "skipped tests count as failed here"
fi
