package bench

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// logged is a server whose log tells whom it let in and whom it refused.
var logged = map[string]string{"max_connections": "20", "log_connections": "on", "log_line_prefix": "user=%u "}

// guest is an ordinary role: a superuser would not feel a full server.
const guest = "guest"

// lines counts what the server's log says of the guest.
func lines(srv *pgtest.Server, said string) (n int) {
	for line := range strings.Lines(srv.Log()) {
		if strings.HasPrefix(line, "user="+guest+" ") && strings.Contains(line, said) {
			n++
		}
	}
	return n
}

// eachAlone runs one contender after the other, each on a server of its own
// with conns connections at most.
func eachAlone(b *testing.B, conns int, run func(srv *pgtest.Server, c contender)) {
	b.Helper()
	for i := range 4 {
		srv := pgtest.Start(b, pgtest.Options{Settings: logged})
		srv.Exec(b, "create role "+guest+" login")
		run(srv, contenders(b, srv.DSN("postgres", guest, ""), conns)[i])
	}
}

func together(n int, run func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(run)
	}
	all.Wait()
}

// BenchmarkCancelled cancels a thousand queries, twenty callers at a time on
// five connections, and asks the server how many sessions that took.
func BenchmarkCancelled(b *testing.B) {
	const conns, callers, each = 5, 20, 50
	t := newTable(b, fmt.Sprintf("%d cancelled queries, %d connections", callers*each, conns), "sessions opened")
	eachAlone(b, conns, func(srv *pgtest.Server, c contender) {
		together(callers, func() {
			for range each {
				ctx, cancel := context.WithCancel(b.Context()) // not a deadline: nobody is to be refused
				late := time.AfterFunc(40*time.Millisecond, cancel)
				_ = c.query(ctx, "select pg_sleep(10)")
				late.Stop()
				cancel()
			}
		})
		opened := lines(srv, "connection authorized")
		t.row(c.name, fmt.Sprint(opened))
		t.metric(c, float64(opened), "sessions")
	})
	t.print()
}

// BenchmarkFullServer has fifty callers ask a server that others have filled,
// and counts how often it is knocked at.
func BenchmarkFullServer(b *testing.B) {
	const conns, callers, lasts = 5, 50, 3 * time.Second
	t := newTable(b, fmt.Sprintf("a full server, %d callers", callers), "dials/s")
	eachAlone(b, conns, func(srv *pgtest.Server, c contender) {
		_, free := srv.FillSlots(b, 0)
		defer free()
		ctx, cancel := context.WithCancel(b.Context())
		defer time.AfterFunc(lasts, cancel).Stop()
		together(callers, func() {
			for ctx.Err() == nil {
				_ = c.query(ctx, "select 1")
			}
		})
		rate := float64(lines(srv, "FATAL")) / lasts.Seconds()
		t.row(c.name, fmt.Sprintf("%.1f", rate))
		t.metric(c, rate, "dials/s")
	})
	t.print()
}
