# Sourced by the scripts beside it: bash -euo pipefail, in the root of the
# repository, with a scratch folder that is removed at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

GOLANGCI_LINT=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
TYPESCRIPT=typescript@5.9.3
GOTESTSUM=gotest.tools/gotestsum@v1.13.0
APIDIFF=golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4

fail() { printf '%s\n' "$*" >&2; return 1; }

# install_tool MODULE@VERSION puts a command into $scratch.
install_tool() { GOFLAGS='' GOBIN=$scratch go install "$1"; }

# each_module runs a command in the folder of every module, and names those
# where it fails.
each_module() {
	local mod rc=0
	for mod in $(git ls-files '*go.mod'); do
		(cd "$(dirname "$mod")" && "$@") || { echo "in $(dirname "$mod"): $*" >&2; rc=1; }
	done
	return $rc
}
