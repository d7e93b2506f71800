package pool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// poolModel has callers who know nothing of each other run random work through all
// faces of a pool: single statements that share connections, sessions whose BEGIN goes
// with their first statement and whose COMMIT may be unheard, and transactions, while
// statements fail, callers leave, and sessions are slow or killed. Each statement has
// an id of its own. A simple model says what a caller may get: the answer with its id,
// its own error, and others only if it left or a session was killed; what was reported done
// was done once, what was reported undone was not, a transaction is done whole or not
// at all.
type poolModel struct {
	t     *testing.T
	p     *Pool
	seed  uint64
	texts modelTexts
	kills bool // sessions are killed: their statements may fail

	virtual bool // in virtual time

	answered, failed, left atomic.Int64

	mu    sync.Mutex
	works []modelWork
}

// modelTexts are the statements, as the server at hand understands them.
type modelTexts struct {
	read  string // its id
	slow  string // its id, after the seconds given as a second argument
	fail  string // an error with its id
	write string // that its id was done
}

// modelWork is what was written together, and what its caller was told.
type modelWork struct {
	ids   []string
	done  bool // it was said to be done
	known bool // else it is not known
}

// run runs work in callers' goroutines.
func (m *poolModel) run(callers, each int) {
	var all sync.WaitGroup
	for g := range callers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(m.seed, uint64(g)))
			for i := range each {
				m.act(rng, fmt.Sprintf("%d.%d", g, i))
			}
		})
	}
	all.Wait()
}

// act does one thing of a caller's, which may leave before it has the answer.
func (m *poolModel) act(rng *rand.Rand, id string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if rng.IntN(6) == 0 {
		defer time.AfterFunc(time.Duration(rng.IntN(15_000_000)), cancel).Stop()
	}
	switch rng.IntN(10) {
	case 0, 1, 2, 3:
		m.judge(ctx, id, m.one(ctx, rng, m.pick(rng), id))
	case 4, 5:
		err := m.one(ctx, rng, m.texts.write, id)
		m.note([]string{id}, err, err == nil)
		m.judge(ctx, id, err)
	case 6:
		m.judge(ctx, id, m.p.WithSession(ctx, func(ctx context.Context, s *Session) error {
			for i := range 1 + rng.IntN(3) {
				if err := m.read(ctx, s, m.texts.read, fmt.Sprint(id, ".", i)); err != nil {
					return err
				}
			}
			return nil
		}, WithReadOnly()))
	case 7:
		m.transaction(ctx, rng, id)
	default:
		m.session(ctx, rng, id)
	}
}

// pick is the text of a statement that changes nothing.
func (m *poolModel) pick(rng *rand.Rand) string {
	return []string{m.texts.read, m.texts.read, m.texts.read, m.texts.slow, m.texts.fail}[rng.IntN(5)]
}

// one runs a single statement through one of the pool's faces.
func (m *poolModel) one(ctx context.Context, rng *rand.Rand, text, id string) error {
	args := []any{id}
	if text == m.texts.slow {
		args = append(args, fmt.Sprint(float64(rng.IntN(20)*rng.IntN(2))/1000))
	}
	face := rng.IntN(4)
	if text == m.texts.write {
		return m.write(ctx, face, text, args)
	}
	var got string
	var err error
	switch face {
	case 0:
		err = m.p.Pgx().QueryRow(ctx, text, args...).Scan(&got)
	case 1:
		err = m.p.DB().QueryRowContext(ContextWithPipelining(m.lasting(ctx)), text, args...).Scan(&got)
	case 2:
		err = m.p.DB().QueryRowContext(m.lasting(ctx), text, args...).Scan(&got)
	default:
		err = m.p.QueryRowContext(ctx, text, args...).Scan(&got)
	}
	return m.compare(text, id, got, err)
}

func (m *poolModel) write(ctx context.Context, face int, text string, args []any) (err error) {
	switch face {
	case 0:
		_, err = m.p.Pgx().Exec(ctx, text, args...)
	case 1:
		_, err = m.p.DB().ExecContext(ContextWithPipelining(ctx), text, args...)
	default:
		_, err = m.p.ExecContext(ctx, text, args...)
	}
	return err
}

