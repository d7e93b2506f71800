package pool

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

type tenantKey struct{}

// setTenant is what an application gives to WithBegin: the policies of the tables
// look at app.tenant.
func setTenant(ctx context.Context, s *Session) error {
	tenant, ok := ctx.Value(tenantKey{}).(string)
	if !ok {
		return errNoTenant
	}
	_, err := s.ExecContext(ctx, "select set_config('app.tenant', $1, true)", tenant)
	return err
}

var errNoTenant = errors.New("no tenant in this context")

// Row-level security: each tenant sees its own rows, on few connections that all
// tenants share, whichever way the statements take inside the session, and while
// statements of no tenant share connections in between.
func TestTenantsSeeTheirOwnRows(t *testing.T) {
	srv := pgtest.Shared(t)
	admin := open(t, settled(srv.URL, 1, 0))
	_, err := admin.ExecContext(t.Context(), `
		drop table if exists notes; drop role if exists tenant_app;
		create role tenant_app login password 'app';
		create table notes (tenant text not null default current_setting('app.tenant'), text text);
		alter table notes enable row level security;
		create policy own on notes using (tenant = current_setting('app.tenant'));
		grant select, insert on notes to tenant_app`)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(srv.URL)
	u.User = url.UserPassword("tenant_app", "app")
	cfg := settled(u.String(), 2, 0)
	cfg.Fleet = config.FleetOff
	p := open(t, cfg, WithSessionDefaults(WithBegin(setTenant)))

	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			tenant := fmt.Sprint("tenant ", i%3)
			ctx := context.WithValue(t.Context(), tenantKey{}, tenant)
			err := p.WithSession(ctx, func(ctx context.Context, s *Session) error {
				_, err := s.DB().ExecContext(ctx, "insert into notes (text) values ($1)", tenant)
				return err
			})
			task := p.Background(ctx, "count", func(ctx context.Context, s *Session) error {
				var others int
				err := s.QueryRowContext(ctx, "select count(*) from notes where text <> $1", tenant).Scan(&others)
				if err == nil && others != 0 {
					err = fmt.Errorf("%s sees %d rows of others", tenant, others)
				}
				return err
			})
			if err := errors.Join(err, task.Wait(t.Context())); err != nil {
				t.Error(err)
			}
		})
		for range 10 {
			wg.Go(func() { wantNoTenant(t, p) })
		}
	}
	wg.Wait()
	if n := p.Stats().Pipeline.SharedCount; n == 0 {
		t.Error("no statements shared a connection")
	}

	err = p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		return s.QueryRowContext(ctx, "select 1").Err()
	})
	if !errors.Is(err, errNoTenant) {
		t.Errorf("a session without a tenant: %v", err)
	}
	wantNoTenant(t, p)
	var all int
	if err := admin.QueryRowContext(t.Context(), "select count(*) from notes").Scan(&all); err != nil || all != 30 {
		t.Errorf("%d rows, %v", all, err)
	}
}

// wantNoTenant runs a statement outside of sessions, which has no tenant, also where
// a session has used the connection before.
func wantNoTenant(t *testing.T, p *Pool) {
	t.Helper()
	for range 5 {
		var left string
		err := p.QueryRowContext(t.Context(), "select coalesce(current_setting('app.tenant', true), $1)", "").Scan(&left)
		if err != nil || left != "" {
			t.Errorf("the tenant %q is left on the connection, %v", left, err)
		}
	}
}

// The functions run once, in their order, before the first of several statements,
// and not at all without one.
func TestBeginRunsBeforeTheFirstStatement(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	var ran []string
	var kept *Session
	note := func(what string) SessionOption {
		return WithBegin(func(ctx context.Context, s *Session) error {
			ran = append(ran, what)
			kept = s
			if FromContext(ctx) != s {
				t.Error("the context carries another session")
			}
			return insert(ctx, s)
		})
	}
	if err := p.WithSession(t.Context(), func(context.Context, *Session) error { return nil }, note("unused")); err != nil {
		t.Error(err)
	}
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := insert(ctx, s); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := insert(ctx, kept); !errors.Is(err, ErrSessionDone) {
			t.Errorf("the function's session lives on: %v", err)
		}
		return nil
	}, note("first"), note("second"))
	if err != nil || !slices.Equal(ran, []string{"first", "second"}) {
		t.Errorf("%q, %v", ran, err)
	}
}

// A function that fails or panics leaves no connection behind, and the next
// statement tries again.
func TestBeginThatFails(t *testing.T) {
	rolledBack := 0
	p, _ := hookPool(t, &hookDriver{rollback: func(context.Context) error { rolledBack++; return nil }})
	tries := 0
	err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error {
		if err := insert(ctx, s); !errors.Is(err, errBoom) {
			t.Error(err)
		}
		if v := recovered(func() { _ = insert(ctx, s) }); v != "begin" {
			t.Error(v)
		}
		if n := p.Stats().InUse; n != 0 || rolledBack != 2 {
			t.Errorf("%d in use, %d rolled back", n, rolledBack)
		}
		return insert(ctx, s)
	}, WithBegin(func(context.Context, *Session) error {
		switch tries++; tries {
		case 1:
			return errBoom
		case 2:
			panic("begin")
		}
		return nil
	}))
	if err != nil || tries != 3 || rolledBack != 2 {
		t.Errorf("%v after %d tries, %d rolled back", err, tries, rolledBack)
	}
}
