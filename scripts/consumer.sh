#!/usr/bin/env bash
# Builds and runs a program outside this tree that uses the modules as the README
# says, with gin, GORM and Prometheus in the versions of our own tests.
. "$(dirname "$0")/lib.sh"

# version_of MODULE FOLDER prints which version the module in FOLDER requires.
version_of() { awk -v module="$1" '$1 == module { print $2 }' "$2/go.mod"; }

ours=github.com/dbpool-go/dbpool
edit=(-replace "$ours=$root")
for dir in pool/adapters/ginpool monitor/dbpoolprom; do edit+=(-replace "$ours/$dir=$root/$dir"); done
while read -r module dir; do edit+=(-require "$module@$(version_of "$module" "$dir")"); done <<'END'
github.com/gin-gonic/gin pool/adapters/ginpool
github.com/prometheus/client_golang monitor/dbpoolprom
gorm.io/gorm internal/ecosystem
gorm.io/driver/postgres internal/ecosystem
END
cp -r scripts/testdata/consumer "$scratch/consumer"
go build -o "$scratch/withpg" ./internal/pgtest/withpg
cd "$scratch/consumer"
export GOWORK=off
go mod init example.com/consumer
go mod edit "${edit[@]}"
go mod tidy
go vet .
"$scratch/withpg" -- go run .
