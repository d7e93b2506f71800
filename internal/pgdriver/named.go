package pgdriver

import (
	"bytes"
	"context"
	"database/sql/driver"

	"github.com/jackc/pgx/v5/pgconn"
)

// named is a statement that was prepared in the session under a name, because
// its caller has the session for itself. pgx executes it by that name wherever it
// is given the same text, in each of its modes.
type named struct {
	query string
	refs  int // how many statements of database/sql it is
}

// PrepareOwn prepares a statement in the session, for a caller whose session it is: of
// a sql.Conn, a sql.Tx, or a session of the pool. It is parsed once, and is
// deallocated when it is closed, or before the next holder's first statement. Behind
// a pooler, where another transaction may have another session, it is PrepareContext.
func (c *Conn) PrepareOwn(ctx context.Context, query string) (driver.Stmt, error) {
	if c.settings.Pooled {
		return c.PrepareContext(ctx, query)
	}
	first := c.IsLate() // a preparation that fails aborts the transaction, so BEGIN goes with it
	if err := c.beginFirst(ctx, true, false); err != nil {
		return nil, err
	}
	var sd *pgconn.StatementDescription
	err := c.shield(func() (err error) {
		sd, err = c.Pgx().Prepare(ctx, query, query)
		return err
	})
	c.end()
	switch {
	case err != nil && first:
		return nil, c.judgeFirst(ctx, err)
	case err != nil:
		return nil, c.judgeHarmless(ctx, err)
	}
	n := c.named[query]
	if n == nil {
		n = &named{query: query}
		if c.named == nil {
			c.named = make(map[string]*named)
		}
		c.named[query] = n
	}
	n.refs++
	return &ownStmt{stmt{c, query, len(sd.ParamOIDs)}, n}, nil
}

// ownStmt is such a statement. Once it is deallocated it runs like any other text.
type ownStmt struct {
	stmt
	named *named // nil once closed
}

// Close deallocates the statement when it is the last that was prepared with its
// text. While rows are open that is left for later.
func (s *ownStmt) Close() error {
	n := s.named
	if s.named = nil; n == nil || s.c.named[n.query] != n {
		return nil
	}
	if n.refs--; n.refs > 0 || s.c.IsClosed() || s.c.PgConn().IsBusy() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), CancelBound)
	defer cancel()
	if err := s.c.begin(ctx); err != nil {
		return nil // it was taken away, or has ended
	}
	defer s.c.end()
	return s.c.deallocate(ctx, n)
}

// endsPrepared reports whether a text may end all prepared statements of its session.
func endsPrepared(text []byte) bool {
	const space = " \t\r\n"
	for _, verb := range [...]string{"discard", "DISCARD", "deallocate", "DEALLOCATE"} {
		for _, rest, found := bytes.Cut(text, []byte(verb)); found; _, rest, found = bytes.Cut(rest, []byte(verb)) {
			what := bytes.ToLower(bytes.TrimLeft(rest[:min(len(rest), 40)], space))
			what = bytes.TrimLeft(bytes.TrimPrefix(what, []byte("prepare")), space)
			if bytes.HasPrefix(what, []byte("all")) {
				return true
			}
		}
	}
	return false
}

// deallocate ends a named statement. It works in a failed transaction too.
func (c *Conn) deallocate(ctx context.Context, n *named) error {
	delete(c.named, n.query)
	return c.shield(func() error { return c.Pgx().Deallocate(ctx, n.query) })
}

// hasLeft reports whether the holder before has left statements prepared, or has
// ended those that pgx and the pool rely on.
func (c *Conn) hasLeft() bool {
	return len(c.named) > 0 || c.exchange.forgets.Load() && !c.settings.Pooled
}

// deallocateLeft ends what the holder before has left prepared. After DISCARD ALL, or
// DEALLOCATE ALL, everybody forgets everything.
func (c *Conn) deallocateLeft(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CancelBound)
	defer cancel()
	if c.exchange.forgets.Load() {
		err := c.shield(func() error { return c.Pgx().DeallocateAll(ctx) })
		c.link, c.known, c.named = nil, nil, nil
		c.exchange.forgets.Store(false)
		return err
	}
	for _, n := range c.named {
		if err := c.deallocate(ctx, n); err != nil {
			return err
		}
	}
	return nil
}