// lasting is ctx for rows and transactions of database/sql. When their context ends it
// waits for what runs in them, for a mutex, and virtual time would stand still.
func (m *poolModel) lasting(ctx context.Context) context.Context {
	if m.virtual {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// read runs a statement in a session or a transaction.
func (m *poolModel) read(ctx context.Context, d interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, text, id string) error {
	var got string
	err := d.QueryRowContext(ctx, text, id).Scan(&got)
	return m.compare(text, id, got, err)
}

// compare checks that what came is the statement's own. The error that it asked for is none.
func (m *poolModel) compare(text, id, got string, err error) error {
	var pg *pgconn.PgError
	own := errors.As(err, &pg) && pg.Code == "P0001"
	switch {
	case own && (text != m.texts.fail || pg.Message != id):
		m.t.Errorf("seed %d: %s of %q got the error of %s", m.seed, id, text, pg.Message)
	case own:
		m.failed.Add(1)
		return errModel
	case err == nil && got != id:
		m.t.Errorf("seed %d: %s of %q got the answer of %s", m.seed, id, text, got)
	case err == nil && text == m.texts.fail:
		m.t.Errorf("seed %d: %s of %q did not fail", m.seed, id, text)
	}
	return err
}

// errModel is the error that a statement was to have.
var errModel = errors.New("as it should")

// session runs a few statements in a session, of which the first carries the BEGIN.
func (m *poolModel) session(ctx context.Context, rng *rand.Rand, id string) {
	var ids []string
	err := m.p.WithSession(ctx, func(ctx context.Context, s *Session) (err error) {
		ids, err = m.steps(ctx, rng, s, id)
		return err
	})
	m.note(ids, err, err == nil)
	m.judge(ctx, id, err)
}

// transaction does so in a transaction of database/sql's.
func (m *poolModel) transaction(ctx context.Context, rng *rand.Rand, id string) {
	ctx = m.lasting(ctx)
	tx, err := m.p.DB().BeginTx(ctx, nil)
	if err != nil {
		m.judge(ctx, id, err)
		return
	}
	ids, err := m.steps(ctx, rng, tx, id)
	if err != nil {
		_ = tx.Rollback()
		m.note(ids, err, false)
		m.judge(ctx, id, err)
		return
	}
	err = tx.Commit()
	m.note(ids, err, err == nil)
	m.judge(ctx, id, err)
}

func (m *poolModel) steps(ctx context.Context, rng *rand.Rand, d interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, id string) (ids []string, err error) {
	for i := range 1 + rng.IntN(4) {
		id := fmt.Sprint(id, ".", i)
		switch rng.IntN(8) {
		case 0:
			err = m.read(ctx, d, m.texts.fail, id)
		case 1, 2:
			err = m.read(ctx, d, m.texts.read, id)
		case 3:
			return ids, errModel
		default:
			ids = append(ids, id)
			_, err = d.ExecContext(ctx, m.texts.write, id)
		}
		if err != nil {
			return ids, err
		}
	}
	return ids, nil
}

// note notes what a caller was told of what it wrote. Of a single statement, or a commit,
// that was cut off nobody can tell.
func (m *poolModel) note(ids []string, err error, done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := done || errors.Is(err, errModel)
	m.works = append(m.works, modelWork{slices.Clone(ids), done, known})
}

// judge checks that a caller may have got that error.
func (m *poolModel) judge(ctx context.Context, id string, err error) {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		m.answered.Add(1)
	case errors.Is(err, errModel):
	case ctx.Err() != nil:
		m.left.Add(1)
	case m.kills && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.As(err, &pg) && pg.Code == pgdriver.StateAdminShutdown || errors.Is(err, ErrCommitUnknown)):
	default:
		m.t.Errorf("seed %d: %s: %v", m.seed, id, err)
	}
}

// check compares what the server has done with what callers were told. counts says how
// often each id was done.
func (m *poolModel) check(counts map[string]int) {
	m.t.Helper()
	for _, w := range m.works {
		sum := 0
		for _, id := range w.ids {
			if counts[id] > 1 {
				m.t.Errorf("seed %d: %s was done %d times", m.seed, id, counts[id])
			}
			sum += counts[id]
		}
		switch {
		case sum != 0 && sum != len(w.ids):
			m.t.Errorf("seed %d: %d of %v were done", m.seed, sum, w.ids)
		case w.known && w.done != (sum > 0) && len(w.ids) > 0:
			m.t.Errorf("seed %d: %v: reported done %t, done %d times", m.seed, w.ids, w.done, sum)
		}
	}
	if st := m.p.Stats(); st.InUse != 0 || st.Waiting != 0 {
		m.t.Errorf("seed %d: %d in use, %d waiting", m.seed, st.InUse, st.Waiting)
	}
}
