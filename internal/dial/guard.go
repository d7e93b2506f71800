package dial

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// newGuard is what has the server end a session soon after its client is gone,
// which is when the slot of a lost session comes free: a client that hung up is
// noticed in the middle of a statement (PostgreSQL 14 and later, not on every
// platform), one that is cut off by the network within pgdriver.UserTimeout.
//
// They are startup parameters, so RESET ALL and DISCARD ALL come back to them.
//
// No client can prevent this: a device in between that ends the client's
// connection and goes on answering for it on the server's side hides from both
// that the other is gone. The session then stays until the device gives it up,
// or its statement ends, and the pool does not count it.
func newGuard() map[string]string {
	return map[string]string{
		"client_connection_check_interval": "2000", // ms
		"tcp_keepalives_idle":              "15",   // s; as keepAlive
		"tcp_keepalives_interval":          "15",
		"tcp_keepalives_count":             "3",
	}
}

// applyGuard leaves alone what the connection string sets.
func (m *mode) applyGuard(cc *pgx.ConnConfig) {
	for name, value := range m.guard {
		if _, set := cc.RuntimeParams[name]; !set && !strings.Contains(cc.RuntimeParams["options"], name) {
			cc.RuntimeParams[name] = value
		}
	}
}

// refusesGuard recognises a server, or a pooler that is said to be none, that
// does not know one of the guard's parameters, or cannot do what it says.
func (m *mode) refusesGuard(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for name := range m.guard {
		if strings.Contains(pg.Message, name) {
			return true
		}
	}
	return false
}

// unguard does without the guard in this and all further dials. It reports true.
func (d *Dialer) unguard(old *mode) bool {
	m := *old
	m.guard = nil
	d.mode.CompareAndSwap(old, &m) // else somebody else has changed it meanwhile
	return true
}
