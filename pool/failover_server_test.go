package pool

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// hostsOf is a connection string that names several servers and what is wanted of them.
func hostsOf(attrs string, servers ...*pgtest.Server) string {
	var list []string
	for _, s := range servers {
		list = append(list, hostOf(s))
	}
	dsn := strings.Replace(servers[0].URL, list[0], strings.Join(list, ","), 1)
	return with(dsn, map[string]string{"target_session_attrs": attrs})
}

func hostOf(s *pgtest.Server) string { return fmt.Sprintf("%s:%d", s.Host, s.Port) }

// TestFailover loses the primary under load: as in a crash, without a word, or
// as in a switchover, when it waits for the standby to have everything. The
// standby takes over. Only who was being served may notice, nothing that was
// reported is lost, nothing is done twice, and nobody restarts the pool.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*pgtest.Server, testing.TB){"crash": (*pgtest.Server).Kill, "switchover": (*pgtest.Server).Halt} {
		t.Run(name, func(t *testing.T) {
			onServers(t, nil, func(t *testing.T, primary *pgtest.Server) {
				const size, overflow = 3, 2
				standby := replicated(t, primary)
				p := open(t, settled(hostsOf("read-write", standby, primary), size, overflow))
				at := map[*pgtest.Server]*sampler{primary: sample(t, primary, "ours"), standby: sample(t, standby, "ours")}
				written := &ledger{}
				load := startCalls(t, 2*(size+overflow), func(ctx context.Context) error { return written.insert(ctx, p) })
				load.await(t, 300)
				wantAllAt(t, p, primary)
				stop(primary, t)
				stopped := time.Now()
				until(t, 10*time.Second, "the standby is no primary", func() bool { return p.Stats().Server.Reason == "no primary" })
				standby.Promote(t)
				promoted := time.Now()
				load.await(t, 300)
				t.Logf("%d of %d inserts failed; served again %s after the promotion, %s after the primary's end", len(load.failures),
					load.served.Load(), time.Since(promoted).Round(time.Millisecond), time.Since(stopped).Round(time.Millisecond))
				load.stop()
				if len(load.failures) > size+overflow {
					t.Errorf("%d callers failed, want at most one for each of %d connections", len(load.failures), size+overflow)
				}
				load.wantConnectionErrors(t)
				written.wantThere(t, standby)
				wantAllAt(t, p, standby)
				for srv, seen := range at {
					if n := seen.peak("ours"); n > size+overflow {
						t.Errorf("%d sessions at once on port %d", n, srv.Port)
					}
				}
			})
		})
	}
}

// replicated makes a standby that has everything the primary says it has committed.
func replicated(t *testing.T, primary *pgtest.Server) (standby *pgtest.Server) {
	t.Helper()
	primary.Exec(t, "create table done (n bigint)")
	standby = primary.Standby(t, nil)
	primary.Exec(t, "alter system set synchronous_standby_names = '*'")
	primary.Exec(t, "select pg_reload_conf()")
	until(t, 20*time.Second, "replication is synchronous", func() bool {
		n, err := primary.QueryInt(t.Context(), "select count(*) from pg_stat_replication where sync_state = 'sync'")
		return n == 1 && err == nil
	})
	return standby
}

// ledger remembers what was reported done.
type ledger struct {
	last atomic.Int64
	mu   sync.Mutex // guards done
	done []int64
}

func (l *ledger) insert(ctx context.Context, p *Pool) error {
	n := l.last.Add(1)
	if _, err := p.ExecContext(ctx, "insert into done values ($1)", n); err != nil {
		return err
	}
	l.mu.Lock()
	l.done = append(l.done, n)
	l.mu.Unlock()
	return nil
}

// wantThere wants on srv all that was reported, and nothing twice.
func (l *ledger) wantThere(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	lost, err1 := srv.QueryInt(t.Context(), "select count(*) from (select unnest($1::bigint[]) except select n from done) l", l.done)
	twice, err2 := srv.QueryInt(t.Context(), "select count(*) - count(distinct n) from done")
	if lost != 0 || twice != 0 || err1 != nil || err2 != nil {
		t.Errorf("%d of %d reported inserts are lost, %d were done twice; %v, %v", lost, len(l.done), twice, err1, err2)
	}
}

// wantAllAt wants every connection of p to be a session of srv, and none of its
// slots to be kept for sessions that are gone.
func wantAllAt(t *testing.T, p *Pool, srv *pgtest.Server) {
	t.Helper()
	var s Stats
	there := 0
	until(t, 10*time.Second, fmt.Sprintf("all connections are at port %d", srv.Port), func() bool {
		s, there = p.Stats(), srv.Sessions(t.Context(), "ours")
		return there > 0 && there == s.Open() && s.Dialing+s.Closing == 0 && s.Server.OK
	})
}

