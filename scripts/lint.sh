#!/usr/bin/env bash
# golangci-lint for every module, with one configuration.
. "$(dirname "$0")/lib.sh"
install_tool "$GOLANGCI_LINT"
each_module "$scratch/golangci-lint" run --config "$root/.golangci.yml"
