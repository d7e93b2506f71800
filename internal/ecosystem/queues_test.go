package ecosystem

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"
)

// watch reports the most sessions that the server had of p, once stop is called.
func watch(t *testing.T, p *pool.Pool) (stop func() int) {
	t.Helper()
	observer := open(t, 1, 0, func(cfg *config.Config) { cfg.Name = "observer" })
	ctx, cancel := context.WithCancel(t.Context())
	most := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			var now int
			if err := observer.QueryRowContext(t.Context(),
				"select count(*) from pg_stat_activity where application_name = $1", p.Config().ResolvedApplicationName()).Scan(&now); err != nil {
				t.Error(err)
				break
			}
			n = max(n, now)
		}
		most <- n
	}()
	return func() int { cancel(); return <-most }
}

type job struct{ Caller int }

func (job) Kind() string { return "turn" }

type worker struct {
	river.WorkerDefaults[job]
	pool *pool.Pool
}

func (w *worker) Work(ctx context.Context, j *river.Job[job]) error {
	_, err := w.pool.ExecContext(ctx, "insert into turns (caller) values ($1)", j.Args.Caller)
	return err
}

func migrateRiver(t *testing.T, p *pool.Pool) {
	t.Helper()
	migrator, err := rivermigrate.New(riverdatabasesql.New(p.DB()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
}

// River's jobs are inserted in a transaction of the service and worked by
// workers that use the same pool, on three connections.
func TestRiver(t *testing.T) {
	p := open(t, 2, 1)
	execute(t, p, schema)
	driver := riverdatabasesql.New(p.DB())
	migrateRiver(t, p)
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{pool: p})
	client, err := river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 8}}, Workers: workers,
		FetchPollInterval: 50 * time.Millisecond, FetchCooldown: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	most := watch(t, p)
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx, err := p.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for caller := range 20 {
		if _, err := client.InsertTx(t.Context(), tx, job{Caller: caller}, nil); err != nil {
			t.Error(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	waitFor(t, "all jobs are done", func() bool { return count(t, p, "select count(*) from turns") == 20 })
	if err := client.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n := most(); n > 3 {
		t.Errorf("%d sessions of 3", n)
	}
}

const committed = `{"turn": "taken"}`

// watermill-sql publishes in a transaction of the service, and subscribes with
// one connection at a time for each topic.
func TestWatermill(t *testing.T) {
	p := open(t, 2, 0)
	execute(t, p, schema)
	db, log := watermillsql.BeginnerFromStdSQL(p.DB()), watermill.NopLogger{}
	subscriber, err := watermillsql.NewSubscriber(db, watermillsql.SubscriberConfig{
		SchemaAdapter: watermillsql.DefaultPostgreSQLSchema{}, OffsetsAdapter: watermillsql.DefaultPostgreSQLOffsetsAdapter{},
		InitializeSchema: true, PollInterval: 20 * time.Millisecond,
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := subscriber.SubscribeInitialize("turns_taken"); err != nil {
		t.Fatal(err)
	}
	most := watch(t, p)
	received, err := subscriber.Subscribe(t.Context(), "turns_taken")
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p, false)
	publish(t, p, true)
	select {
	case m := <-received:
		if string(m.Payload) != committed {
			t.Errorf("%s", m.Payload)
		}
		m.Ack()
	case <-time.After(30 * time.Second):
		t.Error("nothing was received")
	}
	if err := subscriber.Close(); err != nil {
		t.Error(err)
	}
	if n := most(); n > 2 {
		t.Errorf("%d sessions of 2", n)
	}
}

// publish sends a message in a transaction, which is the outbox.
func publish(t *testing.T, p *pool.Pool, commit bool) {
	t.Helper()
	tx, err := p.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, end := `{"turn": "undone"}`, tx.Rollback
	if commit {
		payload, end = committed, tx.Commit
	}
	if err := publishIn(tx, payload); err != nil {
		t.Error(err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func publishIn(tx *sql.Tx, payload string) error {
	publisher, err := watermillsql.NewPublisher(watermillsql.TxFromStdSQL(tx),
		watermillsql.PublisherConfig{SchemaAdapter: watermillsql.DefaultPostgreSQLSchema{}}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	return publisher.Publish("turns_taken", message.NewMessage(watermill.NewUUID(), []byte(payload)))
}

// A job and a message written with a *sql.Tx of a session are part of the session's
// transaction: they are there after its commit, and gone after its rollback.
func TestOutboxesJoinASession(t *testing.T) {
	p := open(t, 1, 0)
	migrateRiver(t, p)
	schema := watermillsql.DefaultPostgreSQLSchema{}
	queries, err := schema.SchemaInitializingQueries(watermillsql.SchemaInitializingQueriesParams{Topic: "turns_taken"})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		execute(t, p, q.Query)
	}
	client, err := river.NewClient(riverdatabasesql.New(p.DB()), &river.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []error{errUndo, nil} {
		err := p.WithSession(t.Context(), func(ctx context.Context, s *pool.Session) error {
			return errors.Join(writeOutboxes(ctx, s, client), end)
		})
		want := 1
		if end != nil {
			want = 0
		}
		jobs, messages := count(t, p, "select count(*) from river_job"), count(t, p, "select count(*) from "+schema.MessagesTable("turns_taken"))
		if undone(err) != nil || jobs != want || messages != want {
			t.Errorf("%d jobs and %d messages, want %d: %v", jobs, messages, want, err)
		}
	}
}

func writeOutboxes(ctx context.Context, s *pool.Session, client *river.Client[*sql.Tx]) error {
	tx, err := s.DB().BeginTx(ctx, nil) // a savepoint of the session
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it has ended, or the session undoes it
	if _, err := client.InsertTx(ctx, tx, job{Caller: 1}, nil); err != nil {
		return err
	}
	if err := publishIn(tx, committed); err != nil {
		return err
	}
	return tx.Commit()
}