// TestTargetSessionAttrs has the pool go where the connection string says, in
// whatever order the hosts are named, and elsewhere when nobody else is left.
func TestTargetSessionAttrs(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, primary *pgtest.Server) {
		const size = 3
		standby := primary.Standby(t, nil)
		both := []*pgtest.Server{primary, standby}
		pools := map[string]*Pool{}
		for attrs, want := range map[string]*pgtest.Server{
			"any": primary, "read-write": primary, "primary": primary,
			"read-only": standby, "standby": standby, "prefer-standby": standby,
		} {
			for _, hosts := range [][]*pgtest.Server{both, {standby, primary}} {
				if attrs == "any" {
					want = hosts[0]
				}
				p := open(t, settled(hostsOf(attrs, hosts...), size, 0))
				fill(t, p, size)
				wantPorts(t, p, attrs, size, want)
				pools[attrs] = p
			}
		}
		standby.Halt(t)
		for attrs, want := range map[string]*pgtest.Server{"any": primary, "read-write": primary, "prefer-standby": primary} {
			fill(t, pools[attrs], size)
			wantPorts(t, pools[attrs], attrs, size, want)
		}
		for _, attrs := range []string{"read-only", "standby"} {
			var err error
			until(t, 20*time.Second, attrs+" knows that there is no standby", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err = pools[attrs].PingContext(ctx)
				s := pools[attrs].Stats() // what was refused may still be closing
				return s.Server.Reason == "no standby" && s.Open()+s.Closing == 0
			})
			wantVerdict(t, err, ErrPoolTimeout, VerdictServerDown)
			for _, part := range []string{fmt.Sprintf("127.0.0.1:%d", primary.Port), fmt.Sprintf("127.0.0.1:%d: connect: connection refused", standby.Port), "target_session_attrs"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: %q is not in %v", attrs, part, err)
				}
			}
		}
	})
}

// fill has all connections in use at once.
func fill(t *testing.T, p *Pool, size int) {
	t.Helper()
	inParallel(size, func(int) { mustExec(t, mine(p), "select pg_sleep(0.1)") })
}

// wantPorts wants as many connections as there may be, all at one server.
func wantPorts(t *testing.T, p *Pool, attrs string, size int, want *pgtest.Server) {
	t.Helper()
	for port, n := range ports(t, p, size) {
		if port != want.Port {
			t.Errorf("%s: %d of %d connections lead to port %d, want %d", attrs, n, size, port, want.Port)
		}
	}
}

// ports tells where the connections lead.
func ports(t *testing.T, p *Pool, size int) map[int]int {
	t.Helper()
	found := map[int]int{}
	for range size {
		c, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var port int
		if err := c.QueryRowContext(t.Context(), "select current_setting('port')::int").Scan(&port); err != nil {
			t.Fatal(err)
		}
		found[port]++
	}
	return found
}

// TestRecycleAfterASwitch moves all connections to where they belong, under load,
// once a standby is back, and once it is no standby any more.
func TestRecycleAfterASwitch(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, primary *pgtest.Server) {
		const size = 4
		first, second := primary.Standby(t, nil), primary.Standby(t, nil)
		first.Halt(t)
		second.Halt(t)
		servers := []*pgtest.Server{first, second, primary}
		p := open(t, settled(hostsOf("prefer-standby", servers...), size, 0))
		fill(t, p, size)
		wantPorts(t, p, "nobody else is there", size, primary)
		load := startCalls(t, 2*size, func(ctx context.Context) error { return p.QueryRowContext(ctx, "select $1::int", 1).Scan(new(int)) })
		var seen []*sampler
		move := func(to *pgtest.Server) {
			load.await(t, 100)
			p.Recycle()
			wantAllAt(t, p, to)
			load.await(t, 100)
		}
		first.Restart(t)
		for _, s := range servers {
			if s != second {
				seen = append(seen, sample(t, s, "ours"))
			}
		}
		move(first)
		second.Restart(t)
		seen = append(seen, sample(t, second, "ours"))
		first.Promote(t)
		move(second)
		load.stop()
		load.wantNoFailure(t)
		for i, s := range seen {
			if n := s.peak("ours"); n > size {
				t.Errorf("server %d had %d sessions at once", i, n)
			}
		}
	})
}

// TestFullStandby looks for the primary behind a standby that has no room. What
// a connection string without target_session_attrs names is taken for one
// server, which TestFullHosts sees to.
func TestFullStandby(t *testing.T) {
	primary := pgtest.Start(t, pgtest.Options{})
	standby := primary.Standby(t, map[string]string{"max_connections": "100", "superuser_reserved_connections": "99"})
	primary.Exec(t, "create role app login")
	until(t, 10*time.Second, "the role is at the standby", func() bool {
		n, err := standby.QueryInt(t.Context(), "select count(*) from pg_roles where rolname = 'app'")
		return n == 1 && err == nil
	})
	dsn := strings.Replace(hostsOf("read-write", standby, primary), pgtest.Superuser+"@", "app@", 1)
	p := open(t, settled(dsn, 2, 0))
	fill(t, p, 2)
	wantPorts(t, p, "read-write", 2, primary)
	if n := tooMany(standby); n == 0 {
		t.Error("the standby was not full: the test shows nothing")
	}
}
