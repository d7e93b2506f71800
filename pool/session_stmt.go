package pool

import (
	"context"
	"database/sql/driver"
)

// sessionStmt is a statement prepared in a session.
type sessionStmt struct {
	driver.Stmt
	c *sessionConn
}

var (
	_ driver.Stmt             = (*sessionStmt)(nil)
	_ driver.StmtExecContext  = (*sessionStmt)(nil)
	_ driver.StmtQueryContext = (*sessionStmt)(nil)
)

// prepared makes inner one of the session's statements.
func (c *sessionConn) prepared(inner driver.Stmt) driver.Stmt {
	s := &sessionStmt{Stmt: inner, c: c}
	if c.stmt == nil {
		c.stmt = make(map[*sessionStmt]struct{})
	}
	c.stmt[s] = struct{}{}
	return s
}

// Close closes the statement, unless the session's end has.
func (s *sessionStmt) Close() error {
	if s.c.lent.Load() {
		return nil // the session's end closes it
	}
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
	result, err := s.Stmt.(driver.StmtExecContext).ExecContext(s.c.bound(ctx), args)
	return result, s.c.ran(err)
}

// QueryContext runs the statement.
func (s *sessionStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.query(ctx, func(ctx context.Context) (driver.Rows, error) {
		return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	})
}
