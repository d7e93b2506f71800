package pooltest_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/dbpool-go/dbpool/pool"
	"github.com/dbpool-go/dbpool/pool/pooltest"
)

// testOf stands for the *testing.T of a service's own test.
type testOf struct{ cleanups []func() }

func (t *testOf) Helper()                        {}
func (t *testOf) Cleanup(f func())               { t.cleanups = append(t.cleanups, f) }
func (t *testOf) Errorf(format string, _ ...any) { fmt.Println("the test fails") }
func (t *testOf) Fatal(args ...any)              { panic(fmt.Sprint(args...)) }

// A test of a service's own code that forgets to close its rows.
func ExampleFailOnLeak() {
	t := &testOf{} // in a real test: the *testing.T
	p, _ := pooltest.NewFake(t, func(string, []any) (pooltest.Answer, error) {
		return pooltest.Answer{Columns: []string{"id"}, Rows: [][]driver.Value{{int64(7)}}}, nil
	})
	rows, err := p.QueryContext(context.Background(), "select id from orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	rows.Next() // once, and not until there are no more: they stay open

	t.cleanups[1]() // the test ends: the check, which is made before the pool is closed
	_ = rows.Close()
	t.cleanups[0]()
	// Output: the test fails
}

// A PostgreSQL for tests in two lines: one that keeps the template in a variable of
// the test package, and one in each test.
func ExampleTemplate() {
	migrate := func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "create table orders (id int)") // or goose, golang-migrate, …
		return err
	}
	var orders = &pooltest.Template{Prepare: migrate} // starts a PostgreSQL, unless TEST_DATABASE_URL is set
	testOrder := func(t *testing.T) {
		p := orders.Open(t) // a database of the test's own, a copy of what migrate made
		if _, err := p.ExecContext(t.Context(), "insert into orders values (1)"); err != nil {
			t.Error(err)
		}
	}
	_ = testOrder
}

// newOrder is a handler of a service.
func newOrder(w http.ResponseWriter, r *http.Request) {
	s := pool.FromContext(r.Context())
	if _, err := s.ExecContext(r.Context(), "insert into orders values (1)"); err != nil {
		http.Error(w, "try again later", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// A handler's test that makes its database up.
func ExampleNewFake() {
	t := &testOf{} // in a real test: the *testing.T
	p, fake := pooltest.NewFake(t, func(query string, args []any) (pooltest.Answer, error) {
		return pooltest.Answer{Affected: 1}, nil // or an error, to see what the handler does
	})
	w := httptest.NewRecorder()
	p.Middleware(http.HandlerFunc(newOrder)).ServeHTTP(w, httptest.NewRequest("POST", "/orders", nil))
	fmt.Println(w.Code, fake.Committed(), fake.Statements())

	for _, end := range t.cleanups {
		end()
	}
	// Output: 201 true [BEGIN insert into orders values (1) COMMIT]
}
