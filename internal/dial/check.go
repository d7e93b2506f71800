package dial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// CheckQuery asks the server, not the pooler, who it is and what it keeps. The
// setting comes with a unit ("30s"), which an interval understands.
const CheckQuery = "select pg_catalog.pg_backend_pid(), " +
	"(extract(epoch from pg_catalog.current_setting('statement_timeout')::interval) * 1000)::bigint"

// check finds out what stands at the other end: a backend whose process id is
// not the one announced at startup is behind a pooler; and whether the
// statement timeout is really in force, which it returns.
func (d *Dialer) check(ctx context.Context, c *pgdriver.Conn, m *mode, sent map[string]string) (timeout time.Duration, err error) {
	pid, timeout, err := ask(ctx, c)
	if err != nil {
		return 0, &checkError{err}
	}
	if pid != c.PgConn().PID() && !m.pooler && d.cfg.Pooler != config.PoolerNone {
		return 0, errPooled
	}
	pinned := m.pinned
	if pid != c.PgConn().PID() && !m.pooler {
		own := maps.Clone(sent)
		maps.DeleteFunc(own, func(name, value string) bool { return m.guard[name] == value })
		_, pinned = moveParameters(own) // a pooler that was ruled out may have swallowed them
	}
	if err := wantPinned(ctx, c, pinned); err != nil {
		return 0, err
	}
	if m.pooler && strings.Contains(m.beginSuffix, "lock_timeout") {
		d.lockTimeout.Do(func() {
			d.log.Warn("lock_timeout is in force in transactions only", "pool", d.cfg.Name, "how", "a connection pooler keeps no settings",
				"remedy", "ALTER ROLE … SET lock_timeout = …")
		})
	}
	d.timeout.found(d, m, timeout)
	return timeout, nil
}

// checkError is a new connection on which CheckQuery failed.
type checkError struct{ err error }

func (e *checkError) Error() string { return "check of the new connection: " + e.err.Error() }
func (e *checkError) Unwrap() error { return e.err }

// maxAsks is how often CheckQuery is sent to a session whose statement_timeout ends it.
const maxAsks = 100

// ask runs CheckQuery. A statement_timeout of a few milliseconds can end even that, on a
// server that is busy; it is meant for the application's statements, so the question is
// repeated. Giving the session up would open one after the other for nothing.
func ask(ctx context.Context, c *pgdriver.Conn) (pid uint32, timeout time.Duration, err error) {
	var results []*pgconn.Result
	for range maxAsks {
		results, err = c.PgConn().Exec(ctx, CheckQuery).ReadAll()
		if ctx.Err() != nil || pgdriver.SQLState(err) != pgdriver.StateQueryCanceled {
			break
		}
	}
	if err != nil {
		return 0, 0, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 2 {
		return 0, 0, errors.New("not one row of two columns")
	}
	row := results[0].Rows[0]
	n, err1 := strconv.ParseUint(string(row[0]), 10, 32)
	ms, err2 := strconv.ParseInt(string(row[1]), 10, 64)
	return uint32(n), time.Duration(ms) * time.Millisecond, errors.Join(err1, err2)
}

// timeoutReport remembers how the statement timeout is kept and says so once per change.
type timeoutReport struct {
	mu  sync.Mutex // guards how and ok
	how string
	ok  bool
}

// found takes in the statement_timeout that the server reported.
func (r *timeoutReport) found(d *Dialer, m *mode, got time.Duration) {
	how, ok := judgeTimeout(d.cfg.StatementTimeout, got, m.pooler)
	r.mu.Lock()
	news := how != r.how
	r.how, r.ok = how, ok
	r.mu.Unlock()
	if news && !ok {
		d.log.Warn("DB_STATEMENT_TIMEOUT is not in force on the server", "pool", d.cfg.Name, "how", how,
			"want", d.cfg.StatementTimeout, "got", got,
			"remedy", fmt.Sprintf("ALTER ROLE %q SET statement_timeout = '%dms'", d.user, d.cfg.StatementTimeout.Milliseconds()))
	}
}

func judgeTimeout(want, got time.Duration, pooler bool) (how string, inForce bool) {
	switch {
	case want == 0:
		return "the server's own", true
	case got > 0 && got <= want && pooler:
		return "role or database setting", true
	case got == want:
		return "startup parameter", true
	case pooler:
		return "transactions only", false
	}
	return "not in force", false
}

// StatementTimeout tells how the statement timeout is kept, and whether it is in
// force; how is empty before the first connection.
func (d *Dialer) StatementTimeout() (how string, inForce bool) {
	d.timeout.mu.Lock()
	defer d.timeout.mu.Unlock()
	return d.timeout.how, d.timeout.ok
}
