#!/usr/bin/env bash
# Each module is tidy, builds on its own as its users get it, and names the same
# version of Go as the others. All agree on what they require of one another.
. "$(dirname "$0")/lib.sh"
versions=$(git ls-files -z '*go.mod' '*go.work' | xargs -0 grep -h '^go ' | sort -u)
[ "$(wc -l <<<"$versions")" = 1 ] || fail "the go.mod and go.work files name more than one version of Go:"$'\n'"$versions"
each_module env GOWORK=off go mod tidy -diff
each_module env GOWORK=off go build ./...
scripts/tags.sh
