#!/usr/bin/env bash
# Runs the tests of every module, after making sure that this machine has the
# servers that they start. Arguments go to go test: scripts/test.sh -race
# PACKAGES, when set, are tested instead of all.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh --quiet >&2
# More at once than there are processors: most tests on a server wait for it, pool's
# for nine minutes on two of them.
# shellcheck disable=SC2086 # a list
exec go test -parallel 4 -timeout 20m "$@" ${PACKAGES:-work}
