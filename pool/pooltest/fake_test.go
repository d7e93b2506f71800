package pooltest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/dbpool-go/dbpool/pool"
)

// A handler's test: what it did, and whether that was committed.
func TestFakeServesHandlers(t *testing.T) {
	for _, fail := range []bool{false, true} {
		p, f := NewFake(t, func(query string, args []any) (Answer, error) {
			if fail && query == "insert into orders values ($1)" {
				return Answer{}, errors.New("no")
			}
			return Answer{Columns: []string{"n"}, Rows: [][]driver.Value{{int64(41)}}, Affected: 1}, nil
		})
		h := p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := pool.FromContext(r.Context())
			var n int
			if err := s.QueryRowContext(r.Context(), "select n").Scan(&n); err != nil {
				t.Error(err)
			}
			if _, err := s.ExecContext(r.Context(), "insert into orders values ($1)", n+1); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/orders", nil))
		end := map[bool]string{false: "COMMIT", true: "ROLLBACK"}[fail]
		want := "[BEGIN select n insert into orders values ($1) " + end + "]"
		if got := fmt.Sprint(f.Statements()); got != want || f.Committed() == fail {
			t.Errorf("got %s, committed %v", got, f.Committed())
		}
	}
}

func TestFakeStatements(t *testing.T) {
	p, f := NewFake(t, func(_ string, args []any) (Answer, error) {
		return Answer{Columns: []string{"a"}, Rows: [][]driver.Value{{args[0]}, {args[0]}}}, nil
	})
	stmt, err := p.PrepareContext(t.Context(), "select $1")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	rows, err := stmt.QueryContext(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var s string
		if err := rows.Scan(&s); err != nil || s != "x" {
			t.Error(s, err)
		}
	}
	if rows.Err() != nil || n != 2 || f.Committed() {
		t.Error(rows.Err(), n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.QueryRowContext(ctx, "select").Scan(new(string)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFakeRowsThatAreTooShort(t *testing.T) {
	p, _ := NewFake(t, func(string, []any) (Answer, error) {
		return Answer{Columns: []string{"a", "b"}, Rows: [][]driver.Value{{int64(1)}}}, nil
	})
	if err := p.QueryRowContext(t.Context(), "select").Scan(new(int), new(int)); err == nil || err.Error() != "pooltest: row 0 has 1 values for the columns a, b" {
		t.Error(err)
	}
}
