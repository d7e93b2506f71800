package pgdriver

import (
	"bytes"
	"context"
)

// What a holder leaves behind in the session, and what is done about it before
// the next one has it.

// resetSQL is what DISCARD ALL does, without what pgx would have to be told of
// (DEALLOCATE ALL) and what is dear and harmless (DISCARD PLANS).
const resetSQL = "close all; set session authorization default; reset all; unlisten *; discard temp; discard sequences"

// resetLocksSQL follows it, unless the session's advisory locks are the pool's own.
const resetLocksSQL = "; select pg_catalog.pg_advisory_unlock_all()"

// resetTimeoutSQL is for a session whose statement_timeout may have been changed.
// What DB_STATEMENT_TIMEOUT says is the session's default.
const resetTimeoutSQL = "reset statement_timeout"

// reported are the parameters that the server reports when they change, without
// those that a session cannot change.
var reported = [...]string{
	"application_name", "client_encoding", "DateStyle", "default_transaction_read_only", "IntervalStyle", "is_superuser",
	"search_path", "session_authorization", "standard_conforming_strings", "TimeZone",
}

// leftovers is what is known of the session's state.
type leftovers struct {
	used      bool                  // by a holder, since it was reset last
	keepLocks bool                  // its advisory locks are the pool's own
	values    [len(reported)]string // as they were when somebody last looked
}

// KeepLocks has the session keep its advisory locks when it is reset.
func (c *Conn) KeepLocks() { c.left.keepLocks = true }

// restoring is what has to be run before the next holder has the session; mostly
// nothing. Behind a pooler a session is nobody's.
func (c *Conn) restoring() string {
	switch {
	case c.settings.Pooled:
		return ""
	case c.settings.Reset && c.left.used && c.left.keepLocks:
		return resetSQL
	case c.settings.Reset && c.left.used:
		return resetSQL + resetLocksSQL
	case c.exchange.timeouts.Load():
		return resetTimeoutSQL
	}
	return ""
}

// restore runs it. That takes a round trip, and shows whether the session lives.
func (c *Conn) restore(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CancelBound)
	defer cancel()
	err := c.shield(func() error { _, err := c.PgConn().Exec(ctx, sql).ReadAll(); return err })
	c.clean()
	return err
}

// clean notes that the session is as it was dialed.
func (c *Conn) clean() {
	c.left.used = false
	c.exchange.timeouts.Store(c.exchange.timeoutsAgain)
	c.changed()
}

// Changed returns the parameters that the server has reported to be others than
// when somebody last asked. It is for the holder, and takes no round trip.
func (c *Conn) Changed() []string {
	if !c.exchange.reports.Load() || c.settings.Pooled || c.IsClosed() {
		return nil
	}
	return c.changed()
}

func (c *Conn) changed() (names []string) {
	c.exchange.reports.Store(false)
	for i, name := range reported {
		if now := c.PgConn().ParameterStatus(name); now != c.left.values[i] {
			c.left.values[i] = now
			names = append(names, name)
		}
	}
	return names
}

// namesTimeout reports whether a text may change statement_timeout beyond its
// transaction.
func namesTimeout(text []byte) bool {
	for _, name := range [...]string{"statement_timeout", "STATEMENT_TIMEOUT"} {
		for rest := text; ; {
			before, after, found := bytes.Cut(rest, []byte(name))
			if !found {
				break
			}
			const local = "local "
			if n := len(before) - len(local); n < 0 || !bytes.EqualFold(before[n:], []byte(local)) {
				return true
			}
			rest = after
		}
	}
	return false
}
