package pool

import (
	"context"
	"database/sql/driver"

	"github.com/dbpool-go/dbpool/internal/gate"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// virtualStmt is a prepared statement of a virtual connection. It runs on whatever
// real connection that one has; on another than it was prepared on, it is prepared
// anew.
type virtualStmt struct {
	v     *virtual
	query string
	own   bool        // it belongs to the session that its caller had when it was prepared
	on    backend     // the real connection that it was prepared on
	stmt  driver.Stmt // on that connection
}

var (
	_ driver.Stmt             = (*virtualStmt)(nil)
	_ driver.StmtExecContext  = (*virtualStmt)(nil)
	_ driver.StmtQueryContext = (*virtualStmt)(nil)
)

// NumInput is the number of parameters.
func (s *virtualStmt) NumInput() int { return s.stmt.NumInput() }

// Close closes the statement where it was prepared, if that connection is this
// one's now. Elsewhere it is left to the connection: somebody else uses it.
func (s *virtualStmt) Close() error {
	if s.on != nil && s.v.real == s.on {
		return s.stmt.Close()
	}
	return nil
}

// ExecContext runs the statement.
func (s *virtualStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.v.asks(s.query)
	return onReal(ctx, s.v, gate.WantStatement, func(c backend) (driver.Result, error) {
		if err := s.prepareOn(ctx, c); err != nil {
			return nil, err
		}
		return s.stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	})
}

// QueryContext runs the statement.
func (s *virtualStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.v.asks(s.query)
	return onReal(ctx, s.v, gate.WantStatement, func(c backend) (driver.Rows, error) {
		if err := s.prepareOn(ctx, c); err != nil {
			return nil, err
		}
		return s.stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	})
}

// prepareOn prepares the statement on c, unless it is the connection that it was
// prepared on last.
func (s *virtualStmt) prepareOn(ctx context.Context, c backend) error {
	if s.on == c {
		return nil
	}
	prepare := c.PrepareContext
	if session, ok := c.(interface {
		PrepareOwn(ctx context.Context, query string) (driver.Stmt, error)
	}); ok && s.own {
		prepare = session.PrepareOwn
	}
	stmt, err := prepare(ctx, s.query)
	if err != nil {
		return err
	}
	s.on, s.stmt = c, stmt
	return nil
}

// Exec is ExecContext for callers without a context; database/sql is none of them.
func (s *virtualStmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), pgdriver.Named(args))
}

// Query is QueryContext for callers without a context; database/sql is none of them.
func (s *virtualStmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), pgdriver.Named(args))
}
