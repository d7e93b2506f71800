package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// sharedState is the one server of a test binary and its count of databases.
var sharedState struct {
	mu  sync.Mutex // guards srv and databases
	srv *Server

	databases int
}

// Shared returns a server that all tests of a binary share, with a fresh
// database of the test's own, dropped at its end. Roles and settings are
// shared, so a test that changes those wants Start. The package's TestMain must
// be [Main], which stops it.
func Shared(t testing.TB) *Server {
	t.Helper()
	base, n := sharedServer(t)
	s := &Server{Host: base.Host, Port: base.Port, Version: base.Version, cluster: base.cluster, shared: true}
	s.Database = fmt.Sprintf("test%d", n)
	s.URL = s.DSN(s.Database, "", "")
	s.newDatabase(t, s.Database)
	return s
}

func sharedServer(t testing.TB) (*Server, int) {
	t.Helper()
	sharedState.mu.Lock()
	defer sharedState.mu.Unlock()
	if sharedState.srv == nil {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		srv, err := Open(ctx, Options{})
		failOrSkip(t, err)
		sharedState.srv = srv
	}
	sharedState.databases++
	return sharedState.srv, sharedState.databases
}

// Main is a package's TestMain: it runs the tests, stops the shared server and
// then the checks, such as
//
//	func TestMain(m *testing.M) { pgtest.Main(m, func() error { return goleak.Find() }) }
//
// Checks run only after tests that passed; an error of one fails the binary.
func Main(m *testing.M, checks ...func() error) {
	code := m.Run()
	closeShared()
	for _, check := range checks {
		if code != 0 {
			break
		}
		if err := check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func closeShared() {
	sharedState.mu.Lock()
	defer sharedState.mu.Unlock()
	if sharedState.srv != nil {
		sharedState.srv.Stop()
		sharedState.srv = nil
	}
}
