package pool_test

import (
	"context"
	"fmt"

	"github.com/DATA-DOG/go-sqlmock"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// testOf stands for the *testing.T of a service's own test.
type testOf struct{ cleanup func() }

func (t *testOf) Helper()                        {}
func (t *testOf) Cleanup(f func())               { t.cleanup = f }
func (t *testOf) Errorf(format string, _ ...any) { fmt.Println("the test fails") }

// A test of a service's own code that forgets to close its rows.
func ExamplePool_FailOnLeak() {
	db, mock, err := sqlmock.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	mock.ExpectQuery("select").WillReturnRows(sqlmock.NewRows([]string{"id"}).AddRow(7))
	p, err := pool.New(db, config.Default())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	t := &testOf{} // in a real test: the *testing.T
	p.FailOnLeak(t)
	rows, err := p.QueryContext(context.Background(), "select id from orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rows.Close() // too late: only when the program ends
	rows.Next()

	t.cleanup() // the test ends
	// Output: the test fails
}
