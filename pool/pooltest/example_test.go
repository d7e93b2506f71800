package pooltest_test

import (
	"context"
	"database/sql/driver"
	"fmt"

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
