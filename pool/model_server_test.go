package pool

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

const modelSchema = `
	create table if not exists done (id text);
	create table if not exists busy (id int);
	create or replace function slow(id text, seconds text) returns text language plpgsql as $$
	begin
		if seconds::float8 > 0 then perform pg_sleep(seconds::float8), count(*) from busy; end if;
		return id;
	end $$;
	create or replace function fail(id text) returns text language plpgsql as $$ begin raise exception '%', id; end $$`

// TestPoolModelOnServer runs the model on a real server: undisturbed but for statements that
// are slow, that fail, or that wait for a lock; with sessions that are terminated; and
// through a network that is cut.
func TestPoolModelOnServer(t *testing.T) {
	srv := pgtest.Shared(t)
	proxy := srv.Proxy(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	terminate := func(admin *Pool, _ *rand.Rand) {
		_, _ = admin.ExecContext(context.Background(), "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'model' order by random() limit 1")
	}
	tests := map[string]struct {
		url     string
		kills   bool
		mode    config.PipelineMode
		disturb func(admin *Pool, rng *rand.Rand)
	}{
		"locks":       {srv.URL, false, config.PipelineAll, lockBusy},
		"reads only":  {srv.URL, false, config.PipelineReads, lockBusy},
		"terminated":  {srv.URL, true, config.PipelineAll, terminate},
		"network cut": {proxy.URL(srv.URL), true, config.PipelineAll, func(*Pool, *rand.Rand) { proxy.Cut() }},
	}
	admin := open(t, settled(srv.URL, 2, 0))
	if _, err := admin.ExecContext(t.Context(), modelSchema); err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := openPipelining(t, srv, 3, func(c *config.Config) {
				c.DatabaseURL, c.Pipeline, c.ApplicationName = config.DSN(test.url), test.mode, "model"
			})
			m := &poolModel{t: t, p: p, seed: seed, kills: test.kills, texts: modelTexts{read: "select $1::text",
				slow: "select slow($1::text, $2::text)", fail: "select fail($1::text)", write: "insert into done values ($1::text)"}}
			stop := m.disturbed(func(rng *rand.Rand) { test.disturb(admin, rng) })
			m.run(30, 25)
			stop()
			until(t, 10*time.Second, "everything is given back", func() bool { st := p.Stats(); return st.InUse == 0 && st.Waiting == 0 })
			_ = p.Close() // what the server still executes has ended
			m.check(m.written(admin))
			t.Logf("%d answered, %d failed, %d left; %+v", m.answered.Load(), m.failed.Load(), m.left.Load(), p.Stats().Pipeline)
		})
	}
}

// disturbed calls disturb now and then, but no more often than callers get answers, until
// stop is called.
func (m *poolModel) disturbed(disturb func(rng *rand.Rand)) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		rng := rand.New(rand.NewPCG(m.seed, 999))
		for before := int64(0); ; {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(10_000_000 + rng.IntN(50_000_000))):
			}
			if now := m.answered.Load(); now >= before+20 {
				before = now
				disturb(rng)
			}
		}
	}()
	return func() { close(over); <-ended }
}

// lockBusy locks, for a moment, a table that slow statements read.
func lockBusy(admin *Pool, rng *rand.Rand) {
	_ = admin.WithSession(context.Background(), func(ctx context.Context, s *Session) error {
		_, err := s.ExecContext(ctx, "lock table busy")
		if err == nil {
			_, err = s.ExecContext(ctx, "select pg_sleep($1)", float64(rng.IntN(50))/1000)
		}
		return err
	})
}

// written empties the table, and returns how often each id was in it.
func (m *poolModel) written(admin *Pool) map[string]int {
	counts := map[string]int{}
	rows, err := admin.QueryContext(context.Background(), "select id from done")
	if err != nil {
		m.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			m.t.Fatal(err)
		}
		counts[id]++
	}
	if err := rows.Err(); err != nil {
		m.t.Fatal(err)
	}
	if _, err := admin.ExecContext(context.Background(), "truncate done"); err != nil {
		m.t.Fatal(err)
	}
	return counts
}
