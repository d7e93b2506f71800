#!/usr/bin/env bash
# Starts the example service as the README does, and asks it what the README
# says to ask.
. "$(dirname "$0")/lib.sh"

# await_url OUTPUT PID waits until the program has printed an address, and prints that.
await_url() {
	local url
	for _ in $(seq 600); do
		url=$(grep -o -m1 'http://[^/ ]*' "$1" || true)
		[ -z "$url" ] || { echo "$url"; return 0; }
		kill -0 "$2" 2>/dev/null || fail "it ended before it served" || return 1
		sleep 0.1
	done
	fail "no address within 60 s"
}

# look_at URL. The first probe may be under way yet.
look_at() {
	local rc health status order
	health=$(curl -fsS --retry 20 --retry-delay 1 --retry-all-errors --max-time 5 "$1/health") &&
		status=$(curl -fsS --max-time 5 "$1/debug/pool-status") &&
		order=$(curl -fsS --max-time 5 -d '{"item":"tea","quantity":2}' "$1/orders") || return 1
	printf '%s\n' "${health:0:300}" "${status:0:300}" "$order"
	go build -o "$scratch/dbmonitor" ./monitor/cmd/dbmonitor || return 1
	"$scratch/dbmonitor" "$1" && rc=0 || rc=$? # 1: busy, as --load means it to be
	[ $rc -le 1 ] || fail "dbmonitor: exit code $rc"
}

answers() { curl -s -o /dev/null --max-time 1 "$1/health"; }

go run ./examples/service --addr 127.0.0.1:0 --load >"$scratch/service.out" 2>"$scratch/service.err" </dev/null &
pid=$!
url=$(await_url "$scratch/service.out" "$pid") || { cat "$scratch/service.err"; exit 1; }
rc=0
look_at "$url" || rc=$?
# go run passes no signal on; the service notices that it is gone.
kill "$pid"
wait "$pid" || true
for _ in $(seq 150); do
	answers "$url" || break
	sleep 0.1
done
! answers "$url" || fail "the service outlived go run"
[ $rc = 0 ] || { cat "$scratch/service.err"; exit $rc; }
