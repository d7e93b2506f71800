#!/usr/bin/env bash
# Compares a small program on database/sql with pgx's driver, on pgxpool and on
# dbpool: how large it is, and which packages it is made of. It fails when dbpool
# brings a package of others that is not listed here, or has grown too large.
# scripts/size.sh --table prints the table of docs/benchmarks.md, built as for release.
. "$(dirname "$0")/lib.sh"
export GOWORK=off
programs=(stdlib pgxpool dbpool)
ours=github.com/dbpool-go/dbpool

# What dbpool needs and pgx's driver does not.
allowed=github.com/caarlos0/env/v10
# Its program may be this many percent of that on pgx's driver, without symbols.
most=125

# build NAME FLAG… puts the programs into $scratch/NAME.
build() {
	local out=$scratch/$1
	shift
	mkdir "$out"
	go build -o "$out/" "$@" "${programs[@]/#/./scripts/testdata/size/}"
}

bytes() { wc -c <"$scratch/$1/$2"; }

# others PROGRAM lists the packages it is made of that are neither Go's nor ours.
others() {
	go list -deps -f '{{if not .Standard}}{{.ImportPath}}{{end}}' "./scripts/testdata/size/$1" | grep -v "^$ours" | sort
}

# modules PROGRAM counts the modules that a module with only that program has.
modules() {
	local dir=$scratch/module-$1
	mkdir -p "$dir/answer"
	cp scripts/testdata/size/answer/print.go "$dir/answer"
	sed "s|$ours/scripts/testdata/size/|example.com/size/|" "scripts/testdata/size/$1/main.go" >"$dir/main.go"
	(
		cd "$dir"
		go mod init example.com/size
		go mod edit -replace "$ours=$root" -require "$pgx"
		go mod tidy
	) 2>"$dir/said" || { cat "$dir/said" >&2; return 1; }
	(cd "$dir" && go list -m all | grep -cv "^example.com/size$\|^$ours ")
}

table() {
	local p
	pgx=$(awk '$1 == "github.com/jackc/pgx/v5" { print $1 "@" $2 }' go.mod)
	build plain -trimpath
	build stripped -trimpath -ldflags '-s -w'
	build served -trimpath -ldflags '-s -w' -tags http
	printf '| A program that runs one query, with | MB | MB without symbols | the same over `net/http` | packages of others | modules of others |\n|---|---|---|---|---|---|\n'
	for p in "${programs[@]}"; do
		awk -v p="${p/stdlib/\`database/sql\` with pgx}" -v plain="$(bytes plain "$p")" -v stripped="$(bytes stripped "$p")" -v served="$(bytes served "$p")" \
			-v packages="$(others "$p" | wc -l)" -v modules="$(modules "$p")" 'BEGIN {
			printf "| %s | %.1f | %.1f | %.1f | %d | %d |\n", p, plain / 1e6, stripped / 1e6, served / 1e6, packages, modules }'
	done
}

if [ "${1:-}" = --table ]; then
	table
	exit
fi
more=$(comm -13 <(others stdlib) <(others dbpool) | grep -vxF "$allowed" || true)
[ -z "$more" ] || fail "dbpool needs packages of others that it did not need before:"$'\n'"$more"
build stripped -ldflags '-s -w'
percent=$(($(bytes stripped dbpool) * 100 / $(bytes stripped stdlib)))
[ $percent -le $most ] || fail "a small program on dbpool is $percent % of one on pgx's driver, and may be $most %"
echo "a small program on dbpool is $percent % of one on pgx's driver"
