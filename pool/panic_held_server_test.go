package pool

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// TestPanicLeavesAHolder has a Valuer panic in a transaction, and in a connection,
// that their caller never ends. Nobody takes that for a running statement, and the
// place comes back as that of any other holder does.
func TestPanicLeavesAHolder(t *testing.T) {
	for name, use := range map[string]func(ctx context.Context, p *Pool) (giveBack func() error, v any){
		"Tx.Exec": func(ctx context.Context, p *Pool) (func() error, any) {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			return tx.Rollback, recovered(func() { _, _ = tx.ExecContext(ctx, "select $1::text", panicValuer{}) })
		},
		"Conn.Exec": func(ctx context.Context, p *Pool) (func() error, any) {
			c, err := p.Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return c.Close, recovered(func() { _, _ = c.ExecContext(ctx, "select $1::text", panicValuer{}) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := openShared(t, 1, 0, func(c *config.Config) { c.ReclaimAfter, c.PoolTimeout = time.Second, 20*time.Second })
			defer p.Close()
			giveBack, v := use(context.Background(), p)
			if v != "valuer" {
				t.Errorf("the panic became %v", v)
			}
			for _, h := range p.Holders(0) {
				if h.Activity == "running" {
					t.Errorf("a holder that does nothing: %s", h.Activity)
				}
			}
			if err := p.PingContext(t.Context()); err != nil {
				t.Error(err)
			}
			_ = giveBack()
			if s := p.Stats(); s.InUse != 0 || s.Open()+s.Closing > 1 {
				t.Errorf("%d in use, %d open, %d closing", s.InUse, s.Open(), s.Closing)
			}
			for _, c := range holdAll(t, p, 1) {
				_ = c.Close()
			}
		})
	}
}

// TestPanicInAPreparedStatement has a Valuer panic in a statement that was prepared
// by each face. It arrives as a panic or as an error that tells of it, and the
// connection comes back.
func TestPanicInAPreparedStatement(t *testing.T) {
	everybody := maps.Clone(owners)
	everybody["Pool"] = func(_ context.Context, p *Pool, work func(dbtx) error) error { return work(p) }
	everybody["DB"] = func(_ context.Context, p *Pool, work func(dbtx) error) error { return work(p.DB()) }
	for what, run := range map[string]func(ctx context.Context, s *sql.Stmt) error{
		"Exec":     func(ctx context.Context, s *sql.Stmt) error { _, err := s.ExecContext(ctx, panicValuer{}); return err },
		"Query":    func(ctx context.Context, s *sql.Stmt) error { return firstError(s.QueryContext(ctx, panicValuer{})) },
		"QueryRow": func(ctx context.Context, s *sql.Stmt) error { return s.QueryRowContext(ctx, panicValuer{}).Err() },
	} {
		for face, give := range everybody {
			t.Run(face+"/"+what, func(t *testing.T) {
				p := openShared(t, 1, 0, func(c *config.Config) { c.PoolTimeout = 20 * time.Second })
				defer p.Close()
				var err error
				v := recovered(func() {
					_ = give(t.Context(), p, func(own dbtx) error {
						stmt, e := own.PrepareContext(t.Context(), "select $1::text")
						if e != nil {
							return e
						}
						err = run(t.Context(), stmt)
						return errors.Join(err, stmt.Close())
					})
				})
				if v != "valuer" && (err == nil || !strings.Contains(err.Error(), "valuer")) {
					t.Errorf("the panic became %v, %v", v, err)
				}
				if err := p.PingContext(t.Context()); err != nil {
					t.Error(err)
				}
				if n := p.Stats().InUse; n != 0 {
					t.Errorf("%d in use", n)
				}
			})
		}
	}
}
