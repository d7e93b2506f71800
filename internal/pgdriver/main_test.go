package pgdriver

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestMain finds goroutines that outlive the tests.
func TestMain(m *testing.M) {
	pgtest.Main(m, func() error { return goleak.Find() })
}
