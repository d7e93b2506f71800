package pool

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// writers are the ways in which somebody writes a number and commits it.
func writers(p *Pool) map[string]func(ctx context.Context, n int) error {
	const insert = "insert into written (n) values ($1)"
	exec := func(ctx context.Context, db dbtx, n int) error {
		_, err := db.ExecContext(ctx, insert, n)
		return err
	}
	inTx := func(ctx context.Context, n int, begin func(context.Context, *sql.TxOptions) (*sql.Tx, error)) error {
		tx, err := begin(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := exec(ctx, tx, n); err != nil {
			return err
		}
		return tx.Commit()
	}
	inSession := func(ctx context.Context, n int, opts ...SessionOption) error {
		return p.WithSession(ctx, func(ctx context.Context, s *Session) error { return exec(ctx, s, n) }, opts...)
	}
	return map[string]func(ctx context.Context, n int) error{
		"exec": func(ctx context.Context, n int) error { return exec(ctx, p, n) },
		"DB":   func(ctx context.Context, n int) error { return exec(ctx, p.DB(), n) },
		"row": func(ctx context.Context, n int) error {
			return p.QueryRowContext(ctx, insert+" returning n", n).Scan(&n)
		},
		"DB row": func(ctx context.Context, n int) error {
			return p.DB().QueryRowContext(ctx, insert+" returning n", n).Scan(&n)
		},
		"tx":      func(ctx context.Context, n int) error { return inTx(ctx, n, p.BeginTx) },
		"DB tx":   func(ctx context.Context, n int) error { return inTx(ctx, n, p.DB().BeginTx) },
		"session": func(ctx context.Context, n int) error { return inSession(ctx, n) },
		"bare":    func(ctx context.Context, n int) error { return inSession(ctx, n, WithAutocommit()) },
		"lazily":  func(ctx context.Context, n int) error { return inSession(ctx, n, WithBegin(setLazily)) },
		"pgx": func(ctx context.Context, n int) error {
			_, err := p.Pgx().Exec(ctx, insert, n)
			return err
		},
		"pgx row": func(ctx context.Context, n int) error {
			return p.Pgx().QueryRow(ctx, insert+" returning n", n).Scan(&n)
		},
		"pgx tx": func(ctx context.Context, n int) error {
			return pgx.BeginFunc(ctx, p.Pgx(), func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, insert, n)
				return err
			})
		},
		"lent": func(ctx context.Context, n int) error {
			return p.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
				_, err := c.Exec(ctx, insert, n)
				return err
			})
		},
		"function": func(ctx context.Context, n int) error { return p.QueryRowContext(ctx, "select write($1)", n).Scan(&n) },
		"conn": func(ctx context.Context, n int) error {
			c, err := p.Conn(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			return exec(ctx, c, n)
		},
		"prepared": func(ctx context.Context, n int) error {
			st, err := p.PrepareContext(ctx, insert)
			if err != nil {
				return err
			}
			defer st.Close()
			_, err = st.ExecContext(ctx, n)
			return err
		},
		"task": func(ctx context.Context, n int) error {
			return p.Background(ctx, "write", func(ctx context.Context, s *Session) error { return exec(ctx, s, n) }).Wait(ctx)
		},
		"copy": func(ctx context.Context, n int) error {
			_, err := p.Pgx().CopyFrom(ctx, pgx.Identifier{"written"}, []string{"n"}, pgx.CopyFromRows([][]any{{n}}))
			return err
		},
		"batch": func(ctx context.Context, n int) error {
			b := &pgx.Batch{}
			b.Queue(insert, n)
			return p.Pgx().SendBatch(ctx, b).Close()
		},
	}
}

func setLazily(ctx context.Context, s *Session) error {
	_, err := s.ExecContext(ctx, "set local synchronous_commit = off")
	return err
}

