package pool

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Work that ends its own transaction is never reported as committed, whatever it
// does afterwards; what is said of savepoints is none of that.
func TestWorkEndsItsOwnTransaction(t *testing.T) {
	p := openShared(t, 1, 0, nil)
	defer p.Close()
	if _, err := p.ExecContext(t.Context(), "create table orders (n int)"); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		statements []string
		ended      bool
	}{
		"rollback":                      {[]string{"insert into orders values (1)", "rollback"}, true},
		"commit":                        {[]string{"insert into orders values (1)", "commit"}, true},
		"end":                           {[]string{"end"}, true},
		"abort, after a failure":        {[]string{"select 1/0", "abort"}, true},
		"rollback, then more":           {[]string{"rollback", "insert into orders values (1)"}, true},
		"rollback, then another":        {[]string{"rollback", "begin", "insert into orders values (1)"}, true},
		"in several statements":         {[]string{"insert into orders values (1); rollback"}, true},
		"another in the same string":    {[]string{"insert into orders values (1); rollback; begin"}, true},
		"the same, after a savepoint":   {[]string{"savepoint a; rollback to a; rollback; start transaction read write"}, true},
		"commit and begin":              {[]string{"insert into orders values (1)", "COMMIT; BEGIN; insert into orders values (2)"}, true},
		"commit and chain":              {[]string{"insert into orders values (1)", "commit and chain", "insert into orders values (1)"}, true},
		"end and chain":                 {[]string{"end and chain"}, true},
		"rollback and chain":            {[]string{"insert into orders values (1)", "Rollback Work And Chain"}, true},
		"a failure, and chain":          {[]string{"select 1/0", "abort and chain"}, true},
		"a savepoint, then a beginning": {[]string{"savepoint a; insert into orders values (1); rollback to a; begin"}, false},
		"a savepoint":                   {[]string{"savepoint a", "insert into orders values (1)", "rollback to a"}, false},
		"a savepoint after a failure":   {[]string{"savepoint a", "select 1/0", "rollback to savepoint a"}, false},
		"a released savepoint":          {[]string{"savepoint a", "insert into orders values (1)", "release a"}, false},
		"another beginning, in vain":    {[]string{"begin", "insert into orders values (1)"}, false},
		"a failure that is passed over": {[]string{"savepoint a", "select 1/0", "rollback to a", "insert into orders values (1)"}, false},
	} {
		work := func(ctx context.Context, s dbtx) {
			for _, sql := range tt.statements {
				_, _ = s.ExecContext(ctx, sql)
			}
		}
		t.Run(name, func(t *testing.T) {
			err := p.WithSession(t.Context(), func(ctx context.Context, s *Session) error { work(ctx, s); return nil })
			if errors.Is(err, ErrTransactionEnded) != tt.ended || !tt.ended && err != nil {
				t.Errorf("committed: %v", err)
			}
			err = p.WithSession(t.Context(), func(ctx context.Context, s *Session) error { work(ctx, s); return errBoom })
			if errors.Is(err, ErrTransactionEnded) != tt.ended || !errors.Is(err, errBoom) {
				t.Errorf("rolled back: %v", err)
			}
			tx, err := p.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			work(t.Context(), tx)
			if err := tx.Commit(); errors.Is(err, ErrTransactionEnded) != tt.ended {
				t.Errorf("Tx.Commit: %v", err)
			}
			wantCode(t, p, tt.ended, work)
			if s := p.Stats(); s.InUse != 0 || s.Closed.Unclean != 0 {
				t.Errorf("in use %d, closed %+v", s.InUse, s.Closed)
			}
		})
	}
}

// wantCode wants a 500 in place of a handler's success if its work was lost.
func wantCode(t *testing.T, p *Pool, lost bool, work func(context.Context, dbtx)) {
	t.Helper()
	rec := httptest.NewRecorder()
	p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		work(r.Context(), FromContext(r.Context()))
		w.WriteHeader(201)
	})).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "POST", "/", nil))
	want := 201
	if lost {
		want = 500
	}
	if rec.Code != want {
		t.Errorf("status %d, want %d", rec.Code, want)
	}
}
