// A program outside the tree that uses dbpool as its README says, together with
// gin, GORM and Prometheus: it serves a few requests on a real database, and
// says whether each answer, and what was committed, is what it should be.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	cfg, err := config.FromEnv()
	if err != nil {
		return err
	}
	p, err := pool.Open(cfg)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Ready(ctx); err != nil {
		return err
	}
	service, err := newService(p)
	if err != nil {
		return err
	}
	server := httptest.NewServer(service)
	defer server.Close()
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"POST", "/orders/tea", http.StatusCreated, "tea"},
		{"POST", "/orders/poison", http.StatusConflict, "we do not sell poison"}, // after its insert
		{"GET", "/orders", http.StatusOK, "1"},
		{"GET", "/metrics", http.StatusOK, `dbpool_max_open_connections{pool="db"} 10`},
	} {
		status, body, err := ask(ctx, c.method, server.URL+c.path)
		if err != nil || status != c.status || !strings.Contains(body, c.want) {
			return fmt.Errorf("%s %s: %d %q, %v; want %d %q", c.method, c.path, status, body, err, c.status, c.want)
		}
		fmt.Println(c.method, c.path, status)
	}
	if n := p.Stats().InUse; n != 0 {
		return fmt.Errorf("%d connections were not given back", n)
	}
	return nil
}

func ask(ctx context.Context, method, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
