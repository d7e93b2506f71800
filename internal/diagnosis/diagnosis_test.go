package diagnosis

import (
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// crowd is a pool of 10 of which each connection is held for d, and whose callers have
// waited for 5 seconds.
func crowd(doing Doing, d time.Duration) Scene {
	s := Scene{At: now, Waited: 5 * time.Second, Limit: 10, MaxOpen: 10, InUse: 10, Waiting: 3, BackgroundCap: 5, Timeout: 30 * time.Second, Access: Access{OK: true}}
	for i := range 10 {
		s.Holders = append(s.Holders, Holder{Who: "api/report.go:88 (GET /report)", Held: d, Doing: doing, PID: uint32(100 + i)})
	}
	return s
}

// locked is a crowd whose connections wait for psql's transaction.
func locked(age time.Duration) Scene {
	s := crowd(Running, 40*time.Second)
	s.View = &View{At: now.Add(-age), Role: "orders", Application: "orders", Blockers: []Blocker{
		{PID: 3157, Application: "psql", Role: "alice", State: "idle in transaction", For: 50 * time.Second},
	}}
	for _, h := range s.Holders {
		s.View.Waiting = append(s.View.Waiting, h.PID)
		s.View.Blockers[0].Blocks = append(s.View.Blockers[0].Blocks, h.PID)
	}
	return s
}

// refusing is a pool that got 3 of its 10 connections.
func refusing(reason string, full bool) Scene {
	s := crowd(Running, time.Second)
	s.InUse, s.Holders = 3, s.Holders[:3]
	s.Access = Access{Full: full, Reason: reason, Since: now.Add(-time.Minute), Remedy: "raise max_connections"}
	return s
}

func TestOf(t *testing.T) {
	with := func(s Scene, change func(*Scene)) Scene { change(&s); return s }
	for name, tc := range map[string]struct {
		scene Scene
		cause Cause
		want  string
	}{
		"lock": {locked(time.Second), Lock,
			"10 of 10 wait for a lock held by pid 3157 (psql, alice, idle in transaction 50s): select pg_terminate_backend(3157) (as alice or a superuser)"},
		"lock, seen a while ago": {locked(22 * time.Second), Lock,
			"10 of 10 wait for a lock held by pid 3157 (psql, alice, idle in transaction 50s) (the server as seen 22s ago): select pg_terminate_backend(3157) (as alice or a superuser)"},
		"lock, of the same role": {with(locked(0), func(s *Scene) { s.View.Blockers[0].Role = "orders" }), Lock,
			"10 of 10 wait for a lock held by pid 3157 (psql, orders, idle in transaction 50s): select pg_terminate_backend(3157)"},
		"lock, its holder hidden and nameless": {with(locked(0), func(s *Scene) { s.View.Blockers[0].State, s.View.Blockers[0].Application = "", "" }), Lock,
			"10 of 10 wait for a lock held by pid 3157 (no application name, alice): select pg_terminate_backend(3157) (as alice or a superuser)"},
		"lock of a prepared transaction": {with(locked(0), func(s *Scene) { s.View.Blockers[0].PID = 0 }), Lock,
			"10 of 10 wait for a lock held by a prepared transaction: select gid, owner, prepared from pg_prepared_xacts order by prepared, then rollback prepared '<gid>' (as alice or a superuser)"},
		"lock held by one of the pool's own": {with(locked(0), func(s *Scene) {
			s.Holders[0].Doing, s.Holders[0].Held = InTransaction, time.Minute
			s.View.Blockers[0] = Blocker{PID: 100, Role: "orders", State: "idle in transaction", Blocks: s.View.Waiting[1:]}
			s.View.Waiting = s.View.Waiting[1:]
		}), Lock, "9 of 10 wait for a lock held by this pool's own pid 100 (1m0s by api/report.go:88 (GET /report), idle in transaction): select pg_terminate_backend(100)"},
		"one of ten waits for a lock, and nobody waits for a connection": {with(locked(0), func(s *Scene) {
			s.View.Waiting, s.Waiting, s.Idle, s.Waited = s.View.Waiting[:1], 0, 2, 0
		}), Lock, "1 of 10 waits for a lock held by pid 3157 (psql, alice, idle in transaction 50s): select pg_terminate_backend(3157) (as alice or a superuser)"},
		// What the server said a minute and more ago is not about now.
		"lock, seen too long ago": {locked(2 * time.Minute), Slow,
			"10 of 10 run statements that take long, the longest 40s by api/report.go:88 (GET /report), running: whether they wait for a lock is not known, the server was last seen 2m0s ago; make them faster, or lower DB_STATEMENT_TIMEOUT (30s); at once: select pg_cancel_backend(100)"},
		"leak, and perhaps nested": {crowd(InTransaction, time.Minute), Leak,
			"10 of 10 are held without a statement, the longest 1m0s by api/report.go:88 (GET /report), idle in transaction: close rows and end transactions on every path there; or nested use: each of them waits for a second connection, taken through DB() perhaps, while it holds the first"},
		"leak, before it is everybody's": {with(crowd(Running, time.Millisecond), func(s *Scene) {
			s.Waiting, s.Holders = 0, []Holder{{Who: "a.go:1", Held: 2 * time.Minute, Doing: Idle, Leaking: true}}
		}), Leak, "1 of 10 is held without a statement, the longest 2m0s by a.go:1, idle: close rows and end transactions on every path there"},
		"slow": {crowd(Running, 6*time.Second), Slow,
			"10 of 10 run statements that take long, the longest 6s by api/report.go:88 (GET /report), running: make them faster, or lower DB_STATEMENT_TIMEOUT (30s); at once: select pg_cancel_backend(100)"},
		// statement_timeout and pool_timeout are equal: the stuck are replaced by the stuck.
		"slow, each as long as callers wait": {with(crowd(Running, time.Second), func(s *Scene) { s.Waited, s.Usual = 30*time.Second, 30*time.Second }), Slow,
			"10 of 10 run statements that take long, the longest 1s by api/report.go:88 (GET /report), running; of late they took about 30s: make them faster, or lower DB_STATEMENT_TIMEOUT (30s); at once: select pg_cancel_backend(100)"},
		// The queue was there before: the caller first in it has waited for longer than anything is held.
		"slow, none has come back of late": {with(crowd(Running, 21*time.Second), func(s *Scene) { s.Waited = 27 * time.Second }), Slow,
			"10 of 10 run statements that take long, the longest 21s by api/report.go:88 (GET /report), running: make them faster, or lower DB_STATEMENT_TIMEOUT (30s); at once: select pg_cancel_backend(100)"},
		"slow, far beyond what is usual": {with(crowd(Running, 2700*time.Millisecond), func(s *Scene) { s.Usual, s.View = 42*time.Millisecond, &View{At: now.Add(-8 * time.Second), Free: 20} }), Slow,
			"10 of 10 run statements that take long, the longest 2.7s by api/report.go:88 (GET /report), running; of late they took about 42ms: whether they wait for a lock is not known, the server was last seen 8s ago; make them faster, or lower DB_STATEMENT_TIMEOUT (30s); at once: select pg_cancel_backend(100)"},
		"too small": {with(crowd(Running, time.Millisecond), func(s *Scene) { s.Usual = 12 * time.Millisecond; s.View = &View{At: now, Free: 43} }), Small,
			"10 of 10 are in use and come back after about 12ms, but more is asked of them (3 wait): raise DB_POOL_SIZE or DB_MAX_OVERFLOW (the server has room for 43 more), or reduce load"},
		"too small, while the pool itself uses one": {with(crowd(Running, time.Millisecond), func(s *Scene) { s.InUse, s.Idle, s.Own, s.Holders = 9, 1, 1, s.Holders[:9] }), Small,
			"9 of 10 are in use and come back, but more is asked of them (3 wait): raise DB_POOL_SIZE or DB_MAX_OVERFLOW if the server has room, or reduce load"},
		"too small, on a full server": {with(crowd(Running, time.Millisecond), func(s *Scene) { s.View = &View{At: now} }), Small,
			"10 of 10 are in use and come back, but more is asked of them (3 wait): reduce load, or make statements faster; the server has no room for more connections"},
		"background": {with(crowd(Running, time.Millisecond), func(s *Scene) {
			s.BackgroundUse = 5
			for i := range 5 {
				s.Holders[i].Background, s.Holders[i].Held, s.Holders[i].Who = true, time.Minute, "jobs/reindex.go:12 (reindex)"
			}
		}), Background, "background work has 5 of the 5 connections that it may have, the longest held 1m0s by jobs/reindex.go:12 (reindex), running: run fewer tasks at once, or make them shorter; at once: select pg_cancel_backend(100)"},
		"nested": {with(crowd(Idle, time.Minute), func(s *Scene) { s.Outer, s.Caller = &s.Holders[3], "api/list.go:7" }), Nested,
			"the caller at api/list.go:7 waits for itself: it already holds a connection, 1m0s by api/report.go:88 (GET /report), idle: pass on the session that holds the first connection instead of asking for another"},
		"nested, all of them": {with(crowd(Idle, time.Minute), func(s *Scene) { s.NestedWaiting = 10 }), Nested,
			"10 callers that hold a connection already wait for another, the longest holder 1m0s by api/report.go:88 (GET /report), idle: pass on the session that holds the first connection instead of asking for another"},
		"share": {with(crowd(Running, time.Millisecond), func(s *Scene) { s.MaxOpen, s.Fleet = 12, Fleet{8, 27} }), Share,
			"the fleet's budget leaves this replica 10 of 12 (27 for 8 replicas), and that is not enough: run fewer replicas, or raise DB_FLEET_BUDGET or what the server allows"},
		"server full": {refusing("reserved slots", true), ServerFull,
			"the server has no room for more connections (reserved slots) since 1m0s, and this pool has 3 of 10: raise max_connections"},
		"server full, mostly by this service": {with(refusing("role limit", true), func(s *Scene) {
			s.View = &View{At: now, Sessions: 20, Application: "orders", Applications: []Application{{"orders", 15}, {"", 5}}}
		}), ServerFull, "the server has no room for more connections (role limit) since 1m0s, and this pool has 3 of 10; of 20 sessions this service has 15, no application name 5: raise max_connections"},
		"neighbour": {with(refusing("server full", true), func(s *Scene) {
			s.View = &View{At: now.Add(-9 * time.Second), Sessions: 97, Application: "orders", Applications: []Application{{"bill'ing", 61}, {"psql", 20}, {"orders", 3}}}
		}), Neighbour, "the server has no room for more connections (server full) since 1m0s, and this pool has 3 of 10; of 97 sessions bill'ing has 61, psql 20, this service 3 (the server as seen 9s ago): raise max_connections; at once: select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'bill''ing' and state = 'idle'"},
		"unreachable": {with(refusing("unreachable", false), func(s *Scene) { s.InUse, s.Holders, s.Access.Remedy = 0, nil, "" }), Unreachable,
			"no connection can be opened (unreachable) since 1m0s, and this pool has no connection: check that the server runs and is reachable"},
		"rejected": {with(refusing("server certificate expired", false), func(s *Scene) { s.Access.Rejects, s.Access.Remedy = true, "renew it" }), Rejected,
			"no connection can be opened (server certificate expired) since 1m0s, and this pool has 3 of 10: renew it"},
		"hung, the monitor has no answer": {with(crowd(Running, 8*time.Second), func(s *Scene) { s.Silent = now.Add(-35 * time.Second) }), Hung,
			"the server is connected and has not answered for 35s, and 10 of 10 wait for it: check its host, its disk and its log, and restart it if it is stopped"},
		"hung, beyond statement_timeout": {crowd(Running, 2*time.Minute), Hung,
			"the server is connected and has not answered for 2m0s, and 10 of 10 wait for it: check its host, its disk and its log, and restart it if it is stopped"},
		"hung, and no dial is answered": {with(refusing("no answer", false), func(s *Scene) { s.Access.NoAnswer = true }), Hung,
			"the server is connected and has not answered for 1m0s, and 3 of 10 wait for it: check its host, its disk and its log, and restart it if it is stopped"},
		// Its statements have timed out, their connections do not end, and no dial is answered.
		"hung, and no statement runs any more": {with(refusing("no answer", false), func(s *Scene) {
			s.InUse, s.Holders, s.Closing, s.Access.NoAnswer, s.Silent, s.Failed = 0, nil, 10, true, now.Add(-90*time.Second), true
		}), Hung, "the server is connected and has not answered for 1m30s, and 3 callers wait for it: check its host, its disk and its log, and restart it if it is stopped"},
		"hung, and the first dial is not over": {with(refusing("", false), func(s *Scene) {
			s.InUse, s.Holders, s.Closing, s.Silent, s.Failed, s.Waiting = 0, nil, 10, now.Add(-9*time.Second), true, 0
		}), Hung, "the server is connected and has not answered for 9s: check its host, its disk and its log, and restart it if it is stopped"},
		// Nothing is known but that no session has ended that was given up.
		"hung, and all connections were given up": {with(crowd(Running, 0), func(s *Scene) {
			s.InUse, s.Holders, s.Closing, s.Unended, s.UnendedFor = 0, nil, 10, 10, 7*time.Second
		}), Hung, "the server is connected and has not answered for 7s, and 3 callers wait for it: check its host, its disk and its log, and restart it if it is stopped"},
		"hung, and most connections were given up": {with(crowd(Running, 20*time.Second), func(s *Scene) {
			s.InUse, s.Holders, s.Closing, s.Unended, s.UnendedFor = 2, s.Holders[:2], 8, 8, 7*time.Second
		}), Hung, "the server is connected and has not answered for 7s, and 2 of 10 wait for it: check its host, its disk and its log, and restart it if it is stopped"},
		"unreachable, and the first dial is not over": {with(crowd(Running, 0), func(s *Scene) { s.InUse, s.Holders, s.Dialing = 0, nil, 10 }), Unreachable,
			"no connection can be opened (no answer so far) since 5s, and this pool has no connection: check that the server runs and is reachable"},
		"nothing: all being opened": {with(crowd(Running, 0), func(s *Scene) {
			s.InUse, s.Holders, s.Dialing, s.Waited = 0, nil, 10, 100*time.Millisecond
		}), None, ""},
		"nothing: all in use for a moment": {with(crowd(Running, time.Millisecond), func(s *Scene) { s.Waited = 10 * time.Millisecond }), None, ""},
		"nothing: nobody waits":            {with(crowd(Running, 10*time.Second), func(s *Scene) { s.Waiting = 0 }), None, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := Of(tc.scene)
			if d.Cause != tc.cause || d.Sentence != tc.want {
				t.Errorf("\n got %s: %s\nwant %s: %s", d.Cause, d.Sentence, tc.cause, tc.want)
			}
			if d.Cause != None && (d.Since.IsZero() || d.Since.After(now)) {
				t.Errorf("since %v", d.Since)
			}
			if !strings.Contains(d.Sentence, d.Command) || !strings.Contains(d.Sentence, d.Culprit) && d.Cause != Hung && d.Cause != ServerFull {
				t.Errorf("command %q and culprit %q are not in the sentence", d.Command, d.Culprit)
			}
		})
	}
}

// A name is its owner's choice: it may neither break the line nor the SQL.
func TestNamesAreMadeFit(t *testing.T) {
	s := locked(0)
	s.View.Blockers[0].Application = "ps\nql\x1b[2J" + strings.Repeat("x", 100)
	if got := Of(s).Sentence; strings.ContainsAny(got, "\n\x1b") || strings.Contains(got, strings.Repeat("x", 50)) {
		t.Errorf("%q", got)
	}
}

func TestBlockedSeenFromOutside(t *testing.T) {
	d := Blocked(now, *locked(0).View, 7, 12)
	if want := "7 of 12 wait for a lock held by pid 3157 (psql, alice, idle in transaction 50s): select pg_terminate_backend(3157) (as alice or a superuser)"; d.Sentence != want {
		t.Errorf("\n got %s\nwant %s", d.Sentence, want)
	}
	if d := Blocked(now, View{}, 7, 12); d.Cause != None {
		t.Errorf("%+v", d)
	}
}
