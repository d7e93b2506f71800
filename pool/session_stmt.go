package pool

import (
	"context"
	"database/sql/driver"
	"errors"
)

// sessionStmt is a statement prepared in a session.
type sessionStmt struct {
	driver.Stmt
	c *sessionConn
}

// convertingStmt is one of a driver that converts arguments by column.
type convertingStmt struct {
	*sessionStmt
	driver.ColumnConverter //nolint:staticcheck // some drivers have nothing newer
}

var (
	_ driver.Stmt              = (*sessionStmt)(nil)
	_ driver.StmtExecContext   = (*sessionStmt)(nil)
	_ driver.StmtQueryContext  = (*sessionStmt)(nil)
	_ driver.NamedValueChecker = (*sessionStmt)(nil)
)

// prepared makes inner one of the session's statements.
func (c *sessionConn) prepared(inner driver.Stmt) driver.Stmt {
	s := &sessionStmt{Stmt: inner, c: c}
	if c.stmt == nil {
		c.stmt = make(map[*sessionStmt]struct{})
	}
	c.stmt[s] = struct{}{}
	if converter, ok := inner.(driver.ColumnConverter); ok { //nolint:staticcheck // see above
		return convertingStmt{s, converter}
	}
	return s
}

// Close closes the statement, unless the session's end has.
func (s *sessionStmt) Close() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if _, open := s.c.stmt[s]; !open {
		return nil
	}
	delete(s.c.stmt, s)
	return s.Stmt.Close()
}

// ExecContext runs the statement.
func (s *sessionStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.c.lock(); err != nil {
		return nil, err
	}
	defer s.c.mu.Unlock()
	ctx = s.c.bound(ctx)
	if inner, ok := s.Stmt.(driver.StmtExecContext); ok {
		return inner.ExecContext(ctx, args)
	}
	values, err := positional(ctx, args)
	if err != nil {
		return nil, err
	}
	return s.Exec(values) //nolint:staticcheck // all that such a driver has
}

// QueryContext runs the statement.
func (s *sessionStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.query(ctx, func(ctx context.Context) (driver.Rows, error) {
		if inner, ok := s.Stmt.(driver.StmtQueryContext); ok {
			return inner.QueryContext(ctx, args)
		}
		values, err := positional(ctx, args)
		if err != nil {
			return nil, err
		}
		return s.Query(values) //nolint:staticcheck // all that such a driver has
	})
}

// CheckNamedValue is the statement's, or else the connection's.
func (s *sessionStmt) CheckNamedValue(v *driver.NamedValue) error {
	if inner, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return inner.CheckNamedValue(v)
	}
	return s.c.CheckNamedValue(v)
}

// positional is what a driver without contexts gets, as from database/sql.
func positional(ctx context.Context, args []driver.NamedValue) ([]driver.Value, error) {
	values := make([]driver.Value, len(args))
	for i, a := range args {
		if a.Name != "" {
			return nil, errors.New("pool: this driver does not support named parameters")
		}
		values[i] = a.Value
	}
	return values, ctx.Err()
}
