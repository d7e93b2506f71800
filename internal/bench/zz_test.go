package bench

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

type stamps struct{ write, read time.Time; first bool }

type stamped struct {
	*net.TCPConn
	s *stamps
}

func (c stamped) Write(b []byte) (int, error) {
	if c.s.first {
		c.s.write, c.s.first = time.Now(), false
	}
	return c.TCPConn.Write(b)
}
func (c stamped) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.s.read = time.Now()
	return n, err
}

func BenchmarkZ(b *testing.B) {
	srv := pgtest.Start(b, pgtest.Options{})
	var s stamps
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return stamped{c.(*net.TCPConn), &s}, nil
	}
	pc, _ := pgx.ParseConfig(with(srv.URL, "statement_timeout", "30000"))
	pc.DialFunc = dial
	raw := stdlib.OpenDB(*pc)
	raw.SetConnMaxLifetime(time.Hour)
	cfg := config.Default()
	cfg.DatabaseURL, cfg.PoolSize, cfg.MaxOverflow, cfg.Fleet = config.DSN(srv.URL), 10, 0, config.FleetOff
	cfg.PoolRecycle = time.Hour
	p, err := pool.Open(cfg, pool.WithDialFunc(dial))
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	db := p.DB()
	type who struct {
		name          string
		q             func() *sql.Row
		before, after, total []time.Duration
	}
	list := []*who{
		{name: "raw", q: func() *sql.Row { return raw.QueryRowContext(ctx, "select 1") }},
		{name: "pool", q: func() *sql.Row { return p.QueryRowContext(ctx, "select 1") }},
		{name: "DB", q: func() *sql.Row { return db.QueryRowContext(ctx, "select 1") }},
	}
	for i := range 20000 {
		for _, j := range rand.Perm(len(list)) {
			w := list[j]
			s.first = true
			var n int
			t := time.Now()
			if err := w.q().Scan(&n); err != nil {
				b.Fatal(err)
			}
			d := time.Now()
			if i > 500 {
				w.before = append(w.before, s.write.Sub(t))
				w.after = append(w.after, d.Sub(s.read))
				w.total = append(w.total, d.Sub(t))
			}
		}
	}
	for _, w := range list {
		bf, af, to := sorted(w.before), sorted(w.after), sorted(w.total)
		b.Logf("%-5s before p25 %v p50 %v  after p25 %v p50 %v  sum p50 %v total p50 %v", w.name, bf.quantile(.25), bf.quantile(.5), af.quantile(.25), af.quantile(.5), bf.quantile(.5)+af.quantile(.5), to.quantile(.5))
	}
}
