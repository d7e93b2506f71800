package fleet

import (
	"os"
	"runtime/debug"
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
	debug.SetGCPercent(400) // the simulations make garbage all the time and hold on to little
	pgtest.Main(m, func() error { return goleak.Find() })
}
