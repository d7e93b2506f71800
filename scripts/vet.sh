#!/usr/bin/env bash
# go vet for every module. Other systems need not run here, but must compile.
. "$(dirname "$0")/lib.sh"
go vet work
GOOS=darwin go vet ./config ./pool ./monitor ./internal/pgtest
GOOS=windows go vet ./config ./pool ./monitor
