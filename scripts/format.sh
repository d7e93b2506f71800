#!/usr/bin/env bash
# Fails when a Go file is not formatted; with --write formats it instead.
. "$(dirname "$0")/lib.sh"
if [ "${1:-}" = --write ]; then
	git ls-files -z '*.go' | xargs -0 gofmt -w
	exit
fi
wrong=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
[ -z "$wrong" ] || fail "not formatted by gofmt (make format does it):"$'\n'"$wrong"
