package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets a test start this very binary as the program: in a terminal of
// its own, or to have it killed.
func TestMain(m *testing.M) {
	if os.Getenv("DBMONITOR_TEST_RUN_MAIN") == "1" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}
