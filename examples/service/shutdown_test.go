package main

import (
	"net/http"
	"testing"
	"time"
)

// From SIGTERM on the service says that it is not ready, and serves all the same
// until the load balancer has had the time to see it.
func TestServiceDrains(t *testing.T) {
	s := start(t, map[string]string{}, "--linger", "1s")
	s.do(t, "GET", "/health/ready", "", http.StatusOK, nil)
	s.do(t, "GET", "/health/live", "", http.StatusOK, nil)
	told, code := time.Now(), make(chan int)
	go func() { code <- s.stop() }()
	for s.status(t, "/health/ready") == http.StatusOK {
	}
	s.do(t, "GET", "/orders", "", http.StatusOK, nil)
	s.do(t, "GET", "/health/live", "", http.StatusOK, nil)
	if c := <-code; c != 0 || time.Since(told) < time.Second {
		t.Errorf("exit code %d after %s", c, time.Since(told))
	}
}

func (s *started) status(t *testing.T, path string) int {
	t.Helper()
	resp, err := s.client.Get(s.base + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