// testReadYourWrites writes in every way and reads in every way at a standby whose
// replay is held up again and again. Under one progress no read misses what was
// written before it; without one the same reads do miss some, or the test shows nothing.
func testReadYourWrites(t *testing.T, primary, standby *pgtest.Server) {
	primary.Exec(t, "create function write(bigint) returns bigint language sql as 'insert into written (n) values ($1) returning n'")
	cfg := withStandby(primary, standby.URL, 6, 4)
	cfg.ReadWait = 30 * time.Second // so that the standby answers, not the primary
	p := open(t, cfg)
	write, read := writers(p), readers(p)
	ways, looks := keys(write), keys(read)
	stop := holdUp(t, standby)
	const pairs, workers = 1000, 4
	var next, stale atomic.Int64
	inParallel(workers, func(int) {
		ctx := ContextWithProgress(t.Context(), "")
		for n := next.Add(1); n <= pairs; n = next.Add(1) {
			way, look := ways[rand.N(len(ways))], looks[rand.N(len(looks))]
			if err := write[way](ctx, int(n)); err != nil {
				t.Errorf("%s: %v", way, err)
			}
			const query = "select count(*)::int from written where n = $1"
			if n%5 == 0 {
				if found, _ := read[look](ContextWithStandby(t.Context()), query, int(n)); found == 0 {
					stale.Add(1)
				}
			}
			if rand.N(4) == 0 { // the caller goes on elsewhere
				text, err := p.Progress(ctx)
				if err != nil || text == "" {
					t.Errorf("%s: %q, %v", way, text, err)
				}
				ctx = ContextWithProgress(t.Context(), text)
			}
			if found, err := read[look](ContextWithStandby(ctx), query, int(n)); found != 1 || err != nil {
				t.Errorf("written by %s, read by %s: found %d times, %v", way, look, found, err)
			}
		}
	})
	stop()
	s := p.Stats().Standby
	t.Logf("%d of %d reads without a progress were stale; %d reads at the standby, %d waited, %s in all", stale.Load(), pairs/5, s.ReadCount, s.WaitCount, s.WaitDuration)
	if stale.Load() == 0 {
		t.Error("the standby was never behind: the test shows nothing")
	}
	if s.BehindCount+s.UnusableCount > 0 || s.WaitCount == 0 {
		t.Errorf("%d reads went to the primary because the standby was behind, %d because it could not be used; %d waited", s.BehindCount, s.UnusableCount, s.WaitCount)
	}
}

func keys[V any](m map[string]V) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// holdUp pauses the replay of a standby for a few milliseconds, again and again.
func holdUp(t *testing.T, standby *pgtest.Server) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			standby.Exec(t, "select pg_wal_replay_pause()")
			rest := time.NewTimer(rand.N(10 * time.Millisecond))
			<-rest.C
			standby.Exec(t, "select pg_wal_replay_resume()")
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// testStandbyBehind has a standby whose replay stands still: the first read waits
// as long as it may, those after it do not, and all are served by the primary.
// Reads that need nothing new go on at the standby.
func testStandbyBehind(t *testing.T, primary, standby *pgtest.Server) {
	const wait = 300 * time.Millisecond
	cfg := withStandby(primary, standby.URL, 3, 1)
	cfg.ReadWait = wait
	log := &logLines{}
	p := open(t, cfg, WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	before := ContextWithProgress(ContextWithStandby(t.Context()), "")
	after := ContextWithProgress(ContextWithStandby(t.Context()), "")
	if err := writers(p)["session"](before, 1); err != nil {
		t.Fatal(err)
	}
	replays(t, primary, standby)
	standby.Exec(t, "select pg_wal_replay_pause()")
	if err := writers(p)["session"](after, 2); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		started := time.Now()
		n, err := readers(p)["row"](after, whichPort)
		took := time.Since(started)
		if n != primary.Port || err != nil {
			t.Errorf("read at %d, %v", n, err)
		}
		if i == 0 && (took < wait || took > wait+2*time.Second) || i > 0 && took > wait {
			t.Errorf("read %d took %s, with a wait of %s", i, took, wait)
		}
		if n, err := readers(p)["row"](before, whichPort); n != standby.Port || err != nil {
			t.Errorf("what needs nothing new went to %d, %v", n, err)
		}
	}
	s := p.Stats().Standby
	if s.BehindCount != 5 || s.WaitCount != 1 || s.WaitDuration < wait || !s.Behind || !s.OK || s.UnusableCount != 0 {
		t.Errorf("%+v", s)
	}
	until(t, 3*time.Second, "it is logged", func() bool {
		return len(log.with(t, "standbys are behind, reads of what was just written go to the primary")) == 1
	})
	standby.Exec(t, "select pg_wal_replay_resume()")
	replays(t, primary, standby)
	if n, err := readers(p)["row"](after, whichPort); n != standby.Port || err != nil {
		t.Errorf("read at %d, %v", n, err)
	}
}

