package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgoptions"
)

// mode is how connections are set up: directly at a server, or through a
// pooler that gives each transaction whatever server session is free. There,
// startup parameters are refused, SET leaks to other clients, and a named
// prepared statement is not there the next time.
type mode struct {
	pooler      bool
	timeout     time.Duration     // statement_timeout; 0 leaves the connection string's or the server's
	name        string            // application_name
	guard       map[string]string // sent at startup, where the server knows them and the connection string does not set them
	beginSuffix string            // run with every BEGIN
	pinned      []pgoptions.Setting
}

// newMode derives the mode from what is configured, or was found out.
func newMode(cfg config.Config, pooler bool) *mode {
	m := &mode{pooler: pooler, timeout: cfg.StatementTimeout, name: cfg.ApplicationName}
	if !pooler {
		m.guard = newGuard()
	}
	return m
}

// apply prepares one dial's configuration, and returns the mode of the
// connection that comes of it.
func (m *mode) apply(cc *pgx.ConnConfig) *mode {
	if cc.RuntimeParams == nil {
		cc.RuntimeParams = map[string]string{}
	}
	cc.RuntimeParams["application_name"] = m.name
	if m.timeout > 0 {
		cc.RuntimeParams["statement_timeout"] = strconv.FormatInt(m.timeout.Milliseconds(), 10)
	}
	if !m.pooler {
		m.applyGuard(cc)
		return m
	}
	if cc.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		cc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	fitted := *m
	fitted.beginSuffix, fitted.pinned = moveParameters(cc.RuntimeParams)
	return &fitted
}

// errPooled is a connection that turned out to lead to a pooler.
var errPooled = errors.New("the backend's process id is not the one announced")

// refusesParameters recognises a pooler by its answer to startup parameters.
func refusesParameters(err error) bool {
	return pgdriver.SQLState(err) == pgdriver.StateProtocolViolation && saysUnsupported(err.Error())
}

// adaptToPooler changes the mode for this and all further dials. It reports
// false when a pooler was ruled out (DB_POOLER=none).
func (d *dialer) adaptToPooler(because string) bool {
	if d.cfg.Pooler == config.PoolerNone {
		return false
	}
	old := d.mode.Load()
	if !old.pooler && d.mode.CompareAndSwap(old, newMode(d.cfg, true)) {
		d.log.Info("a connection pooler stands before the server", "pool", d.cfg.Name, "because", because,
			"remedy", "set DB_POOLER=pgbouncer to skip the detection")
	}
	return true
}

// checkQuery asks the server, not the pooler, who it is and what it keeps. The
// setting comes with a unit ("30s"), which an interval understands.
const checkQuery = "select pg_catalog.pg_backend_pid(), " +
	"(extract(epoch from pg_catalog.current_setting('statement_timeout')::interval) * 1000)::bigint"

// check finds out what stands at the other end: a backend whose process id is
// not the one announced at startup is behind a pooler; and whether the
// statement timeout is really in force.
func (d *dialer) check(ctx context.Context, c *pgdriver.Conn, m *mode, sent map[string]string) error {
	pid, timeout, err := ask(ctx, c)
	if err != nil {
		return &checkError{err}
	}
	if pid != c.PgConn().PID() && !m.pooler && d.cfg.Pooler != config.PoolerNone {
		return errPooled
	}
	pinned := m.pinned
	if pid != c.PgConn().PID() && !m.pooler {
		own := maps.Clone(sent)
		maps.DeleteFunc(own, func(name, value string) bool { return m.guard[name] == value })
		_, pinned = moveParameters(own) // a pooler that was ruled out may have swallowed them
	}
	if err := wantPinned(ctx, c, pinned); err != nil {
		return err
	}
	if m.pooler && strings.Contains(m.beginSuffix, "lock_timeout") {
		d.lockTimeout.Do(func() {
			d.log.Warn("lock_timeout is in force in transactions only", "pool", d.cfg.Name, "how", "a connection pooler keeps no settings",
				"remedy", "ALTER ROLE … SET lock_timeout = …")
		})
	}
	d.timeout.found(d, m, timeout)
	return nil
}

// checkError is a new connection on which checkQuery failed.
type checkError struct{ err error }

func (e *checkError) Error() string { return "check of the new connection: " + e.err.Error() }
func (e *checkError) Unwrap() error { return e.err }

// ask runs checkQuery.
func ask(ctx context.Context, c *pgdriver.Conn) (pid uint32, timeout time.Duration, err error) {
	results, err := c.PgConn().Exec(ctx, checkQuery).ReadAll()
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
func (r *timeoutReport) found(d *dialer, m *mode, got time.Duration) {
	how, ok := judgeTimeout(d.cfg.StatementTimeout, got, m.pooler)
	r.mu.Lock()
	news := how != r.how
	r.how, r.ok = how, ok
	r.mu.Unlock()
	if news && !ok {
		d.log.Warn("DB_STATEMENT_TIMEOUT is not in force on the server", "pool", d.cfg.Name, "how", how,
			"want", d.cfg.StatementTimeout, "got", got,
			"remedy", fmt.Sprintf("ALTER ROLE %q SET statement_timeout = '%dms'", d.base.User, d.cfg.StatementTimeout.Milliseconds()))
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

func (r *timeoutReport) report(want time.Duration) StatementTimeout {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.how == "" {
		return StatementTimeout{Want: want, How: "not checked yet"}
	}
	return StatementTimeout{Want: want, InForce: r.ok, How: r.how}
}
