package pool

import (
	"context"
	"database/sql/driver"
	"errors"
)

// foreignStmt is a prepared statement of another driver, used as database/sql
// would use it.
type foreignStmt struct {
	driver.Stmt
	c *foreignConn
}

var (
	_ driver.StmtExecContext  = (*foreignStmt)(nil)
	_ driver.StmtQueryContext = (*foreignStmt)(nil)
)

// PrepareContext is the driver's, if it has it; else its Prepare.
func (c *foreignConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	var s *foreignStmt
	err := c.run(func() (err error) {
		s, err = c.prepare(ctx, query)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (c *foreignConn) prepare(ctx context.Context, query string) (*foreignStmt, error) {
	var s driver.Stmt
	var err error
	if p, ok := c.inner.(driver.ConnPrepareContext); ok {
		s, err = p.PrepareContext(ctx, query)
	} else {
		s, err = c.inner.Prepare(query)
	}
	if err != nil {
		return nil, err
	}
	return &foreignStmt{s, c}, nil
}

// ExecContext runs the statement.
func (s *foreignStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (result driver.Result, err error) {
	err = s.c.run(func() error {
		result, err = s.exec(ctx, args)
		return err
	})
	return result, err
}

// QueryContext runs the statement.
func (s *foreignStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = s.c.run(func() error {
		rows, err = s.query(ctx, args)
		return err
	})
	return rows, err
}

func (s *foreignStmt) exec(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	args, err := convert(s.checker(), args)
	if err != nil {
		return nil, err
	}
	if x, ok := s.Stmt.(driver.StmtExecContext); ok {
		return x.ExecContext(ctx, args)
	}
	values, err := unnamed(args)
	if err != nil {
		return nil, err
	}
	return s.Exec(values)
}

func (s *foreignStmt) query(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	args, err := convert(s.checker(), args)
	if err != nil {
		return nil, err
	}
	if x, ok := s.Stmt.(driver.StmtQueryContext); ok {
		return x.QueryContext(ctx, args)
	}
	values, err := unnamed(args)
	if err != nil {
		return nil, err
	}
	return s.Query(values)
}

// checker is who converts arguments: the statement, or else its connection.
func (s *foreignStmt) checker() any {
	if _, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return s.Stmt
	}
	if _, ok := s.Stmt.(driver.ColumnConverter); ok { //nolint:staticcheck // what old drivers have
		return s.Stmt
	}
	return s.c.inner
}

// convert makes of arguments what a driver takes, as database/sql does: by the
// driver's own checker if it has one, else by the default converter.
func convert(checker any, args []driver.NamedValue) ([]driver.NamedValue, error) {
	out := make([]driver.NamedValue, 0, len(args))
	for i := range args {
		arg := args[i]
		arg.Ordinal = len(out) + 1
		switch err := convertOne(checker, &arg, i); {
		case errors.Is(err, driver.ErrRemoveArgument):
		case err != nil:
			return nil, err
		default:
			out = append(out, arg)
		}
	}
	return out, nil
}

func convertOne(checker any, arg *driver.NamedValue, i int) (err error) {
	if c, ok := checker.(driver.NamedValueChecker); ok {
		if err := c.CheckNamedValue(arg); err != driver.ErrSkip {
			return err
		}
	}
	converter := driver.ValueConverter(driver.DefaultParameterConverter)
	if c, ok := checker.(driver.ColumnConverter); ok { //nolint:staticcheck // what old drivers have
		converter = c.ColumnConverter(i)
	}
	value := arg.Value
	if v, ok := value.(driver.Valuer); ok {
		if value, err = v.Value(); err != nil {
			return err
		}
	}
	arg.Value, err = converter.ConvertValue(value)
	return err
}

// unnamed is for drivers that know no named arguments.
func unnamed(args []driver.NamedValue) ([]driver.Value, error) {
	values := make([]driver.Value, len(args))
	for i, arg := range args {
		if arg.Name != "" {
			return nil, errors.New("pool: this driver knows no named arguments")
		}
		values[i] = arg.Value
	}
	return values, nil
}
