#!/usr/bin/env bash
# Builds and runs a program outside this tree that uses the modules as the README says.
. "$(dirname "$0")/lib.sh"
cp -r scripts/testdata/consumer "$scratch/consumer"
go build -o "$scratch/withpg" ./internal/pgtest/withpg
cd "$scratch/consumer"
export GOWORK=off
go mod init example.com/consumer
go mod edit -replace "github.com/dbpool-go/dbpool=$root"
go mod tidy
go vet .
"$scratch/withpg" -- go run .
