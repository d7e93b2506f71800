package fleet

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// What a request costs the server with so many sessions of a fleet. These figures are
// PROTOCOL.md's, and the simulated server's (costProbe and the like).
func TestWhatALookCosts(t *testing.T) {
	for _, sessions := range also([]int{16}, 300, 1000) {
		t.Run(fmt.Sprint(sessions), func(t *testing.T) {
			srv := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": strconv.Itoa(sessions + 10)}})
			asker := dial(t, srv.URL, "orders")
			for i := range sessions - 1 {
				s := dial(t, srv.URL, "orders")
				r := Request{Join: uint32(1 + i/3), Claim: 1, UpTo: Token(sessions)}
				if i%3 == 0 {
					r.Publish = []uint32{demandValue(1, 5)}
				}
				do(t, s, r)
			}
			do(t, asker, Request{Join: 1, Claim: 1, UpTo: Token(sessions)})
			locks := len(do(t, asker, Request{Look: true}).Seen.Locks)
			for _, c := range []struct {
				name string
				ask  Request
				most time.Duration // with 16 sessions
			}{{"probe", Request{Probe: true}, time.Millisecond}, {"glance", Request{Glance: true}, 4 * time.Millisecond}, {"look", Request{Look: true}, 10 * time.Millisecond}} {
				cost := asker.cpu(t, c.ask, 2*time.Second)
				t.Logf("%d sessions, %d locks: a %s costs %v", sessions, locks, c.name, cost.Round(time.Microsecond))
				if sessions == 16 && cost > c.most {
					t.Errorf("a %s costs %v, want at most %v", c.name, cost, c.most)
				}
			}
		})
	}
}

// cpu is what a request takes of the processor at the server, from what its process has
// used after asking for some time.
func (s *pgSession) cpu(t *testing.T, ask Request, lasts time.Duration) time.Duration {
	t.Helper()
	do(t, s, ask)
	n, began, before := 0, time.Now(), usedBy(t, s.PID())
	for ; time.Since(began) < lasts; n++ {
		do(t, s, ask)
	}
	return (usedBy(t, s.PID()) - before) / time.Duration(n)
}

// usedBy is what a process has used, as the system tells it: by hundredths of a second. Where
// it does not, the time that has passed stands for it.
func usedBy(t *testing.T, pid uint32) (used time.Duration) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return time.Duration(time.Now().UnixNano())
	}
	_, after, _ := strings.Cut(string(text), ") ")
	for _, field := range strings.Fields(after)[11:13] { // utime, stime
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		used += time.Duration(n) * 10 * time.Millisecond
	}
	return used
}
