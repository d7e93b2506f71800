package dial

import (
	"errors"
	"strconv"
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
func (d *Dialer) adaptToPooler(because string) bool {
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
