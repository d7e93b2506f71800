package pool

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// copyIn has a wireServer take part in COPY FROM STDIN: it waits for data
// without end, and takes no notice of a Sync meanwhile.
func copyIn(w *wireSession, m pgproto3.FrontendMessage) bool {
	sql := w.SQL
	switch m := m.(type) {
	case *pgproto3.Query:
		sql = m.String
	case *pgproto3.Execute:
	default:
		return true
	}
	if !strings.HasPrefix(sql, "copy") {
		return true
	}
	w.Send(&pgproto3.CopyInResponse{})
	for {
		m, err := w.Backend.Receive()
		if err != nil {
			return false
		}
		switch m := m.(type) {
		case *pgproto3.CopyDone:
			return true
		case *pgproto3.CopyFail:
			w.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: pgdriver.StateQueryCanceled, Message: "COPY from stdin failed: " + m.Message})
			return true
		}
	}
}

// TestCopyWithoutData gives a COPY that reads from the client to every call that
// has no data for it. Each is refused at once, and its connection goes on.
func TestCopyWithoutData(t *testing.T) {
	const copyT = "copy pg_temp.t from stdin"
	for mode, edit := range map[string]func(*config.Config){
		"":                func(*config.Config) {},
		"simple_protocol": func(c *config.Config) { c.DatabaseURL += "&default_query_exec_mode=simple_protocol" },
		"exec":            func(c *config.Config) { c.DatabaseURL += "&default_query_exec_mode=exec" },
		"cache_describe":  func(c *config.Config) { c.DatabaseURL += "&default_query_exec_mode=cache_describe" },
	} {
		t.Run(mode, func(t *testing.T) {
			p := openShared(t, 1, 0, edit)
			defer p.Close()
			if _, err := p.ExecContext(t.Context(), "create temp table t (id int)"); err != nil {
				t.Fatal(err)
			}
			for what, call := range copyCalls(p, copyT) {
				if what == "second of a query" && mode != "simple_protocol" {
					continue // the extended protocol takes one statement
				}
				wantCopyRefused(t, p, what, call)
			}
			if s := p.Stats(); s.OpenedCount != 1 || s.InUse != 0 {
				t.Errorf("opened %d, in use %d, closed %+v", s.OpenedCount, s.InUse, s.Closed)
			}
		})
	}
}

func wantCopyRefused(t *testing.T, p *Pool, what string, call func(context.Context) error) {
	t.Helper()
	err := call(within(t, 20*time.Second))
	if refusal := new(pgdriver.CopyError); !errors.As(err, &refusal) || !strings.Contains(err.Error(), "CopyFrom") {
		t.Errorf("%s: got %v, want a refusal that names the way", what, err)
	}
	if _, err := p.ExecContext(t.Context(), "select $1::int", 1); err != nil {
		t.Errorf("after %s: %v", what, err)
	}
}

// copyCalls are the ways to give a statement to the server.
func copyCalls(p *Pool, statement string) map[string]func(context.Context) error {
	query := func(q querier, sql string) func(context.Context) error {
		return func(ctx context.Context) error {
			rows, err := q.QueryContext(ctx, sql)
			if err != nil {
				return err
			}
			for rows.Next() || rows.NextResultSet() {
			}
			return errors.Join(rows.Err(), rows.Close())
		}
	}
	exec := func(ctx context.Context, e execer) error { _, err := e.ExecContext(ctx, statement); return err }
	session := func(opts ...SessionOption) func(context.Context) error {
		return func(ctx context.Context) error {
			return p.WithSession(ctx, func(ctx context.Context, s *Session) error { return exec(ctx, s) }, opts...)
		}
	}
	return map[string]func(context.Context) error{
		"Pool.Exec":          func(ctx context.Context) error { return exec(ctx, p) },
		"Pool.Query":         query(p, statement),
		"DB().Exec":          func(ctx context.Context) error { return exec(ctx, p.DB()) },
		"second of a simple": func(ctx context.Context) error { _, err := p.ExecContext(ctx, "select 1; "+statement); return err },
		"second of a query":  query(p, "select 1; "+statement),
		"session":            session(),
		"autocommit session": session(WithAutocommit()),
		"background": func(ctx context.Context) error {
			return p.Background(ctx, "x", func(ctx context.Context, s *Session) error { return exec(ctx, s) }).Wait(ctx)
		},
		"Conn":              func(ctx context.Context) error { return onConn(ctx, p, exec) },
		"Tx":                func(ctx context.Context) error { return onTx(ctx, p, exec) },
		"prepared, on Pool": prepared(p, statement),
		"prepared, on DB()": prepared(p.DB(), statement),
		"prepared, on Conn": func(ctx context.Context) error {
			return onConn(ctx, p, func(ctx context.Context, e execer) error { return prepared(e.(preparer), statement)(ctx) })
		},
		"with pgx's own option": func(ctx context.Context) error {
			_, err := p.ExecContext(ctx, statement, pgx.QueryExecModeExec)
			return err
		},
	}
}

type (
	execer interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	}
	querier interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
	preparer interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
)

func onConn(ctx context.Context, p *Pool, use func(context.Context, execer) error) error {
	c, err := p.Conn(ctx)
	if err != nil {
		return err
	}
	return errors.Join(use(ctx, c), c.Close())
}

func onTx(ctx context.Context, p *Pool, use func(context.Context, execer) error) error {
	tx, err := p.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	return errors.Join(use(ctx, tx), tx.Rollback())
}

func prepared(on preparer, statement string) func(context.Context) error {
	return func(ctx context.Context) error {
		s, err := on.PrepareContext(ctx, statement)
		if err != nil {
			return err
		}
		_, err = s.ExecContext(ctx)
		return errors.Join(err, s.Close())
	}
}

// TestCopyWithData copies by pgx's own means, where a COPY has its data.
func TestCopyWithData(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	defer p.Close()
	err := onConn(t.Context(), p, func(ctx context.Context, e execer) error {
		if _, err := e.ExecContext(ctx, "create temp table t (id int)"); err != nil {
			return err
		}
		return natively(e.(*sql.Conn), func(c *pgx.Conn) error {
			n, err := c.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}, {2}}))
			if n != 2 {
				t.Errorf("%d rows copied", n)
			}
			return err
		})
	})
	if err != nil {
		t.Error(err)
	}
}
