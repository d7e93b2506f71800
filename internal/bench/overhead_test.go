package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// BenchmarkUncontended compares what a trivial query costs when nobody else
// wants a connection. Most of it is the server's and the kernel's time, which
// varies from process to process and from moment to moment by more than the
// contenders differ. So their own time is measured apart: from the call to the
// first byte sent, and from the last byte received to the end; and the lower
// quartile is taken, where the machine did nothing else meanwhile. The
// contenders take turns in random order, one query each.
//
// A connection that has rested gets a look at its socket before it is used; so
// a second run lets it rest.
func BenchmarkUncontended(b *testing.B) {
	b.Run("at once", uncontended{queries: 10_000}.run)
	b.Run("rested", uncontended{queries: 1_000, rest: 2 * time.Millisecond}.run)
}

type uncontended struct {
	queries int
	rest    time.Duration // before each
}

func (u uncontended) run(b *testing.B) {
	const warmUp = 500
	var s stopwatch
	list := contendersOver(b, pgtest.Start(b, pgtest.Options{}).URL, 1, s.dial)
	own, total := make([][]time.Duration, len(list)), make([][]time.Duration, len(list))
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for i := range warmUp + u.queries {
		for _, j := range rand.Perm(len(list)) {
			time.Sleep(u.rest)
			s.start()
			if err := list[j].query(ctx, "select 1"); err != nil {
				b.Fatal(err)
			}
			if o, t := s.stop(); i >= warmUp {
				own[j], total[j] = append(own[j], o), append(total[j], t)
			}
		}
	}
	u.print(b, list, own, total)
}

func (u uncontended) after() string {
	if u.rest == 0 {
		return "at once"
	}
	return "rested " + u.rest.String()
}

func (u uncontended) print(b *testing.B, list []contender, own, total [][]time.Duration) {
	t := newTable(b, "uncontended select 1, "+u.after(), "whole", "own", "own, beyond database/sql's", "of a whole query")
	quartile := func(l []time.Duration) time.Duration { return sorted(l).quantile(0.25) }
	base, whole := quartile(own[0]), quartile(total[0])
	for i, c := range list {
		mine := quartile(own[i])
		more := mine - base
		t.row(c.name, round(quartile(total[i])), round(mine), fmt.Sprintf("%+d ns", more.Nanoseconds()), percent(more, whole))
		t.metric(c, 100*float64(more)/float64(whole), "overhead-%")
	}
	t.print()
}

// stopwatch takes the time of one query at a time.
type stopwatch struct {
	begun, sent, received time.Time
}

func (s *stopwatch) start() { *s = stopwatch{begun: time.Now()} }

// stop returns the contender's own time and the whole.
func (s *stopwatch) stop() (own, whole time.Duration) {
	end := time.Now()
	return s.sent.Sub(s.begun) + end.Sub(s.received), end.Sub(s.begun)
}

func (s *stopwatch) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return timed{c.(*net.TCPConn), s}, nil
}

// timed is a connection under the stopwatch.
type timed struct {
	*net.TCPConn
	s *stopwatch
}

func (c timed) Write(b []byte) (int, error) {
	if c.s.sent.IsZero() {
		c.s.sent = time.Now()
	}
	return c.TCPConn.Write(b)
}

func (c timed) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.s.received = time.Now()
	return n, err
}

func percent(part, whole time.Duration) string {
	return fmt.Sprintf("%+.1f%%", 100*float64(part)/float64(whole))
}
