package pgdriver

import (
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// writing is what a connection string wants of the servers it leads to.
type writing uint8

const (
	writingUnasked writing = iota
	writingPrimary         // target_session_attrs=primary
	writingAllowed         // target_session_attrs=read-write
)

// writingOf reads it off what pgx has made of the connection string.
func writingOf(cc *pgx.ConnConfig) writing {
	if cc.ValidateConnect == nil {
		return writingUnasked
	}
	switch reflect.ValueOf(cc.ValidateConnect).Pointer() {
	case reflect.ValueOf(pgconn.ValidateConnectTargetSessionAttrsPrimary).Pointer():
		return writingPrimary
	case reflect.ValueOf(pgconn.ValidateConnectTargetSessionAttrsReadWrite).Pointer():
		return writingAllowed
	}
	return writingUnasked
}

// noteReadOnly takes err for a sign that the server is no longer the one that
// was chosen when the connection was dialed: it was demoted, or fenced, and kept
// its sessions. This connection goes, and so do those that were dialed before
// now, when they are used next: new ones are chosen again.
func (c *Conn) noteReadOnly(err error) {
	if c.writing == writingUnasked || SQLState(err) != StateReadOnly || !c.serverIsReadOnly() {
		return
	}
	c.slot.NoteEnd(connstate.EndReadOnly)
	c.RetireFor(connstate.CloseBroken)
	c.shared.writableSince.Store(time.Now().UnixNano())
}

// serverIsReadOnly tells a server that takes no writes from a caller that made
// its own transaction read-only. PostgreSQL 14 and later report both settings.
func (c *Conn) serverIsReadOnly() bool {
	standby := c.PgConn().ParameterStatus("in_hot_standby")
	if standby == "" {
		return !c.readOnlyTx
	}
	return standby == "on" || c.writing == writingAllowed && c.PgConn().ParameterStatus("default_transaction_read_only") == "on"
}

// isStaleWriter reports whether the connection was dialed before another one
// found its server read-only.
func (c *Conn) isStaleWriter() bool {
	return c.writing != writingUnasked && c.dialedAt.UnixNano() < c.shared.writableSince.Load()
}
