#!/usr/bin/env bash
# Runs the tests of every module, after making sure that this machine has the
# servers that they start. Arguments go to go test: scripts/test.sh -race
# PACKAGES, when set, are tested instead of all.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh --quiet >&2
# shellcheck disable=SC2086 # a list
exec go test "$@" ${PACKAGES:-work}
