package bench

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/cputime"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
)

// BenchmarkPipelining has many goroutines ask few connections for short
// statements, on loopback and through a network with a round trip. The
// contenders take short turns in random order.
func BenchmarkPipelining(b *testing.B) {
	srv := pgtest.Start(b, pgtest.Options{})
	prepareAccounts(b, srv.URL)
	for _, trip := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond} {
		for _, w := range workloads {
			for _, goroutines := range []int{1, 10, 100, 1000} {
				b.Run(fmt.Sprintf("trip=%s/%s/%d", trip, w.name, goroutines), func(b *testing.B) {
					pipelining{srv: srv, trip: trip, workload: w, goroutines: goroutines}.run(b)
				})
			}
		}
	}
}

// workload is what the goroutines ask for.
type workload struct {
	name string
	ask  func(ctx context.Context, q querier) error
}

// querier is what all contenders offer: a statement whose rows have an integer
// and a text; it returns how many.
type querier func(ctx context.Context, sql string, args ...any) (int, error)

const (
	accounts = 10_000
	byKey    = "select id, owner from account where id = $1"
	byBranch = "select id, owner from account where branch = $1"
	one      = "select 1, 'one'"
	slow     = "select 1, pg_sleep(0.005)::text"
)

var workloads = []workload{
	{"one", func(ctx context.Context, q querier) error { return expect(1)(q(ctx, one)) }},
	{"key", func(ctx context.Context, q querier) error { return expect(1)(q(ctx, byKey, 1+rand.IntN(accounts))) }},
	{"rows20", func(ctx context.Context, q querier) error {
		return expect(20)(q(ctx, byBranch, rand.IntN(accounts/20)))
	}},
	{"mixed", func(ctx context.Context, q querier) error {
		if rand.IntN(10) == 0 {
			return expect(1)(q(ctx, slow))
		}
		return expect(1)(q(ctx, byKey, 1+rand.IntN(accounts)))
	}},
}

func expect(want int) func(int, error) error {
	return func(n int, err error) error {
		if err == nil && n != want {
			return fmt.Errorf("%d rows, want %d", n, want)
		}
		return err
	}
}

func prepareAccounts(b *testing.B, dsn string) {
	b.Helper()
	db := openSQL(b, dsn, 1, new(net.Dialer).DialContext)
	for _, s := range []string{
		"create table account (id int primary key, branch int, owner text)",
		fmt.Sprintf("insert into account select n, n %% %d, 'owner ' || n from generate_series(1, %d) n", accounts/20, accounts),
		"create index on account (branch)", "vacuum analyze account",
	} {
		if _, err := db.ExecContext(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}

type pipelining struct {
	srv        *pgtest.Server
	trip       time.Duration
	workload   workload
	goroutines int
}

// asker is a contender with its name.
type asker struct {
	name  string
	query querier
}

// dsn leads to the server, through a network with a round trip if there is to be one.
func (p pipelining) dsn(b *testing.B) string {
	if p.trip == 0 {
		return p.srv.URL
	}
	proxy := p.srv.Proxy(b)
	proxy.Delay(p.trip / 2)
	return proxy.URL(p.srv.URL)
}

func (p pipelining) contenders(b *testing.B) []asker {
	dsn, dial := p.dsn(b), new(net.Dialer).DialContext
	lent := openOurs(b, dsn, 10, dial).DB()
	return []asker{
		{"database/sql", sqlQuerier(openSQL(b, dsn, 10, dial).QueryContext)},
		{"pgxpool", pgxQuerier(openPgxpool(b, dsn, 10, dial))},
		{"dbpool", sqlQuerier(openOurs(b, dsn, 10, dial).QueryContext)},
		{"dbpool DB()", sqlQuerier(func(ctx context.Context, sql string, args ...any) (*sql.Rows, error) {
			return lent.QueryContext(pool.ContextWithPipelining(ctx), sql, args...)
		})},
		{"dbpool Pgx()", pgxQuerier(openOurs(b, dsn, 10, dial).Pgx())},
		{"dbpool, 2 connections", sqlQuerier(openOurs(b, dsn, 2, dial).QueryContext)},
	}
}

func sqlQuerier(query func(context.Context, string, ...any) (*sql.Rows, error)) querier {
	return func(ctx context.Context, text string, args ...any) (n int, err error) {
		rows, err := query(ctx, text, args...)
		if err != nil {
			return 0, err
		}
		defer rows.Close()
		return countRows(rows)
	}
}

// countRows reads all rows, of database/sql or of pgx.
func countRows(rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
}) (n int, err error) {
	var id int
	var owner string
	for rows.Next() {
		if err := rows.Scan(&id, &owner); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

func pgxQuerier(p interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}) querier {
	return func(ctx context.Context, text string, args ...any) (n int, err error) {
		rows, err := p.Query(ctx, text, args...)
		if err != nil {
			return 0, err
		}
		defer rows.Close()
		return countRows(rows)
	}
}

// turns are what a contender did in its turns.
type turns struct {
	perSecond []float64
	latencies []time.Duration
	cost      cputime.Cost
	queries   int
}

func (p pipelining) run(b *testing.B) {
	const rounds, turn = 5, 500 * time.Millisecond
	list := p.contenders(b)
	did := make([]turns, len(list))
	for round := range rounds + 1 {
		for _, j := range rand.Perm(len(list)) {
			var l []time.Duration
			var cost cputime.Cost
			cost.Add(b, func() { l = p.ask(b, list[j], turn) })
			if round == 0 {
				continue // to warm up
			}
			d := &did[j]
			d.perSecond = append(d.perSecond, float64(len(l))/turn.Seconds())
			d.latencies = append(d.latencies, l...)
			d.queries += len(l)
			d.cost.CPU += cost.CPU
		}
	}
	p.print(b, list, did)
}

// ask has the goroutines ask for a turn, and returns how long each answer took.
func (p pipelining) ask(b *testing.B, a asker, turn time.Duration) (all []time.Duration) {
	ctx, cancel := context.WithCancel(b.Context()) // not a deadline: nobody is to be refused
	defer cancel()
	end := time.Now().Add(turn)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range p.goroutines {
		workers.Go(func() {
			var own []time.Duration
			for now := time.Now(); now.Before(end); {
				if err := p.workload.ask(ctx, a.query); err != nil {
					b.Errorf("%s: %v", a.name, err)
					return
				}
				then := now
				now = time.Now()
				own = append(own, now.Sub(then))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	workers.Wait()
	return all
}

func (p pipelining) print(b *testing.B, list []asker, did []turns) {
	best := 0.0
	for j := range list[:2] {
		slices.Sort(did[j].perSecond)
		best = max(best, did[j].perSecond[len(did[j].perSecond)/2])
	}
	t := newTable(b, fmt.Sprintf("%s, trip %s, %d goroutines", p.workload.name, p.trip, p.goroutines), "queries/s", "of the better rival's", "p50", "p99", "CPU/query")
	for j, a := range list {
		d := &did[j]
		slices.Sort(d.perSecond)
		l := sorted(d.latencies)
		rate := d.perSecond[len(d.perSecond)/2]
		t.row(a.name, fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.2f", rate/best), round(l.quantile(0.5)), round(l.quantile(0.99)), round(d.cost.CPU/time.Duration(max(1, d.queries))))
		t.metric(contender{name: a.name}, rate/best, "of-best")
	}
	t.print()
}