// testReadWaitEndsWithItsCaller bounds the wait by the caller's own context, and
// keeps no connection meanwhile.
func testReadWaitEndsWithItsCaller(t *testing.T, primary, standby *pgtest.Server) {
	cfg := withStandby(primary, standby.URL, 1, 1)
	cfg.ReadWait = time.Minute
	p := open(t, cfg)
	fill := ContextWithStandby(t.Context())
	if _, err := readers(p)["row"](fill, "select 1"); err != nil {
		t.Fatal(err)
	}
	standby.Exec(t, "select pg_wal_replay_pause()")
	ctx := ContextWithProgress(ContextWithStandby(t.Context()), "")
	if err := writers(p)["session"](ctx, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	waiting := readers(p)
	delete(waiting, "task") // which outlives its caller
	failed := make(chan error, len(waiting))
	for name, read := range waiting {
		go func() {
			_, err := read(ctx, "select 1")
			failed <- fmt.Errorf("%s: %w", name, err)
		}()
	}
	for i := 0; ctx.Err() == nil; i++ { // others have the one connection meanwhile
		if _, err := readers(p)["row"](fill, "select 1"); err != nil {
			t.Errorf("after %d reads: %v", i, err)
		}
	}
	for range waiting {
		select {
		case err := <-failed:
			if ctx.Err() == nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a reader waits on")
		}
	}
}

// testProgressOfFailures notes what a commit came to whatever became of the question
// that went with it, and a commit that failed is reported as such.
func testProgressOfFailures(t *testing.T, primary, standby *pgtest.Server) {
	primary.Exec(t, "create table once (n int unique deferrable initially deferred)")
	primary.Exec(t, "create role blind login")
	primary.Exec(t, "grant all on once to blind")
	primary.Exec(t, "revoke execute on function pg_current_wal_insert_lsn() from public")
	cfg := withStandby(primary, standby.URL, 2, 0)
	p := open(t, cfg)
	ctx := ContextWithProgress(ContextWithStandby(t.Context()), "")
	insert := func(ctx context.Context, s *Session) error {
		_, err := s.ExecContext(ctx, "insert into once values ($1)", 1)
		return err
	}
	if err := p.WithSession(ctx, insert); err != nil {
		t.Fatal(err)
	}
	if err := p.WithSession(ctx, insert); pgdriver.SQLState(err) != "23505" {
		t.Errorf("a commit that failed: %v", err)
	}
	blind := cfg
	blind.DatabaseURL = cfgAs(cfg.DatabaseURL, "blind")
	q := open(t, blind)
	ctx = ContextWithProgress(ContextWithStandby(t.Context()), "")
	if err := q.WithSession(ctx, func(ctx context.Context, s *Session) error {
		_, err := s.ExecContext(ctx, "delete from once")
		return err
	}); err != nil {
		t.Errorf("a commit that was done: %v", err)
	}
	if n, err := primary.QueryInt(t.Context(), "select count(*) from once"); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n, err := readers(q)["row"](ctx, whichPort); n != primary.Port || err != nil {
		t.Errorf("nobody knows how far the standby must be: read at %d, %v", n, err)
	}
}

// testPipelinedReadsAtAStandby has readers share connections to a standby whose
// replay is held up. Those who need nothing new get their answers there, and those
// who do get none that is too old, whoever sends their statements.
func testPipelinedReadsAtAStandby(t *testing.T, primary, standby *pgtest.Server) {
	cfg := withStandby(primary, standby.URL, 2, 1)
	cfg.ReadShare, cfg.ReadWait = "1", 30*time.Second
	p := open(t, cfg)
	stop := holdUp(t, standby)
	const readersEach, turns = 12, 60
	var next atomic.Int64
	inParallel(2*readersEach, func(i int) {
		ctx := ContextWithProgress(t.Context(), "")
		for range turns {
			n := next.Add(1)
			if i%2 == 0 {
				if err := writers(p)["session"](ctx, int(n)); err != nil {
					t.Error(err)
				}
			}
			var found int64
			err := p.QueryRowContext(ContextWithStandby(ctx), "select count(*) from written where n = $1", n).Scan(&found)
			if err != nil || i%2 == 0 && found != 1 {
				t.Errorf("found %d times, %v", found, err)
			}
		}
	})
	stop()
	s := p.Stats().Standby
	t.Logf("%d reads at the standby, %d of them shared a connection, %d waited", s.ReadCount, p.standbys.p.Stats().Pipeline.SharedCount, s.WaitCount)
	if s.ReadCount != 2*readersEach*turns || p.standbys.p.Stats().Pipeline.SharedCount == 0 || s.WaitCount == 0 {
		t.Error("the test shows nothing")
	}
}
