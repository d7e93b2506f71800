package fleet

import (
	"os"
	"testing"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	"go.uber.org/goleak"
)

// TestMain runs the tests, or is one replica of a fleet; see processes_test.go.
func TestMain(m *testing.M) {
	if url := os.Getenv(childEnv); url != "" {
		childMain(url)
		return
	}
	pgtest.Main(m, func() error { return goleak.Find() })
}
